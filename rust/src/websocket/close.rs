//! Why a connection must close: the code for the close frame, and words for the log.

use std::fmt;

/// What the peer did wrong: the code that tells it so, and the reason in words.
///
/// Source: RFC 6455 section 7.4.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CloseCode(pub u16, pub &'static str);

impl CloseCode {
    pub(super) const RESERVED_BITS: Self = Self(1002, "reserved bits are set");
    pub(super) const UNKNOWN_OPCODE: Self = Self(1002, "unknown opcode");
    pub(super) const NOT_MASKED: Self = Self(1002, "frame of a client without a mask");
    pub(super) const MASKED: Self = Self(1002, "frame of a server with a mask");
    pub(super) const FRAGMENTED_CONTROL: Self = Self(1002, "fragmented control frame");
    pub(super) const LONG_CONTROL: Self = Self(1002, "control frame longer than 125 bytes");
    pub(super) const ILLEGAL_LENGTH: Self = Self(1002, "length of more than 63 bits");
    pub(super) const NOTHING_TO_CONTINUE: Self = Self(1002, "continuation of no message");
    pub(super) const MESSAGE_IN_MESSAGE: Self = Self(1002, "new message before the end of another");
    pub(super) const ILLEGAL_CLOSE: Self = Self(1002, "illegal close code");
    pub(super) const INVALID_UTF8: Self = Self(1007, "text is not UTF-8");
    pub(super) const NOT_DEFLATED: Self = Self(1007, "message is not deflated");
    pub(super) const TOO_MANY_FRAGMENTS: Self = Self(1008, "too many fragments");
    pub(super) const TOO_BIG: Self = Self(1009, "message too big");
}

impl fmt::Display for CloseCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.1, self.0)
    }
}

impl std::error::Error for CloseCode {}

/// Read the payload of a close frame: its code, if there is one, and the reason, which is only checked.
///
/// 1004 has no meaning; 1005, 1006 and 1015 stand for what no frame says.
///
/// Source: RFC 6455 sections 5.5.1 and 7.4; the registry of close codes at IANA, where 1012 to 1014 stand.
pub(super) fn read_close(payload: &[u8]) -> Result<Option<u16>, CloseCode> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some((code, reason)) = payload.split_first_chunk() else {
        return Err(CloseCode::ILLEGAL_CLOSE);
    };
    match u16::from_be_bytes(*code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => {
            super::utf8::text(reason)?;
            Ok(Some(code))
        }
        _ => Err(CloseCode::ILLEGAL_CLOSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_are_those_that_a_frame_may_hold() {
        let legal = (0..=u16::MAX).filter(|code| read_close(&code.to_be_bytes()).is_ok());
        let expected = (1000..=1003).chain(1007..=1014).chain(3000..=4999);
        assert!(legal.eq(expected));
    }

    #[test]
    fn close_payloads_are_empty_or_a_code_with_a_reason() {
        assert_eq!(read_close(b""), Ok(None));
        assert_eq!(read_close(b"\x03\xe8"), Ok(Some(1000)));
        assert_eq!(
            read_close("\x03\x7fé".as_bytes()),
            Err(CloseCode::ILLEGAL_CLOSE)
        );
        assert_eq!(read_close(b"\x03"), Err(CloseCode::ILLEGAL_CLOSE));
        assert_eq!(read_close(b"\x03\xe8bye \xc3\xa9"), Ok(Some(1000)));
        assert_eq!(
            read_close(b"\x03\xe8bye \xc3"),
            Err(CloseCode::INVALID_UTF8)
        );
    }
}
