//! Socket.IO packets as text: types, headers and the rules for event names. Knows nothing of JSON's inside nor of Python.

pub mod header;

use crate::error::PacketErrorKind;

/// Types of packets.
///
/// Source: socket.io-parser, `PacketType`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum PacketType {
    /// Join a namespace, and the answer to it.
    Connect = 0,
    /// Leave a namespace.
    Disconnect = 1,
    /// An event with its arguments.
    Event = 2,
    /// The acknowledgement of an event.
    Ack = 3,
    /// A namespace refuses the client.
    ConnectError = 4,
    /// An event with attachments; on the wire only.
    BinaryEvent = 5,
    /// An acknowledgement with attachments; on the wire only.
    BinaryAck = 6,
}

impl PacketType {
    /// The type of a number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Connect,
            1 => Self::Disconnect,
            2 => Self::Event,
            3 => Self::Ack,
            4 => Self::ConnectError,
            5 => Self::BinaryEvent,
            6 => Self::BinaryAck,
            _ => return None,
        })
    }

    /// The type that applications see: the binary ones exist on the wire only.
    #[must_use]
    pub const fn without_attachments(self) -> Self {
        match self {
            Self::BinaryEvent => Self::Event,
            Self::BinaryAck => Self::Ack,
            other => other,
        }
    }

    /// The type on the wire for a packet that has attachments.
    #[must_use]
    pub const fn with_attachments(self) -> Self {
        match self {
            Self::Event => Self::BinaryEvent,
            Self::Ack => Self::BinaryAck,
            other => other,
        }
    }

    /// Whether this is one of the two types that announce attachments.
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::BinaryEvent | Self::BinaryAck)
    }
}

/// Event names that belong to the library.
///
/// Source: socket.io-parser, `RESERVED_EVENTS`.
pub const RESERVED_EVENTS: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Whether an event name belongs to the library.
pub fn is_reserved(event: &[u8]) -> bool {
    // Seven bytes is the shortest reserved name and fourteen the longest: most events are told apart by the length alone.
    (7..=14).contains(&event.len()) && RESERVED_EVENTS.iter().any(|name| name.as_bytes() == event)
}

/// What the first character of a payload says about its kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PayloadKind {
    /// There is none.
    Absent,
    /// It starts with `[`.
    Array,
    /// It starts with `{`.
    Object,
    /// It starts with `"`.
    String,
    /// Anything else, also what is no JSON at all.
    Other,
}

impl PayloadKind {
    /// The kind of a payload.
    pub fn of(payload: &[u8]) -> Self {
        match payload.first() {
            None => Self::Absent,
            Some(b'[') => Self::Array,
            Some(b'{') => Self::Object,
            Some(b'"') => Self::String,
            Some(_) => Self::Other,
        }
    }
}

/// Check whether a payload of this kind may follow a packet of this type.
///
/// # Errors
///
/// [`PacketErrorKind::MissingEventName`] and [`PacketErrorKind::InvalidPayload`].
///
/// Source: socket.io-parser, `Decoder.isPayloadValid`.
pub const fn check_payload(
    packet_type: PacketType,
    payload: PayloadKind,
) -> Result<(), PacketErrorKind> {
    use PayloadKind::{Absent, Array, Object, String};
    let allowed = match packet_type.without_attachments() {
        // Differs from socket.io-parser: an EVENT without a payload would be dispatched without a name.
        PacketType::Event if matches!(payload, Absent) => {
            return Err(PacketErrorKind::MissingEventName);
        }
        PacketType::Event => matches!(payload, Array),
        PacketType::Ack => matches!(payload, Absent | Array),
        PacketType::Connect => matches!(payload, Absent | Object),
        PacketType::ConnectError => matches!(payload, Absent | Object | String),
        _ => matches!(payload, Absent),
    };
    if allowed {
        Ok(())
    } else {
        Err(PacketErrorKind::InvalidPayload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_known_and_neighbours_are_not() {
        assert!(
            RESERVED_EVENTS
                .iter()
                .all(|name| is_reserved(name.as_bytes()))
        );
        for name in [
            "connection",
            "error",
            "Connect",
            "connect ",
            "disconnecte",
            "",
        ] {
            assert!(!is_reserved(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn binary_types_exist_on_the_wire_only() {
        for number in 0..7 {
            let packet_type = PacketType::from_number(number).unwrap();
            assert!(!packet_type.without_attachments().is_binary());
        }
        assert_eq!(PacketType::from_number(7), None);
    }
}
