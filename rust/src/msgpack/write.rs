//! The pieces of MessagePack, each in its shortest form and with one look at the capacity.
//!
//! rmp's writers look at it for every marker and every number behind one. Measured on 100 kB of records: 157 µs with them, see
//! `benches/results/msgpack.md` for what it is now. They are the plain twins in the tests.

use crate::json::append;

/// Texts up to here are copied in pieces of eight bytes; a call of `memcpy` pays for longer ones.
const SHORT: usize = 32;

/// Append a marker and a number of fixed size.
#[inline]
fn marked<const N: usize>(out: &mut Vec<u8>, marker: u8, number: [u8; N]) {
    append::marked(out, marker, number);
}

/// Append nil.
#[inline]
pub fn nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// Append a boolean.
#[inline]
pub fn boolean(out: &mut Vec<u8>, value: bool) {
    out.push(0xc2 | u8::from(value));
}

/// Append an integer.
#[inline]
#[expect(clippy::cast_sign_loss, reason = "the ranges of the arms")]
pub fn integer(out: &mut Vec<u8>, value: i64) {
    match value {
        0.. => unsigned(out, value as u64),
        -32..0 => out.push(value as u8),
        -0x80..-32 => marked(out, 0xd0, (value as i8).to_be_bytes()),
        -0x8000..-0x80 => marked(out, 0xd1, (value as i16).to_be_bytes()),
        -0x8000_0000..-0x8000 => marked(out, 0xd2, (value as i32).to_be_bytes()),
        ..-0x8000_0000 => marked(out, 0xd3, value.to_be_bytes()),
    }
}

/// Append an integer that may be beyond the signed range.
#[inline]
pub fn unsigned(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x80 => out.push(value as u8),
        0x80..0x100 => marked(out, 0xcc, (value as u8).to_be_bytes()),
        0x100..0x1_0000 => marked(out, 0xcd, (value as u16).to_be_bytes()),
        0x1_0000..0x1_0000_0000 => marked(out, 0xce, (value as u32).to_be_bytes()),
        0x1_0000_0000.. => marked(out, 0xcf, value.to_be_bytes()),
    }
}

/// Append a double. Differs from notepack.io: one without a fraction stays one, so that it is one to Python programs; JavaScript
/// reads the same number.
#[inline]
pub fn float(out: &mut Vec<u8>, value: f64) {
    marked(out, 0xcb, value.to_be_bytes());
}

/// Append a string of UTF-8.
#[inline]
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ 0..SHORT => append::short_behind(out, 0xa0 | length as u8, bytes),
        length => {
            string_length(out, length as u32);
            raw(out, bytes);
        }
    }
}

/// Append what stands in front of a string of so many bytes of UTF-8.
#[inline]
pub fn string_length(out: &mut Vec<u8>, length: u32) {
    match length {
        0..0x20 => out.push(0xa0 | length as u8),
        0x20..0x100 => marked(out, 0xd9, (length as u8).to_be_bytes()),
        0x100..0x1_0000 => marked(out, 0xda, (length as u16).to_be_bytes()),
        0x1_0000.. => marked(out, 0xdb, length.to_be_bytes()),
    }
}

/// Append what stands in front of so many bytes.
#[inline]
pub fn binary_length(out: &mut Vec<u8>, length: u32) {
    match length {
        0..0x100 => marked(out, 0xc4, (length as u8).to_be_bytes()),
        0x100..0x1_0000 => marked(out, 0xc5, (length as u16).to_be_bytes()),
        0x1_0000.. => marked(out, 0xc6, length.to_be_bytes()),
    }
}

/// Append what stands in front of so many items.
#[inline]
pub fn array_length(out: &mut Vec<u8>, length: u32) {
    match length {
        0..0x10 => out.push(0x90 | length as u8),
        0x10..0x1_0000 => marked(out, 0xdc, (length as u16).to_be_bytes()),
        0x1_0000.. => marked(out, 0xdd, length.to_be_bytes()),
    }
}

/// Append what stands in front of so many entries.
#[inline]
pub fn map_length(out: &mut Vec<u8>, length: u32) {
    match length {
        0..0x10 => out.push(0x80 | length as u8),
        0x10..0x1_0000 => marked(out, 0xde, (length as u16).to_be_bytes()),
        0x1_0000.. => marked(out, 0xdf, length.to_be_bytes()),
    }
}

/// Append what stands in front of so many bytes of an extension.
pub fn extension(out: &mut Vec<u8>, code: i8, length: u32) {
    match length {
        1 => out.push(0xd4),
        2 => out.push(0xd5),
        4 => out.push(0xd6),
        8 => out.push(0xd7),
        16 => out.push(0xd8),
        0..0x100 => marked(out, 0xc7, (length as u8).to_be_bytes()),
        0x100..0x1_0000 => marked(out, 0xc8, (length as u16).to_be_bytes()),
        0x1_0000.. => marked(out, 0xc9, length.to_be_bytes()),
    }
    raw(out, &code.to_be_bytes());
}

/// Append bytes as they are.
#[inline]
pub fn raw(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use rmp::encode::{
        write_array_len, write_bin_len, write_ext_meta, write_f64, write_map_len, write_sint,
        write_str, write_str_len, write_uint,
    };

    use super::*;

    /// Numbers around every limit between two forms.
    fn edges() -> Vec<u64> {
        let limits = [
            0,
            8,
            16,
            32,
            128,
            1 << 8,
            1 << 15,
            1 << 16,
            1 << 31,
            1 << 32,
            1 << 63,
        ];
        let near = |limit: u64| [limit.wrapping_sub(1), limit, limit.wrapping_add(1)];
        limits.into_iter().flat_map(near).collect()
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = vec![7; 3];
        write(&mut out);
        out.split_off(3)
    }

    #[test]
    fn numbers_are_what_the_plain_twin_writes() {
        for value in edges() {
            let mut twin = Vec::new();
            write_uint(&mut twin, value).unwrap();
            assert_eq!(written(|out| unsigned(out, value)), twin, "{value}");
            for signed in [value.cast_signed(), value.cast_signed().wrapping_neg()] {
                let mut twin = Vec::new();
                write_sint(&mut twin, signed).unwrap();
                assert_eq!(written(|out| integer(out, signed)), twin, "{signed}");
            }
        }
        for value in [0.0, -0.0, 1.5, f64::INFINITY, f64::NAN, 1e300] {
            let mut twin = Vec::new();
            write_f64(&mut twin, value).unwrap();
            assert_eq!(written(|out| float(out, value)), twin, "{value}");
        }
        assert_eq!(written(nil), [0xc0]);
        assert_eq!(written(|out| boolean(out, false)), [0xc2]);
        assert_eq!(written(|out| boolean(out, true)), [0xc3]);
    }

    #[test]
    fn lengths_are_what_the_plain_twin_writes() {
        for value in edges() {
            let Ok(length) = u32::try_from(value) else {
                continue;
            };
            let mut twin = Vec::new();
            write_str_len(&mut twin, length).unwrap();
            assert_eq!(written(|out| string_length(out, length)), twin);
            let mut twin = Vec::new();
            write_bin_len(&mut twin, length).unwrap();
            assert_eq!(written(|out| binary_length(out, length)), twin);
            let mut twin = Vec::new();
            write_array_len(&mut twin, length).unwrap();
            assert_eq!(written(|out| array_length(out, length)), twin);
            let mut twin = Vec::new();
            write_map_len(&mut twin, length).unwrap();
            assert_eq!(written(|out| map_length(out, length)), twin);
            let mut twin = Vec::new();
            write_ext_meta(&mut twin, length, -5).unwrap();
            assert_eq!(written(|out| extension(out, -5, length)), twin);
        }
    }

    #[test]
    fn strings_are_what_the_plain_twin_writes() {
        let text = "0123456789é".repeat(6_000);
        for length in (0..300).chain([65_535, 65_536]) {
            let Some(text) = text.get(..length) else {
                continue;
            };
            let mut twin = Vec::new();
            write_str(&mut twin, text).unwrap();
            assert_eq!(written(|out| string(out, text.as_bytes())), twin);
        }
    }
}
