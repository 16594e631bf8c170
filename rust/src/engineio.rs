//! Engine.IO payloads: the bodies of polling, in which packets stand one after the other. Knows nothing of what packets mean,
//! nor of Python.
//!
//! Between two packets stands U+001E, and nothing is escaped. A packet is text that begins with the digit of its type, or `b`
//! and a binary message in base64.
//!
//! Source: engine.io-parser, `encodePayload` and `decodePayload`.

pub mod base64;
pub mod visit;

use crate::json::scan::{self, Run};

/// Stands between two packets, and in none.
pub const SEPARATOR: u8 = 0x1e;

/// Begins a binary message.
const BINARY: u8 = b'b';

/// One packet of a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Packet<'a> {
    /// A packet with the digit of its type, in ASCII.
    Ascii(&'a [u8]),
    /// A packet with the digit of its type, not all of it ASCII.
    Text(&'a str),
    /// A binary message, still in base64.
    Binary(&'a [u8]),
    /// No packet: nothing at all, a first character that is no type, or (the text is then left out) no UTF-8.
    Malformed(&'a str),
}

impl<'a> Packet<'a> {
    fn new(piece: &'a [u8], ascii: bool) -> Self {
        // Looked over once more only where it is not ASCII.
        let text = if ascii {
            None
        } else {
            match str::from_utf8(piece) {
                Ok(text) => Some(text),
                // Differs from engine.io: Node.js reads U+FFFD instead of such bytes.
                Err(_) => return Self::Malformed(""),
            }
        };
        match piece.split_first() {
            Some((b'0'..=b'6', _)) => text.map_or(Self::Ascii(piece), Self::Text),
            Some((&BINARY, base64)) => Self::Binary(base64),
            _ => Self::Malformed(
                text.or_else(|| str::from_utf8(piece).ok())
                    .unwrap_or_default(),
            ),
        }
    }
}

/// The packets of a payload, in order. A malformed one is the last: what stands behind it is not looked at.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    /// What is left, without the separator in front of it; `None` at the end.
    rest: Option<&'a [u8]>,
}

impl<'a> Packets<'a> {
    /// The packets of a body, at least one: an empty body is a malformed packet.
    pub const fn new(body: &'a [u8]) -> Self {
        Self { rest: Some(body) }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let rest = self.rest.take()?;
        let Run { length, ascii } = scan::run_to(rest, SEPARATOR);
        let (piece, tail) = rest.split_at_checked(length)?;
        let packet = Packet::new(piece, ascii);
        if !matches!(packet, Packet::Malformed(_)) {
            self.rest = tail.split_first().map(|(_, rest)| rest);
        }
        Some(packet)
    }
}

/// The bytes that a binary message of so many bytes takes in a payload.
pub const fn binary_length(length: usize) -> usize {
    1 + base64::encoded_length(length)
}

/// A binary message as it stands in a payload.
pub fn binary_message(data: &[u8]) -> Box<[u8]> {
    let mut message = Vec::with_capacity(binary_length(data.len()));
    message.push(BINARY);
    base64::encode(data, &mut message);
    message.into_boxed_slice()
}

/// A payload that is written.
#[derive(Debug)]
pub struct Payload {
    bytes: Vec<u8>,
    limit: usize,
    /// Whether there is no message yet; one may be empty, so the bytes do not tell.
    is_empty: bool,
}

impl Payload {
    /// An empty payload of at most `limit` bytes, in a buffer that is overwritten.
    pub fn new(mut buffer: Vec<u8>, limit: usize) -> Self {
        buffer.clear();
        Self {
            bytes: buffer,
            limit,
            is_empty: true,
        }
    }

    /// Whether there is room for a message of so many bytes: always for the first one, or it would never leave.
    pub fn has_room(&self, length: usize) -> bool {
        let end = self.bytes.len().saturating_add(1).saturating_add(length);
        self.is_empty || end <= self.limit
    }

    /// Write a message, whether there is room for it or not.
    pub fn push(&mut self, message: &[u8]) {
        if !self.is_empty {
            self.bytes.push(SEPARATOR);
        }
        self.is_empty = false;
        self.bytes.extend_from_slice(message);
    }

    /// The bytes that are written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Give the buffer back.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(body: &[u8]) -> Vec<Packet<'_>> {
        Packets::new(body).collect()
    }

    #[test]
    fn a_payload_is_split_into_its_packets() {
        assert_eq!(
            packets(b"4hello\x1ebAQIDBA==\x1e2"),
            [
                Packet::Ascii(b"4hello"),
                Packet::Binary(b"AQIDBA=="),
                Packet::Ascii(b"2")
            ]
        );
        assert_eq!(
            packets("4é\x1e4a\x1eb".as_bytes()),
            [
                Packet::Text("4é"),
                Packet::Ascii(b"4a"),
                Packet::Binary(b"")
            ]
        );
    }

    #[test]
    fn a_payload_ends_at_what_is_no_packet() {
        for (body, last) in [
            (&b""[..], ""),
            (b"4a\x1e", ""),
            (b"4a\x1e\x1e4b", ""),
            (b"4a\x1e7\x1e4b", "7"),
            (b"4a\x1eB\x1e4b", "B"),
            ("4a\x1eéx\x1e4b".as_bytes(), "éx"),
            (b"4a\x1e4\xff\x1e4b", ""),
            (b"4a\x1eb\xff\x1e4b", ""),
            (b"4a\x1e\xff\x1e4b", ""),
            (b"\x1e\x1e", ""),
        ] {
            let packets = packets(body);
            assert_eq!(packets.last(), Some(&Packet::Malformed(last)), "{body:?}");
            assert_eq!(packets.len(), 1 + usize::from(body.starts_with(b"4a")));
        }
    }

    #[test]
    fn a_payload_keeps_to_its_limit() {
        let mut payload = Payload::new(b"left over".to_vec(), 7);
        assert!(payload.has_room(usize::MAX));
        payload.push(b"4a");
        assert!(payload.has_room(4) && !payload.has_room(5) && !payload.has_room(usize::MAX));
        payload.push(&binary_message(b""));
        assert!(payload.has_room(2) && !payload.has_room(3));
        payload.push(b"");
        assert_eq!(payload.as_bytes(), b"4a\x1eb\x1e");
        assert_eq!(payload.into_buffer(), b"4a\x1eb\x1e");
    }

    #[test]
    fn an_empty_message_is_a_message() {
        let mut payload = Payload::new(Vec::new(), 0);
        payload.push(b"");
        assert!(!payload.has_room(0));
        payload.push(b"2");
        assert_eq!(payload.as_bytes(), b"\x1e2");
    }

    #[test]
    fn a_binary_message_is_base64() {
        assert_eq!(*binary_message(&[1, 2, 3, 4]), *b"bAQIDBA==");
        for length in 0..10 {
            let message = binary_message(&vec![0; length]);
            assert_eq!(message.len(), binary_length(length));
        }
    }
}
