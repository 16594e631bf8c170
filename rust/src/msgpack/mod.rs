//! MessagePack as the parser of socket.io-msgpack-parser speaks it, without a tree in between.
//!
//! As with JSON, the reader drives a [`read::Builder`], which makes whatever values its owner wants, and the writer offers the
//! pieces to whoever walks the values. Markers and the shortest forms are `rmp`'s. Neither knows Python.
//!
//! A packet is one map with the keys `type`, `nsp`, `data` and `id`: [`packet`].

pub mod extension;
pub mod item;
pub mod packet;
pub mod read;
pub mod write;
