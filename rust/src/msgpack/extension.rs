//! Extensions: dates, `undefined` and buffers have no form of their own in MessagePack.
//!
//! notepack.io 2, which is inside socket.io-msgpack-parser, takes type 0 for all three and tells them apart by their length
//! and by whether that is part of the marker. Type -1 is a timestamp to everybody else.
//!
//! Source: notepack.io 2.2.0, `lib/encode.js` and `lib/decode.js`; the MessagePack specification, timestamps.

/// The type of notepack.io's own values.
pub const NOTEPACK: i8 = 0;

/// The type of timestamps.
pub const TIMESTAMP: i8 = -1;

/// What an extension stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extension<'a> {
    /// `undefined`.
    Undefined,
    /// Milliseconds since 1970.
    Date(i64),
    /// Seconds since 1970, and nanoseconds on top.
    Timestamp(i64, u32),
    /// An `ArrayBuffer`.
    Binary(&'a [u8]),
    /// Something of an application's own.
    Other(i8, &'a [u8]),
}

impl<'a> Extension<'a> {
    /// What a type and its bytes stand for; `fixed` says whether the marker had the length in it.
    pub fn new(code: i8, data: &'a [u8], fixed: bool) -> Self {
        match (code, fixed) {
            (NOTEPACK, false) => return Self::Binary(data),
            (NOTEPACK, true) if data.len() == 1 => return Self::Undefined,
            (NOTEPACK, true) => {
                if let Ok(milliseconds) = data.try_into() {
                    return Self::Date(i64::from_be_bytes(milliseconds));
                }
            }
            (TIMESTAMP, _) => {
                if let Some((seconds, nanoseconds)) = timestamp(data) {
                    return Self::Timestamp(seconds, nanoseconds);
                }
            }
            _ => {}
        }
        Self::Other(code, data)
    }
}

/// Read one of the three forms of a timestamp.
fn timestamp(data: &[u8]) -> Option<(i64, u32)> {
    /// 34 bits of seconds stand below 30 bits of nanoseconds.
    const SECONDS: u32 = 34;
    let (seconds, nanoseconds) = match data.len() {
        4 => (u32::from_be_bytes(data.try_into().ok()?).into(), 0),
        8 => {
            let both = u64::from_be_bytes(data.try_into().ok()?);
            let seconds = both & ((1 << SECONDS) - 1);
            (seconds.cast_signed(), (both >> SECONDS) as u32)
        }
        _ => {
            let (nanoseconds, seconds) = data.split_first_chunk()?;
            (
                i64::from_be_bytes(seconds.try_into().ok()?),
                u32::from_be_bytes(*nanoseconds),
            )
        }
    };
    (nanoseconds < 1_000_000_000).then_some((seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notepack_tells_its_values_apart_by_marker_and_length() {
        let second = 1000_i64.to_be_bytes();
        assert_eq!(Extension::new(0, &[0], true), Extension::Undefined);
        assert_eq!(Extension::new(0, &second, true), Extension::Date(1000));
        assert_eq!(
            Extension::new(0, &second, false),
            Extension::Binary(&second)
        );
        assert_eq!(Extension::new(0, &[0], false), Extension::Binary(&[0]));
        assert_eq!(
            Extension::new(0, &[0, 1], true),
            Extension::Other(0, &[0, 1])
        );
        assert_eq!(
            Extension::new(7, &second, true),
            Extension::Other(7, &second)
        );
    }

    #[test]
    fn timestamps_have_three_forms() {
        fn at(data: &[u8]) -> Extension<'_> {
            Extension::new(-1, data, true)
        }
        assert_eq!(at(&[0, 0, 0, 1]), Extension::Timestamp(1, 0));
        assert_eq!(at(&[0, 0, 0, 4, 0, 0, 0, 1]), Extension::Timestamp(1, 1));
        assert_eq!(
            at(&[0, 0, 0, 2, 255, 255, 255, 255, 255, 255, 255, 255]),
            Extension::Timestamp(-1, 2)
        );
        assert_eq!(
            at(&[255; 8]),
            Extension::Other(-1, &[255; 8]),
            "so many nanoseconds are more than a second"
        );
        assert_eq!(at(&[0; 5]), Extension::Other(-1, &[0; 5]));
    }
}
