//! The pieces of MessagePack, each in its shortest form.

pub use rmp::encode::ByteBuf as Buffer;
use rmp::encode::{
    write_array_len, write_bin_len, write_bool, write_ext_meta, write_f64, write_map_len,
    write_nil, write_sint, write_str_len, write_uint,
};

/// Append nil.
#[inline]
pub fn nil(out: &mut Buffer) {
    let Ok(()) = write_nil(out);
}

/// Append a boolean.
#[inline]
pub fn boolean(out: &mut Buffer, value: bool) {
    let Ok(()) = write_bool(out, value);
}

/// Append an integer.
#[inline]
pub fn integer(out: &mut Buffer, value: i64) {
    let Ok(_) = write_sint(out, value);
}

/// Append an integer that may be beyond the signed range.
#[inline]
pub fn unsigned(out: &mut Buffer, value: u64) {
    let Ok(_) = write_uint(out, value);
}

/// Append a double. Differs from notepack.io: one without a fraction stays one, so that it is one to Python programs; JavaScript
/// reads the same number.
#[inline]
pub fn float(out: &mut Buffer, value: f64) {
    let Ok(()) = write_f64(out, value);
}

/// Append what stands in front of a string of so many bytes of UTF-8.
#[inline]
pub fn string_length(out: &mut Buffer, length: u32) {
    let Ok(_) = write_str_len(out, length);
}

/// Append what stands in front of so many bytes.
#[inline]
pub fn binary_length(out: &mut Buffer, length: u32) {
    let Ok(_) = write_bin_len(out, length);
}

/// Append what stands in front of so many items.
#[inline]
pub fn array_length(out: &mut Buffer, length: u32) {
    let Ok(_) = write_array_len(out, length);
}

/// Append what stands in front of so many entries.
#[inline]
pub fn map_length(out: &mut Buffer, length: u32) {
    let Ok(_) = write_map_len(out, length);
}

/// Append what stands in front of so many bytes of an extension.
pub fn extension(out: &mut Buffer, code: i8, length: u32) {
    let Ok(_) = write_ext_meta(out, length, code);
}

/// Append bytes as they are.
#[inline]
pub fn raw(out: &mut Buffer, bytes: &[u8]) {
    out.as_mut_vec().extend_from_slice(bytes);
}
