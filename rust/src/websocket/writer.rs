//! Frames that are sent. A server's frame is the same for every receiver, so it is written once for all of them.
//!
//! Source: RFC 6455 section 5.2.

use super::Opcode;
use super::header::{FIN, LENGTH_16, LENGTH_64, MASKED, MAX_CONTROL, MAX_HEADER, RSV1};
use super::mask::mask_in_place;

fn header(out: &mut Vec<u8>, first: u8, masked: u8, length: usize) {
    out.push(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if length <= MAX_CONTROL => out.push(masked | short),
        (_, Ok(length)) => {
            out.push(masked | LENGTH_16);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(masked | LENGTH_64);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Write what stands in front of a payload of so many bytes in an unfragmented frame of a server.
///
/// `rsv1` marks a message that permessage-deflate has compressed. A control frame has at most 125 bytes, and a close frame
/// what [`close_payload`] makes: this is the caller's to keep.
pub fn frame_header(out: &mut Vec<u8>, opcode: Opcode, len: usize, rsv1: bool) {
    let rsv1 = if rsv1 { RSV1 } else { 0 };
    header(out, FIN | rsv1 | opcode as u8, 0, len);
}

/// Write an unfragmented frame of a server.
pub fn write_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.reserve(MAX_HEADER.saturating_add(payload.len()));
    frame_header(out, opcode, payload.len(), false);
    out.extend_from_slice(payload);
}

/// Write an unfragmented frame of a client.
///
/// The mask is the caller's to draw, anew for each frame and from what a web page cannot guess: it keeps pages from
/// choosing the bytes on the wire (RFC 6455 section 10.3). `rsv1` as for [`frame_header`].
pub fn write_masked_frame(
    out: &mut Vec<u8>,
    opcode: Opcode,
    payload: &[u8],
    rsv1: bool,
    mask: [u8; 4],
) {
    out.reserve(MAX_HEADER.saturating_add(payload.len()));
    let rsv1 = if rsv1 { RSV1 } else { 0 };
    header(out, FIN | rsv1 | opcode as u8, MASKED, payload.len());
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    mask_in_place(out.get_mut(start..).unwrap_or_default(), mask);
}

/// The payload of a close frame: the code, or nothing.
pub fn close_payload(code: Option<u16>) -> Vec<u8> {
    code.map_or_else(Vec::new, |code| code.to_be_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(length: usize) -> Vec<u8> {
        let mut out = Vec::new();
        frame_header(&mut out, Opcode::Binary, length, false);
        out
    }

    #[test]
    fn lengths_take_as_few_bytes_as_they_can() {
        assert_eq!(head(0), b"\x82\x00");
        assert_eq!(head(125), b"\x82\x7d");
        assert_eq!(head(126), b"\x82\x7e\x00\x7e");
        assert_eq!(head(255), b"\x82\x7e\x00\xff");
        assert_eq!(head(65_535), b"\x82\x7e\xff\xff");
        assert_eq!(head(65_536), b"\x82\x7f\0\0\0\0\0\x01\0\0");
    }

    /// Source: the examples of RFC 6455 section 5.7 and RFC 7692 section 7.2.3.1.
    #[test]
    fn frames_are_those_of_the_specification() {
        let mut out = Vec::new();
        write_frame(&mut out, Opcode::Text, b"Hello");
        assert_eq!(out, b"\x81\x05Hello");
        out.clear();
        write_masked_frame(
            &mut out,
            Opcode::Text,
            b"Hello",
            false,
            [0x37, 0xfa, 0x21, 0x3d],
        );
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        out.clear();
        write_frame(&mut out, Opcode::Ping, b"Hello");
        assert_eq!(out, b"\x89\x05Hello");
        out.clear();
        frame_header(&mut out, Opcode::Text, 7, true);
        assert_eq!(out, b"\xc1\x07");
    }

    #[test]
    fn close_frames_hold_a_code_or_nothing() {
        assert_eq!(close_payload(None), b"");
        assert_eq!(close_payload(Some(1001)), b"\x03\xe9");
    }
}
