//! The map that a packet is.
//!
//! Source: socket.io-msgpack-parser 3.0.2, `Decoder.checkPacket`.

use rmp::Marker;

use super::read::{Builder, Reader};
use crate::error::{PacketError, PacketErrorKind};
use crate::limits::Limits;
use crate::socketio::{PacketType, PayloadKind, check_payload};

/// A packet that has been read.
#[derive(Debug)]
pub struct Packet<'a, V> {
    /// The type; the binary ones do not exist here.
    pub packet_type: PacketType,
    /// The namespace, with its leading slash.
    pub nsp: &'a str,
    /// The acknowledgement id.
    pub id: Option<u64>,
    /// The payload; nothing where it is absent, nil or `undefined`.
    pub data: Option<V>,
    /// Where the payload begins, for errors about it.
    pub payload: usize,
}

/// The keys that a map may have; what others there are is passed over, as `options`, which clients send along.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    Type,
    Nsp,
    Id,
    Data,
    Other,
}

impl Field {
    const fn of(key: &[u8]) -> Self {
        match key {
            b"type" => Self::Type,
            b"nsp" => Self::Nsp,
            b"id" => Self::Id,
            b"data" => Self::Data,
            _ => Self::Other,
        }
    }
}

/// The kind of the payload that begins with a byte.
pub fn payload_kind(first: Option<u8>) -> PayloadKind {
    match first.map(Marker::from_u8) {
        None | Some(Marker::Null) => PayloadKind::Absent,
        Some(Marker::FixArray(_) | Marker::Array16 | Marker::Array32) => PayloadKind::Array,
        Some(Marker::FixMap(_) | Marker::Map16 | Marker::Map32) => PayloadKind::Object,
        Some(Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32) => {
            PayloadKind::String
        }
        Some(_) => PayloadKind::Other,
    }
}

/// Read bytes that hold exactly one packet. Whether an event may have its name is for whoever makes the values to check.
///
/// `undefined` counts as absent. Differs from socket.io-msgpack-parser: nil does too, as python-socketio writes it.
///
/// # Errors
///
/// What [`super::read::read`] has against them, and what the fields of a packet may not be.
pub fn read_packet<'a, B: Builder>(
    bytes: &'a [u8],
    limits: &Limits,
    builder: &mut B,
) -> Result<Packet<'a, B::Value>, B::Error> {
    let fail = |kind, offset| PacketError::new(kind, offset);
    let mut reader = Reader::new(bytes, limits, builder);
    let marker = reader.marker()?;
    let Some(length) = reader.map_length(marker)? else {
        return Err(fail(PacketErrorKind::InvalidMsgpack, 0).into());
    };
    let mut packet_type = None;
    let mut nsp = None;
    let mut id = None;
    let mut data = None;
    let mut kind = PayloadKind::Absent;
    let mut payload = bytes.len();
    for _ in 0..length {
        let marker = reader.marker()?;
        let Some(key) = reader.string_bytes(marker)? else {
            return Err(reader.invalid());
        };
        let field = Field::of(key);
        let start = reader.offset();
        match field {
            Field::Type => {
                let number = reader.whole_number()?;
                let known = number
                    .and_then(|number| u8::try_from(number).ok())
                    .and_then(PacketType::from_number)
                    .filter(|packet_type| !packet_type.is_binary())
                    .ok_or(fail(PacketErrorKind::UnknownPacketType, start))?;
                packet_type = Some(known);
            }
            Field::Nsp => {
                let marker = reader.marker()?;
                let name = reader
                    .string_bytes(marker)?
                    .and_then(|name| str::from_utf8(name).ok())
                    .filter(|name| name.starts_with('/'))
                    .ok_or(fail(PacketErrorKind::InvalidNamespace, start))?;
                if name.len() > limits.max_namespace_length {
                    return Err(fail(PacketErrorKind::NamespaceTooLong, start).into());
                }
                nsp = Some(name);
            }
            Field::Id if reader.skip_absent() => id = None,
            Field::Data if reader.skip_absent() => {
                data = None;
                kind = PayloadKind::Absent;
            }
            Field::Id => {
                // Differs from socket.io-msgpack-parser, which takes negative ones, and rounds those beyond 2^53 - 1.
                let number = reader
                    .whole_number()?
                    .filter(|&number| number >= 0)
                    .ok_or(fail(PacketErrorKind::InvalidId, start))?;
                id = u64::try_from(number)
                    .ok()
                    .filter(|&id| id <= limits.max_ack_id);
                if id.is_none() {
                    return Err(fail(PacketErrorKind::IdTooLarge, start).into());
                }
            }
            Field::Data => {
                payload = start;
                kind = payload_kind(reader.peek());
                data = Some(reader.value(limits.max_depth)?);
            }
            Field::Other => {
                reader.value(limits.max_depth)?;
            }
        }
    }
    reader.finish()?;
    let Some(packet_type) = packet_type else {
        return Err(fail(PacketErrorKind::UnknownPacketType, 0).into());
    };
    let Some(nsp) = nsp else {
        return Err(fail(PacketErrorKind::InvalidNamespace, 0).into());
    };
    check_payload(packet_type, kind).map_err(|kind| fail(kind, payload))?;
    Ok(Packet {
        packet_type,
        nsp,
        id,
        data,
        payload,
    })
}

#[cfg(test)]
mod tests;
