//! The core of roomcast: Socket.IO packets, their attachments, Engine.IO payloads, WebSocket frames, and rooms.
//!
//! Layers, each importing only what stands below it: `py` (the binding; the only module that knows `CPython`), then
//! `load` (a client of many, which uses `socketio` and `websocket`), then `msgpack`, which uses `socketio`, then `engineio`,
//! `socketio`, `rooms`, `socket` and `websocket`, which do not know each other, then `json`, then `error` and `limits`.

pub mod engineio;
pub mod error;
pub mod json;
pub mod limits;
pub mod load;
pub mod msgpack;
pub mod rooms;
pub mod socket;
pub mod socketio;
pub mod websocket;

#[cfg(feature = "python")]
mod py;
