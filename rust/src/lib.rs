//! The core of roomcast: Socket.IO packets, their attachments, and rooms.
//!
//! Layers, each importing only what stands below it: `py` (the binding; the only module that knows `CPython`), then
//! `socketio` and `rooms`, then `json`, then `error` and `limits`.

pub mod error;
pub mod json;
pub mod limits;
pub mod rooms;
pub mod socketio;

#[cfg(feature = "python")]
mod py;
