//! The header of a text packet: `<type>[<attachments>-][<namespace>,][<ack id>]`, and where the payload begins.
//!
//! Source: socket.io-parser, `Decoder.decodeString`.

use super::PacketType;
use crate::error::{PacketError, PacketErrorKind};
use crate::limits::Limits;

/// A header that has been read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header<'a> {
    /// The type on the wire.
    pub packet_type: PacketType,
    /// Attachments that follow; 0 unless the type is binary.
    pub attachments: u32,
    /// The namespace, with its leading slash.
    pub nsp: &'a str,
    /// The acknowledgement id.
    pub id: Option<u64>,
    /// Where the payload begins, in bytes from the start of the text.
    pub payload: usize,
}

/// Read the header of a packet.
///
/// # Errors
///
/// Everything that is wrong up to the payload, at its offset.
pub fn read_header<'a>(text: &'a str, limits: &Limits) -> Result<Header<'a>, PacketError> {
    let bytes = text.as_bytes();
    // Differs from socket.io-parser: an empty text or a leading space is no CONNECT; only digits count as digits, anywhere.
    let packet_type = bytes
        .first()
        .and_then(|byte| PacketType::from_number(byte.wrapping_sub(b'0')))
        .ok_or(PacketError::new(PacketErrorKind::UnknownPacketType, 0))?;
    let mut at = 1;

    let mut attachments = 0;
    if packet_type.is_binary() {
        (attachments, at) = read_attachments(bytes, at, limits)?;
    }

    let mut nsp = "/";
    if bytes.get(at) == Some(&b'/') {
        let rest = bytes.get(at..).unwrap_or_default();
        // Only as far as a name may reach: a long text without a comma is not searched to its end.
        let window = rest.get(..=limits.max_namespace_length).unwrap_or(rest);
        let length = match window.iter().position(|&byte| byte == b',') {
            Some(length) => length,
            None if rest.len() <= limits.max_namespace_length => rest.len(),
            None => return Err(PacketError::new(PacketErrorKind::NamespaceTooLong, at)),
        };
        // Both ends stand at ASCII characters or at the end, so this is always a slice of whole characters.
        nsp = text.get(at..at + length).unwrap_or_default();
        at = (at + length + 1).min(bytes.len());
    }

    let mut id = None;
    if bytes.get(at).is_some_and(u8::is_ascii_digit) {
        let start = at;
        let mut value: u64 = 0;
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            value = value
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'));
            if value > limits.max_ack_id {
                // Differs from socket.io-parser, which rounds ids beyond 2^53 - 1 and so answers the wrong one.
                return Err(PacketError::new(PacketErrorKind::IdTooLarge, start));
            }
            at += 1;
        }
        id = Some(value);
    }
    Ok(Header {
        packet_type,
        attachments,
        nsp,
        id,
        payload: at,
    })
}

/// Read `<attachments>-`; return the number and where the rest begins.
fn read_attachments(
    bytes: &[u8],
    start: usize,
    limits: &Limits,
) -> Result<(u32, usize), PacketError> {
    let mut at = start;
    let mut count: u32 = 0;
    while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
        count = count
            .saturating_mul(10)
            .saturating_add(u32::from(digit - b'0'));
        if count > limits.max_attachments {
            return Err(PacketError::new(PacketErrorKind::TooManyAttachments, start));
        }
        at += 1;
    }
    if count == 0 || bytes.get(at) != Some(&b'-') {
        return Err(PacketError::new(PacketErrorKind::IllegalAttachments, start));
    }
    Ok((count, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(PacketType, u32, &str, Option<u64>, &str), PacketErrorKind> {
        read_header(text, &Limits::default())
            .map(|header| {
                let Header {
                    packet_type,
                    attachments,
                    nsp,
                    id,
                    payload,
                } = header;
                (packet_type, attachments, nsp, id, &text[payload..])
            })
            .map_err(|error| error.kind)
    }

    #[test]
    fn parts_are_found() {
        use PacketType::{Ack, BinaryAck, BinaryEvent, Connect, Event};
        assert_eq!(read("0"), Ok((Connect, 0, "/", None, "")));
        assert_eq!(read("0/admin"), Ok((Connect, 0, "/admin", None, "")));
        assert_eq!(read("0/admin,{}"), Ok((Connect, 0, "/admin", None, "{}")));
        assert_eq!(read("20[\"a\"]"), Ok((Event, 0, "/", Some(0), "[\"a\"]")));
        assert_eq!(read("3/é,0013[]"), Ok((Ack, 0, "/é", Some(13), "[]")));
        assert_eq!(
            read("510-/n,7[]"),
            Ok((BinaryEvent, 10, "/n", Some(7), "[]"))
        );
        assert_eq!(read("61-3"), Ok((BinaryAck, 1, "/", Some(3), "")));
        assert_eq!(read("2/n[\"a\"]"), Ok((Event, 0, "/n[\"a\"]", None, "")));
    }

    #[test]
    fn every_refusal_has_its_kind() {
        use PacketErrorKind::{
            IdTooLarge, IllegalAttachments, TooManyAttachments, UnknownPacketType,
        };
        for text in ["", " ", "7", "a", "é", "-"] {
            assert_eq!(read(text), Err(UnknownPacketType), "{text}");
        }
        for text in [
            "5", "51", "5a-", "51.23-", "5-", "50-[]", "5 1-", "5+1-", "51e1-", "50x1-",
        ] {
            assert_eq!(read(text), Err(IllegalAttachments), "{text}");
        }
        for text in ["511-[]", "5999999999-[]", "599999999999999999999999-"] {
            assert_eq!(read(text), Err(TooManyAttachments), "{text}");
        }
        assert_eq!(read("29007199254740992[]"), Err(IdTooLarge));
        assert_eq!(read(&format!("2{}[]", "9".repeat(100))), Err(IdTooLarge));
        assert!(read("29007199254740991[]").is_ok());
    }

    #[test]
    fn a_namespace_may_be_as_long_as_the_limit() {
        let name = format!("/{}", "a".repeat(255));
        assert!(read(&format!("2{name},[]")).is_ok());
        assert!(read(&format!("0{name}")).is_ok());
        assert_eq!(
            read(&format!("2{name}a,[]")),
            Err(PacketErrorKind::NamespaceTooLong)
        );
        assert_eq!(
            read(&format!("0{name}a")),
            Err(PacketErrorKind::NamespaceTooLong)
        );
    }
}
