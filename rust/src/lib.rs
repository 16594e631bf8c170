//! The core of roomcast: Socket.IO packets, their attachments, Engine.IO payloads, and rooms.
//!
//! Layers, each importing only what stands below it: `py` (the binding; the only module that knows `CPython`), then
//! `engineio`, `socketio` and `rooms`, which do not know each other, then `json`, then `error` and `limits`.

pub mod engineio;
pub mod error;
pub mod json;
pub mod limits;
pub mod rooms;
pub mod socketio;

#[cfg(feature = "python")]
mod py;
