//! JSON as `JSON.parse` reads it and `JSON.stringify` writes it, without a tree in between.
//!
//! The reader drives a [`read::Builder`], which makes whatever values its owner wants; the writer offers the pieces
//! (strings, numbers, keys) to whoever walks the values. Neither knows Python.

pub mod append;
pub mod read;
pub mod scan;
pub mod write;
