//! The binding to `CPython`: the only part of the crate that knows Python objects.
//!
//! `buffers`, `slots` and `vectorcall` hold every `unsafe` block of this folder.

mod buffers;
mod compat;
mod compat_data;
mod compat_json;
mod compat_msgpack;
mod compat_text;
mod decode;
mod decoder;
mod deflate;
mod encode;
mod encoded;
mod encoder;
mod errors;
mod flusher;
mod keys;
mod load;
mod masking;
mod msgpack;
mod msgpack_decode;
mod msgpack_encode;
mod msgpack_values;
mod outbox;
mod packet;
mod payload;
mod raw_json;
mod rooms;
mod scratch;
mod slots;
mod traffic;
mod vectorcall;
mod visit;
mod websocket;

use pyo3::prelude::*;

#[pymodule(gil_used = true)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::compat::CompatPacket;
    #[pymodule_export]
    use super::compat_data::{data_is_binary, deconstruct_binary, reconstruct_binary};
    #[pymodule_export]
    use super::compat_msgpack::CompatMsgPackPacket;
    #[pymodule_export]
    use super::decoder::Decoder;
    #[pymodule_export]
    use super::deflate::{Agreement, Deflate};
    #[pymodule_export]
    use super::encoded::EncodedPacket;
    #[pymodule_export]
    use super::encoder::{Encoder, encode};
    #[pymodule_export]
    use super::flusher::Flusher;
    #[pymodule_export]
    use super::load::Load;
    #[pymodule_export]
    use super::msgpack::{MsgPackDecoder, MsgPackEncoder};
    #[pymodule_export]
    use super::msgpack_values::MsgPackValues;
    #[pymodule_export]
    use super::outbox::Outbox;
    #[pymodule_export]
    use super::packet::Packet;
    #[pymodule_export]
    use super::payload::{decode_base64, decode_payload, encode_payload};
    #[pymodule_export]
    use super::raw_json::RawJson;
    #[pymodule_export]
    use super::rooms::Rooms;
    #[pymodule_export]
    use super::traffic::Traffic;
    #[pymodule_export]
    use super::visit::VisitReader;
    #[pymodule_export]
    use super::websocket::FrameReader;

    /// Finish what attributes of the module cannot say.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        CompatPacket::install(module.py())
    }
}
