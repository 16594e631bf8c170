//! Looking over bytes eight at a time, and counting values before any is made.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Where a run of bytes ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run {
    /// Bytes up to the first one that was looked for, or up to the end.
    pub length: usize,
    /// Whether all of them are ASCII.
    pub ascii: bool,
}

/// Bytes of a word that a JSON string cannot hold as they are, marked by their high bit. Only the lowest mark is exact.
#[inline]
const fn special(word: u64) -> u64 {
    let quote = word ^ (LOW * b'"' as u64);
    let backslash = word ^ (LOW * b'\\' as u64);
    let found_quote = quote.wrapping_sub(LOW) & !quote;
    let found_backslash = backslash.wrapping_sub(LOW) & !backslash;
    let found_control = word.wrapping_sub(LOW * 0x20) & !word;
    (found_quote | found_backslash | found_control) & HIGH
}

/// How many bytes of a word, from the lowest on, a JSON string can hold as they are.
#[inline]
pub const fn plain_bytes(word: u64) -> usize {
    // Without a mark there are 64 zeros, which makes 8.
    (special(word).trailing_zeros() / 8) as usize
}

/// Fewer than eight bytes as a word, zeros behind them.
#[inline]
pub fn tail_word(bytes: &[u8]) -> u64 {
    // Two loads that overlap: what both have is the same, so the second one may be or-ed over the first.
    let place = |size: usize| (bytes.len() - size) * 8;
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last));
        u64::from(u32::from_le_bytes(*first)) | last << place(4)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<2>(), bytes.last_chunk::<2>()) {
        let last = u64::from(u16::from_le_bytes(*last));
        u64::from(u16::from_le_bytes(*first)) | last << place(2)
    } else {
        bytes.first().copied().map_or(0, u64::from)
    }
}

/// Whether all bytes are ASCII. The plain twin is the library's own, which is made for longer texts.
#[inline]
pub fn is_ascii(bytes: &[u8]) -> bool {
    if bytes.len() > 64 {
        return bytes.is_ascii();
    }
    let mut seen = 0;
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        seen |= u64::from_le_bytes(*chunk);
        rest = tail;
    }
    (seen | tail_word(rest)) & 0x8080_8080_8080_8080 == 0
}

/// Find where the plain part of a string ends: before a quote, a backslash or a control character.
///
/// The plain twin is `plain_run` in the tests.
#[expect(
    clippy::inline_always,
    reason = "a call costs as much as a short string"
)]
#[inline(always)]
pub fn run(bytes: &[u8]) -> Run {
    run_before(bytes, special)
}

/// Find the first byte of a value.
#[inline]
pub fn run_to(bytes: &[u8], value: u8) -> Run {
    let wanted = LOW * u64::from(value);
    run_before(bytes, |word| {
        let differing = word ^ wanted;
        differing.wrapping_sub(LOW) & !differing & HIGH
    })
}

/// Find where `marks` makes its first mark: the high bit of a byte; only the lowest mark of a word has to be exact.
#[expect(
    clippy::inline_always,
    reason = "a call costs as much as a short string"
)]
#[inline(always)]
fn run_before(bytes: &[u8], marks: impl Fn(u64) -> u64) -> Run {
    let mut length = 0;
    let mut seen: u64 = 0;
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let found = marks(word);
        if found != 0 {
            let plain = found.trailing_zeros() / 8;
            // A shift by 64 cannot happen: `plain` is at most 7.
            seen |= word & ((1 << (plain * 8)) - 1);
            return Run {
                length: length + plain as usize,
                ascii: seen & HIGH == 0,
            };
        }
        seen |= word;
        length += 8;
        rest = tail;
    }
    // Without a mark there are 64 zeros, which makes 8; a mark may also stand on the zeros behind the last bytes.
    let word = tail_word(rest);
    let plain = ((marks(word).trailing_zeros() / 8) as usize).min(rest.len());
    seen |= word & ((1 << (plain * 8)) - 1);
    length += plain;
    Run {
        length,
        ascii: seen & HIGH == 0,
    }
}

/// Whether a JSON text holds more values than a limit. Keys are not values; lists and objects are.
///
/// Linear in the text, and nothing at all where the text is too short to hold that many.
pub fn has_more_values(json: &[u8], limit: u32) -> bool {
    let limit = limit as usize;
    // The densest text is `[0,0,…]`: n values need 2 n - 1 bytes.
    if json.len() < limit.saturating_mul(2) {
        return false;
    }
    // Commas and openings inside strings count too, so this is at most too much.
    let rough: usize = json
        .chunks(COUNTED)
        .map(|chunk| count_few(chunk, |byte| matches!(byte, b',' | b'[' | b'{')))
        .sum();
    rough >= limit && count_values(json) > limit
}

/// The most bytes that [`count_few`] takes.
pub const COUNTED: usize = 128;

/// Count the bytes of a short piece that pass a test.
///
/// The count of a piece fits a byte, so that the compiler looks at sixteen bytes at a time; an addition that is checked for
/// overflow would keep it from that (12.8 instructions a byte, 0.7 without).
#[inline]
pub fn count_few(piece: &[u8], test: impl Fn(u8) -> bool) -> usize {
    debug_assert!(piece.len() <= COUNTED);
    let count = piece
        .iter()
        .map(|&byte| u8::from(test(byte)))
        .fold(0, u8::wrapping_add);
    usize::from(count)
}

/// Count the values of a well-formed text; of any other text, something not larger than its length.
fn count_values(json: &[u8]) -> usize {
    let mut values = 1;
    let mut bytes = json.iter().copied();
    let mut opened = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                values += usize::from(opened);
                opened = false;
                while let Some(inside) = bytes.next() {
                    match inside {
                        b'"' => break,
                        b'\\' => {
                            bytes.next();
                        }
                        _ => {}
                    }
                }
            }
            b'[' | b'{' => {
                values += usize::from(opened);
                opened = true;
            }
            b']' | b'}' => opened = false,
            b',' => values += 1,
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => {
                values += usize::from(opened);
                opened = false;
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain_run(bytes: &[u8]) -> Run {
        let length = bytes
            .iter()
            .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
            .unwrap_or(bytes.len());
        Run {
            length,
            ascii: bytes[..length].is_ascii(),
        }
    }

    proptest! {
        #[test]
        fn is_ascii_is_that_of_the_library(mut bytes in prop::collection::vec(0u8..0x80, 0..80), place: prop::sample::Index) {
            prop_assert!(is_ascii(&bytes));
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] |= 0x80;
                prop_assert!(!is_ascii(&bytes));
            }
        }

        #[test]
        fn run_is_the_plain_run(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(run(&bytes), plain_run(&bytes));
        }

        #[test]
        fn run_to_is_the_position(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0_u8..3], 0..40),
            value in prop_oneof![any::<u8>(), 0_u8..3],
        ) {
            let length = bytes.iter().position(|&byte| byte == value).unwrap_or(bytes.len());
            let ascii = bytes[..length].is_ascii();
            prop_assert_eq!(run_to(&bytes, value), Run { length, ascii });
        }

        #[test]
        fn run_is_the_plain_run_on_text(text in "[a-zé€\u{7f}\u{1f}\"\\\\😀]{0,40}") {
            prop_assert_eq!(run(text.as_bytes()), plain_run(text.as_bytes()));
        }
    }

    #[test]
    fn values_are_counted_as_they_are_read() {
        for (json, values) in [
            ("1", 1),
            ("[]", 1),
            ("[[],[],[]]", 4),
            ("[1,\"a,b[\\\"\",{}]", 4),
            ("{\"a\":1,\"b\":[2]}", 4),
            ("[ [ ] , { } ]", 3),
            ("{\"a,b\":{\"c\":null}}", 3),
        ] {
            assert_eq!(count_values(json.as_bytes()), values, "{json}");
            let limit = u32::try_from(values).unwrap();
            assert!(!has_more_values(json.as_bytes(), limit), "{json}");
            assert!(has_more_values(json.as_bytes(), limit - 1), "{json}");
        }
    }
}
