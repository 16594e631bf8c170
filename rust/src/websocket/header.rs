//! The header of a frame: two bytes, up to eight for the length, four for the mask.
//!
//! Source: RFC 6455 section 5.2.

use super::{CloseCode, Role};

/// The payload of a control frame has at most so many bytes. Source: RFC 6455 section 5.5.
pub(super) const MAX_CONTROL: usize = 125;

/// The longest header: a length of eight bytes and a mask.
pub(super) const MAX_HEADER: usize = 14;

pub(super) const FIN: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;
pub(super) const MASKED: u8 = 0x80;
const RSV2_RSV3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const LENGTH: u8 = 0x7f;
/// Says that the length stands in the next two bytes.
pub(super) const LENGTH_16: u8 = 126;
/// Says that the length stands in the next eight bytes.
pub(super) const LENGTH_64: u8 = 127;

/// What a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation = 0,
    /// A text, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The last frame of its sender.
    Close = 8,
    /// To be answered by a pong.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    const fn new(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether such frames may stand between the fragments of a message.
    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// What stands in front of a payload, checked as far as one frame goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) fin: bool,
    pub(super) rsv1: bool,
    pub(super) opcode: Opcode,
    /// Zeros where there is none.
    pub(super) mask: [u8; 4],
    /// Bytes of the payload; the largest number where it does not fit.
    pub(super) length: usize,
    /// Bytes of the header itself.
    pub(super) size: usize,
}

impl Header {
    /// Read the header at the front of `bytes`: `None` where it goes on behind them.
    ///
    /// A fault is found with the byte that holds it, and so before the payload is waited for. A length that would have
    /// fitted into fewer bytes is read all the same, as ws, websockets and tungstenite do.
    ///
    /// # Errors
    ///
    /// What no frame for this role may be, whatever was before it.
    #[inline]
    pub(super) fn read(bytes: &[u8], role: Role) -> Result<Option<Self>, CloseCode> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & RSV2_RSV3 != 0 {
            return Err(CloseCode::RESERVED_BITS);
        }
        let Some(opcode) = Opcode::new(first & OPCODE) else {
            return Err(CloseCode::UNKNOWN_OPCODE);
        };
        let fin = first & FIN != 0;
        let rsv1 = first & RSV1 != 0;
        let short = second & LENGTH;
        if opcode.is_control() {
            if rsv1 {
                return Err(CloseCode::RESERVED_BITS);
            }
            if !fin {
                return Err(CloseCode::FRAGMENTED_CONTROL);
            }
            if usize::from(short) > MAX_CONTROL {
                return Err(CloseCode::LONG_CONTROL);
            }
        }
        match (role, second & MASKED != 0) {
            (Role::Server, false) => return Err(CloseCode::NOT_MASKED),
            (Role::Client, true) => return Err(CloseCode::MASKED),
            _ => {}
        }
        let (length, rest) = match short {
            LENGTH_16 => match rest.split_first_chunk() {
                Some((length, rest)) => (usize::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            LENGTH_64 => match rest.split_first_chunk() {
                Some((length, rest)) => match u64::from_be_bytes(*length) {
                    length if length > u64::MAX >> 1 => return Err(CloseCode::ILLEGAL_LENGTH),
                    length => (usize::try_from(length).unwrap_or(usize::MAX), rest),
                },
                None => return Ok(None),
            },
            short => (usize::from(short), rest),
        };
        let (mask, rest) = match role {
            Role::Client => ([0; 4], rest),
            Role::Server => match rest.split_first_chunk() {
                Some((mask, rest)) => (*mask, rest),
                None => return Ok(None),
            },
        };
        Ok(Some(Self {
            fin,
            rsv1,
            opcode,
            mask,
            length,
            size: bytes.len().saturating_sub(rest.len()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(bytes: &[u8]) -> Result<Option<Header>, CloseCode> {
        Header::read(bytes, Role::Client)
    }

    #[test]
    fn lengths_are_read_in_each_of_their_sizes() {
        for (bytes, length, size) in [
            (&b"\x81\x00"[..], 0, 2),
            (b"\x81\x7d", 125, 2),
            (b"\x81\x7e\x00\x7e", 126, 4),
            (b"\x81\x7e\xff\xff", 65_535, 4),
            (b"\x81\x7f\0\0\0\0\0\x01\0\0", 65_536, 10),
            (b"\x81\x7e\x00\x01", 1, 4),
            (b"\x81\x7f\0\0\0\0\0\0\0\x01", 1, 10),
        ] {
            let header = client(bytes).unwrap().unwrap();
            assert_eq!((header.length, header.size), (length, size));
            for cut in 0..bytes.len() {
                assert_eq!(client(&bytes[..cut]), Ok(None));
            }
        }
        let most = client(b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff").unwrap();
        assert_eq!(most.unwrap().length, usize::try_from(i64::MAX).unwrap());
        assert_eq!(
            client(b"\x82\x7f\x80\0\0\0\0\0\0\0"),
            Err(CloseCode::ILLEGAL_LENGTH)
        );
    }

    #[test]
    fn masks_stand_in_the_frames_of_clients_only() {
        let masked = b"\x81\x81\x01\x02\x03\x04\x00";
        let header = Header::read(masked, Role::Server).unwrap().unwrap();
        assert_eq!(
            (header.mask, header.length, header.size),
            ([1, 2, 3, 4], 1, 6)
        );
        assert_eq!(client(masked), Err(CloseCode::MASKED));
        assert_eq!(
            Header::read(b"\x81\x01", Role::Server),
            Err(CloseCode::NOT_MASKED)
        );
    }

    #[test]
    fn first_bytes_are_refused_at_once() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let expected = if first & 0x30 != 0 || first & 0x48 == 0x48 {
                    matches!(first & 0x0f, 0..=2 | 8..=10) || first & 0x30 != 0
                } else {
                    false
                };
                let result = client(&[first, second]);
                if expected {
                    assert_eq!(result, Err(CloseCode::RESERVED_BITS));
                } else if !matches!(first & 0x0f, 0..=2 | 8..=10) {
                    assert_eq!(result, Err(CloseCode::UNKNOWN_OPCODE));
                } else if first & 0x88 == 0x08 {
                    assert_eq!(result, Err(CloseCode::FRAGMENTED_CONTROL));
                } else if first & 0x08 != 0 && second & 0x7f > 125 {
                    assert_eq!(result, Err(CloseCode::LONG_CONTROL));
                } else if second & 0x80 != 0 {
                    assert_eq!(result, Err(CloseCode::MASKED));
                } else {
                    assert_eq!(result.unwrap().is_some(), second < 126);
                }
            }
        }
    }
}
