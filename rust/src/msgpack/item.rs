//! One item of a list, found without making anything of the others.

use std::vec::Drain;

use super::read::{Builder, Reader};
use crate::error::PacketError;
use crate::json::read::Text;
use crate::limits::Limits;

/// Return the bytes of an item of a list; what stands behind it is not looked at.
///
/// # Errors
///
/// If the bytes are no list, it is shorter, or what stands before the item's end is no `MessagePack` or beyond the limits.
pub fn find<'a>(bytes: &'a [u8], index: usize, limits: &Limits) -> Result<&'a [u8], PacketError> {
    let mut nothing = Nothing;
    let mut reader = Reader::new(bytes, limits, &mut nothing);
    let marker = reader.marker()?;
    let length = reader.array_length(marker)?.unwrap_or_default();
    if index >= length {
        return Err(reader.invalid());
    }
    for _ in 0..index {
        reader.value(limits.max_depth)?;
    }
    let begin = reader.offset();
    reader.value(limits.max_depth)?;
    Ok(bytes.get(begin..reader.offset()).unwrap_or_default())
}

/// Makes nothing.
struct Nothing;

impl Builder for Nothing {
    type Value = ();
    type Error = PacketError;

    fn nil(&mut self) {}
    fn boolean(&mut self, _: bool) {}
    fn integer(&mut self, _: i64) -> Result<(), PacketError> {
        Ok(())
    }
    fn unsigned(&mut self, _: u64) -> Result<(), PacketError> {
        Ok(())
    }
    fn float(&mut self, _: f64) -> Result<(), PacketError> {
        Ok(())
    }
    fn string(&mut self, _: Text<'_>) -> Result<(), PacketError> {
        Ok(())
    }
    fn ascii_string(&mut self, _: &[u8]) -> Result<(), PacketError> {
        Ok(())
    }
    fn binary(&mut self, _: &[u8]) -> Result<(), PacketError> {
        Ok(())
    }
    fn extension(&mut self, _: i8, _: &[u8], _: bool, _: usize) -> Result<(), PacketError> {
        Ok(())
    }
    fn key(&mut self, _: Text<'_>) -> Result<(), PacketError> {
        Ok(())
    }
    fn ascii_key(&mut self, _: &[u8]) -> Result<(), PacketError> {
        Ok(())
    }
    fn other_key(&mut self, (): (), _: usize) -> Result<(), PacketError> {
        Ok(())
    }
    fn array(&mut self, _: Drain<'_, ()>) -> Result<(), PacketError> {
        Ok(())
    }
    fn map(&mut self, _: Drain<'_, ()>) -> Result<(), PacketError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[u8] = b"\x93\x81\xa1a\x92\x01\xc0\xa2bc\xcd\x01\x00\xc1";

    #[test]
    fn items_are_found_where_they_are() {
        let found = |index| find(LIST, index, &Limits::default()).ok();
        assert_eq!(found(0), Some(b"\x81\xa1a\x92\x01\xc0".as_slice()));
        assert_eq!(found(1), Some(b"\xa2bc".as_slice()));
        assert_eq!(
            found(2),
            Some(b"\xcd\x01\x00".as_slice()),
            "nobody looks behind it"
        );
        assert_eq!(found(3), None);
    }

    #[test]
    fn what_is_no_list_has_none() {
        for bytes in [
            b"".as_slice(),
            b"\x80",
            b"\xdd\xff\xff\xff\xff\x01",
            b"\x91\xc1",
        ] {
            assert!(find(bytes, 0, &Limits::default()).is_err());
        }
        assert!(find(b"\x92\x01", 1, &Limits::default()).is_err());
    }

    #[test]
    fn limits_hold_for_what_is_stepped_over() {
        let limits = Limits {
            max_values: 3,
            ..Limits::default()
        };
        assert!(find(b"\x92\x93\x01\x02\x03\x04", 1, &limits).is_err());
        let limits = Limits {
            max_depth: 1,
            ..Limits::default()
        };
        assert!(find(b"\x92\x91\x91\x01\x04", 1, &limits).is_err());
    }
}
