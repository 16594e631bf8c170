//! Reading MessagePack in one pass, straight into whatever a [`Builder`] makes.
//!
//! Theory of operation: that of [`crate::json::read`]. Scalars are kept on one stack as they are met, and a container is made
//! when its last item is there, so that an announced size makes nothing: memory follows what has arrived. A container that
//! announces more items than bytes are left is refused at once.

use std::vec::Drain;

use rmp::Marker;

use crate::error::{PacketError, PacketErrorKind};
use crate::json::read::Text;
use crate::json::scan;
use crate::limits::Limits;

/// Makes values out of what the reader finds.
pub trait Builder {
    /// What a value becomes.
    type Value;
    /// What can go wrong while making one.
    type Error: From<PacketError>;

    /// Make nil.
    fn nil(&mut self) -> Self::Value;
    /// Make a boolean.
    fn boolean(&mut self, value: bool) -> Self::Value;
    /// Make an integer.
    fn integer(&mut self, value: i64) -> Result<Self::Value, Self::Error>;
    /// Make an integer beyond the signed range.
    fn unsigned(&mut self, value: u64) -> Result<Self::Value, Self::Error>;
    /// Make a float.
    fn float(&mut self, value: f64) -> Result<Self::Value, Self::Error>;
    /// Make a string.
    fn string(&mut self, text: Text<'_>) -> Result<Self::Value, Self::Error>;
    /// Make a string of bytes that are ASCII.
    fn ascii_string(&mut self, bytes: &[u8]) -> Result<Self::Value, Self::Error>;
    /// Learn that the text of the string or key that is made next holds a lone surrogate, which has become U+FFFD.
    fn lone_surrogate(&mut self) {}
    /// Make bytes.
    fn binary(&mut self, bytes: &[u8]) -> Result<Self::Value, Self::Error>;
    /// Make an extension; `fixed` says whether its length was part of its marker, `offset` is where it ends, for errors.
    fn extension(
        &mut self,
        code: i8,
        data: &[u8],
        fixed: bool,
        offset: usize,
    ) -> Result<Self::Value, Self::Error>;
    /// Make a key of a map.
    fn key(&mut self, text: Text<'_>) -> Result<Self::Value, Self::Error>;
    /// Make a key of bytes that are ASCII.
    fn ascii_key(&mut self, bytes: &[u8]) -> Result<Self::Value, Self::Error>;
    /// Make a key that was no string.
    fn other_key(&mut self, key: Self::Value, offset: usize) -> Result<Self::Value, Self::Error>;
    /// Make a list of its items.
    fn array(&mut self, items: Drain<'_, Self::Value>) -> Result<Self::Value, Self::Error>;
    /// Make a map of its keys and values, which take turns; the last one of a repeated key counts.
    fn map(&mut self, entries: Drain<'_, Self::Value>) -> Result<Self::Value, Self::Error>;
}

/// What makes a value of a text.
type Make<B> = fn(&mut B, Text<'_>) -> Result<<B as Builder>::Value, <B as Builder>::Error>;

/// Read bytes that hold exactly one value.
///
/// # Errors
///
/// [`PacketErrorKind::InvalidMsgpack`], [`PacketErrorKind::TooDeep`], [`PacketErrorKind::TooManyValues`], and what the builder
/// raises.
pub fn read<B: Builder>(
    bytes: &[u8],
    limits: &Limits,
    builder: &mut B,
) -> Result<B::Value, B::Error> {
    let mut reader = Reader::new(bytes, limits, builder);
    let value = reader.value(limits.max_depth)?;
    reader.finish()?;
    Ok(value)
}

/// Reads values one after the other.
#[derive(Debug)]
pub struct Reader<'a, 'b, B: Builder> {
    bytes: &'a [u8],
    at: usize,
    values_left: u32,
    stack: Vec<B::Value>,
    builder: &'b mut B,
}

impl<'a, 'b, B: Builder> Reader<'a, 'b, B> {
    /// A reader of bytes.
    pub fn new(bytes: &'a [u8], limits: &Limits, builder: &'b mut B) -> Self {
        Self {
            bytes,
            at: 0,
            values_left: limits.max_values,
            // A guess at the most values that wait for their container at once; it only saves growing.
            stack: Vec::with_capacity((bytes.len() / 8).clamp(8, 128)),
            builder,
        }
    }

    /// Where the next byte is.
    pub const fn offset(&self) -> usize {
        self.at
    }

    #[cold]
    fn fail(kind: PacketErrorKind, offset: usize) -> B::Error {
        PacketError::new(kind, offset).into()
    }

    /// The error of bytes that are no MessagePack, at the cursor.
    #[cold]
    pub fn invalid(&self) -> B::Error {
        Self::fail(PacketErrorKind::InvalidMsgpack, self.at)
    }

    /// Look at the next byte.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Step over nil or `undefined`, if that comes next; return whether it did.
    pub fn skip_absent(&mut self) -> bool {
        let length = match self.bytes.get(self.at..) {
            Some([0xc0, ..]) => 1,
            Some([0xd4, 0, _, ..]) => 3,
            _ => return false,
        };
        self.at += length;
        true
    }

    /// Check that nothing is left.
    pub fn finish(&self) -> Result<(), B::Error> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.invalid())
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], B::Error> {
        let taken = self
            .at
            .checked_add(length)
            .and_then(|end| self.bytes.get(self.at..end));
        match taken {
            Some(taken) => {
                self.at += length;
                Ok(taken)
            }
            None => Err(self.invalid()),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], B::Error> {
        match self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => Err(self.invalid()),
        }
    }

    /// Read a length of one, two or four bytes.
    #[inline]
    fn length(&mut self, size: usize) -> Result<usize, B::Error> {
        Ok(match size {
            1 => u8::from_be_bytes(self.array()?).into(),
            2 => u16::from_be_bytes(self.array()?).into(),
            // An address has at least as many bits on every system that runs CPython 3.11.
            _ => u32::from_be_bytes(self.array()?) as usize,
        })
    }

    /// Read the marker of the next value.
    #[inline]
    pub fn marker(&mut self) -> Result<Marker, B::Error> {
        let [byte] = self.array()?;
        Ok(Marker::from_u8(byte))
    }

    /// Read the length of a map behind its marker, if it is one.
    pub fn map_length(&mut self, marker: Marker) -> Result<Option<usize>, B::Error> {
        let length = match marker {
            Marker::FixMap(length) => length.into(),
            Marker::Map16 => self.length(2)?,
            Marker::Map32 => self.length(4)?,
            _ => return Ok(None),
        };
        // An entry takes two bytes at least.
        self.check_room(length, 2)?;
        Ok(Some(length))
    }

    /// Read the length of a list behind its marker, if it is one.
    pub fn array_length(&mut self, marker: Marker) -> Result<Option<usize>, B::Error> {
        let length = match marker {
            Marker::FixArray(length) => length.into(),
            Marker::Array16 => self.length(2)?,
            Marker::Array32 => self.length(4)?,
            _ => return Ok(None),
        };
        self.check_room(length, 1)?;
        Ok(Some(length))
    }

    /// Read the bytes of a string whose marker holds its length, if that comes next: most keys and many values are one. The
    /// plain twin is `string_bytes`.
    #[inline]
    fn short_string(&mut self) -> Result<Option<&'a [u8]>, B::Error> {
        match self.peek() {
            Some(marker @ 0xa0..=0xbf) => {
                self.at += 1;
                self.take((marker & 0x1f).into()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Read the bytes of a string behind its marker, if it is one.
    #[inline]
    pub fn string_bytes(&mut self, marker: Marker) -> Result<Option<&'a [u8]>, B::Error> {
        let length = match marker {
            Marker::FixStr(length) => length.into(),
            Marker::Str8 => self.length(1)?,
            Marker::Str16 => self.length(2)?,
            Marker::Str32 => self.length(4)?,
            _ => return Ok(None),
        };
        self.take(length).map(Some)
    }

    #[inline]
    fn check_room(&self, items: usize, size: usize) -> Result<(), B::Error> {
        if items > (self.bytes.len() - self.at) / size {
            return Err(self.invalid());
        }
        Ok(())
    }

    #[inline]
    fn count(&mut self) -> Result<(), B::Error> {
        match self.values_left.checked_sub(1) {
            Some(left) => {
                self.values_left = left;
                Ok(())
            }
            None => Err(Self::fail(PacketErrorKind::TooManyValues, self.at)),
        }
    }

    /// Read a value. `depth` is how many levels it may have.
    pub fn value(&mut self, depth: u32) -> Result<B::Value, B::Error> {
        self.count()?;
        if let Some(bytes) = self.short_string()? {
            return self.string(bytes);
        }
        let marker = self.marker()?;
        match marker {
            Marker::FixPos(value) => self.builder.integer(value.into()),
            Marker::FixNeg(value) => self.builder.integer(value.into()),
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                let bytes = self.string_bytes(marker)?.unwrap_or_default();
                self.string(bytes)
            }
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                let length = self.array_length(marker)?.unwrap_or_default();
                self.items(length, depth)
            }
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
                let length = self.map_length(marker)?.unwrap_or_default();
                self.entries(length, depth)
            }
            Marker::Null => Ok(self.builder.nil()),
            Marker::False => Ok(self.builder.boolean(false)),
            Marker::True => Ok(self.builder.boolean(true)),
            Marker::U8 => {
                let value = u8::from_be_bytes(self.array()?);
                self.builder.integer(value.into())
            }
            Marker::U16 => {
                let value = u16::from_be_bytes(self.array()?);
                self.builder.integer(value.into())
            }
            Marker::U32 => {
                let value = u32::from_be_bytes(self.array()?);
                self.builder.integer(value.into())
            }
            Marker::U64 => {
                let value = u64::from_be_bytes(self.array()?);
                match i64::try_from(value) {
                    Ok(value) => self.builder.integer(value),
                    Err(_) => self.builder.unsigned(value),
                }
            }
            Marker::I8 => {
                let value = i8::from_be_bytes(self.array()?);
                self.builder.integer(value.into())
            }
            Marker::I16 => {
                let value = i16::from_be_bytes(self.array()?);
                self.builder.integer(value.into())
            }
            Marker::I32 => {
                let value = i32::from_be_bytes(self.array()?);
                self.builder.integer(value.into())
            }
            Marker::I64 => {
                let value = i64::from_be_bytes(self.array()?);
                self.builder.integer(value)
            }
            Marker::F32 => {
                let value = f32::from_be_bytes(self.array()?);
                self.builder.float(value.into())
            }
            Marker::F64 => {
                let value = f64::from_be_bytes(self.array()?);
                self.builder.float(value)
            }
            Marker::Bin8 => self.binary(1),
            Marker::Bin16 => self.binary(2),
            Marker::Bin32 => self.binary(4),
            Marker::FixExt1 => self.extension(1, true),
            Marker::FixExt2 => self.extension(2, true),
            Marker::FixExt4 => self.extension(4, true),
            Marker::FixExt8 => self.extension(8, true),
            Marker::FixExt16 => self.extension(16, true),
            Marker::Ext8 => {
                let length = self.length(1)?;
                self.extension(length, false)
            }
            Marker::Ext16 => {
                let length = self.length(2)?;
                self.extension(length, false)
            }
            Marker::Ext32 => {
                let length = self.length(4)?;
                self.extension(length, false)
            }
            Marker::Reserved => {
                self.at -= 1;
                Err(self.invalid())
            }
        }
    }

    /// Read a number, also a float without fraction, without making a value of it; `None` for one with a fraction and for
    /// everything else, of which nothing but the marker has been read then.
    pub fn whole_number(&mut self) -> Result<Option<i128>, B::Error> {
        let float = |value: f64| {
            // So large a whole float is exact as an integer, and beyond every limit.
            let is_whole = value.fract() == 0.0 && value.abs() < 1e30;
            #[expect(clippy::cast_possible_truncation, reason = "whole, and not that large")]
            is_whole.then_some(value as i128)
        };
        Ok(Some(match self.marker()? {
            Marker::FixPos(value) => value.into(),
            Marker::FixNeg(value) => value.into(),
            Marker::U8 => u8::from_be_bytes(self.array()?).into(),
            Marker::U16 => u16::from_be_bytes(self.array()?).into(),
            Marker::U32 => u32::from_be_bytes(self.array()?).into(),
            Marker::U64 => u64::from_be_bytes(self.array()?).into(),
            Marker::I8 => i8::from_be_bytes(self.array()?).into(),
            Marker::I16 => i16::from_be_bytes(self.array()?).into(),
            Marker::I32 => i32::from_be_bytes(self.array()?).into(),
            Marker::I64 => i64::from_be_bytes(self.array()?).into(),
            Marker::F32 => return Ok(float(f32::from_be_bytes(self.array()?).into())),
            Marker::F64 => return Ok(float(f64::from_be_bytes(self.array()?))),
            _ => return Ok(None),
        }))
    }

    fn binary(&mut self, size: usize) -> Result<B::Value, B::Error> {
        let length = self.length(size)?;
        let bytes = self.take(length)?;
        self.builder.binary(bytes)
    }

    fn extension(&mut self, length: usize, fixed: bool) -> Result<B::Value, B::Error> {
        let code = i8::from_be_bytes(self.array()?);
        let data = self.take(length)?;
        self.builder.extension(code, data, fixed, self.at)
    }

    /// Make a string of its bytes.
    #[inline]
    fn string(&mut self, bytes: &[u8]) -> Result<B::Value, B::Error> {
        if scan::is_ascii(bytes) {
            self.builder.ascii_string(bytes)
        } else {
            self.text(bytes, B::string)
        }
    }

    /// Make something of the bytes of a string that are not all ASCII.
    #[inline(never)]
    fn text(&mut self, bytes: &[u8], make: Make<B>) -> Result<B::Value, B::Error> {
        match simdutf8::basic::from_utf8(bytes) {
            Ok(text) => make(self.builder, Text { text, ascii: false }),
            Err(_) => match without_surrogates(bytes) {
                Some(text) => {
                    self.builder.lone_surrogate();
                    make(
                        self.builder,
                        Text {
                            text: &text,
                            ascii: false,
                        },
                    )
                }
                None => Err(Self::fail(
                    PacketErrorKind::InvalidMsgpack,
                    self.at - bytes.len(),
                )),
            },
        }
    }

    fn items(&mut self, length: usize, depth: u32) -> Result<B::Value, B::Error> {
        let depth = self.deeper(depth)?;
        let mark = self.stack.len();
        for _ in 0..length {
            let item = self.value(depth)?;
            self.stack.push(item);
        }
        self.builder.array(self.stack.drain(mark..))
    }

    fn entries(&mut self, length: usize, depth: u32) -> Result<B::Value, B::Error> {
        let depth = self.deeper(depth)?;
        let mark = self.stack.len();
        for _ in 0..length {
            let key = self.key(depth)?;
            self.stack.push(key);
            let value = self.value(depth)?;
            self.stack.push(value);
        }
        self.builder.map(self.stack.drain(mark..))
    }

    #[inline]
    fn key(&mut self, depth: u32) -> Result<B::Value, B::Error> {
        let start = self.at;
        let mut bytes = self.short_string()?;
        if bytes.is_none() {
            let marker = self.marker()?;
            bytes = self.string_bytes(marker)?;
        }
        if let Some(bytes) = bytes {
            if scan::is_ascii(bytes) {
                return self.builder.ascii_key(bytes);
            }
            return self.text(bytes, B::key);
        }
        self.at = start;
        let key = self.value(depth)?;
        self.builder.other_key(key, start)
    }

    #[inline]
    fn deeper(&self, depth: u32) -> Result<u32, B::Error> {
        depth
            .checked_sub(1)
            .ok_or_else(|| Self::fail(PacketErrorKind::TooDeep, self.at))
    }
}

/// A text in which each lone surrogate, written as JavaScript does where it must not be, is U+FFFD; nothing if anything else
/// is wrong with it.
///
/// Differs from notepack.io, which reads the surrogate: Python cannot encode one, and a cut emoji must not disconnect anybody.
#[cold]
fn without_surrogates(bytes: &[u8]) -> Option<String> {
    const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
    let mut repaired = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        if let [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] = rest {
            repaired.extend_from_slice(REPLACEMENT);
            rest = after;
        } else {
            repaired.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(repaired).ok()
}

#[cfg(test)]
pub(super) mod tests;
