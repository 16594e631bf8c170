//! Is it UTF-8: a whole text, or the beginning of one.
//!
//! simdutf8, because a text that is not ASCII takes the standard library nine times as long: 1.46 ms instead of 0.16 for a
//! megabyte that arrives in pieces (`benches/websocket.rs`). For what is shorter than 64 bytes they are the same.

use super::CloseCode;

/// The text that the bytes are.
pub(super) fn text(bytes: &[u8]) -> Result<&str, CloseCode> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| CloseCode::INVALID_UTF8)
}

/// How many bytes at the end of a text that goes on begin a character: at most three.
pub(super) fn unfinished(bytes: &[u8]) -> Result<u8, CloseCode> {
    match simdutf8::compat::from_utf8(bytes) {
        Ok(_) => Ok(0),
        Err(error) if error.error_len().is_none() => {
            let unfinished = bytes.len().saturating_sub(error.valid_up_to());
            u8::try_from(unfinished).map_err(|_| CloseCode::INVALID_UTF8)
        }
        Err(_) => Err(CloseCode::INVALID_UTF8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_end_within_a_character_only_where_it_goes_on() {
        for (bytes, begun) in [
            (&b""[..], Ok(0)),
            (b"abc", Ok(0)),
            (b"a\xc3", Ok(1)),
            (b"a\xe2\x82", Ok(2)),
            (b"\xf0\x9f\x98", Ok(3)),
            (b"\xf0\x9f\x98\x80", Ok(0)),
            (b"\xff", Err(CloseCode::INVALID_UTF8)),
            (b"\x80", Err(CloseCode::INVALID_UTF8)),
            (b"\xc3a", Err(CloseCode::INVALID_UTF8)),
            // A surrogate, and past U+10FFFF: wrong at the second byte.
            (b"\xed\xa0", Err(CloseCode::INVALID_UTF8)),
            (b"\xf4\x90", Err(CloseCode::INVALID_UTF8)),
        ] {
            assert_eq!(unfinished(bytes), begun, "{bytes:?}");
            assert_eq!(text(bytes).is_ok(), begun == Ok(0), "{bytes:?}");
        }
    }

    /// The standard library is the plain twin.
    #[test]
    fn texts_of_every_length_are_as_the_standard_library_finds_them() {
        let pieces = [
            &b"a"[..],
            "é".as_bytes(),
            "漢".as_bytes(),
            "😀".as_bytes(),
            b"\xc3",
            b"\xe6\xbc",
            b"\xf0\x9f\x98",
            b"\x80",
            b"\xed\xa0\x80",
        ];
        for length in 0..200 {
            let ascii = vec![b'a'; length];
            for first in pieces {
                for second in pieces {
                    let bytes = [&ascii, first, second, &ascii].concat();
                    let bytes = &bytes[..bytes.len() - length / 2];
                    assert_eq!(text(bytes).ok(), str::from_utf8(bytes).ok());
                    let expected = match str::from_utf8(bytes) {
                        Ok(_) => Some(0),
                        Err(error) if error.error_len().is_some() => None,
                        Err(error) => Some(bytes.len() - error.valid_up_to()),
                    };
                    assert_eq!(unfinished(bytes).ok().map(usize::from), expected);
                }
            }
        }
    }
}
