//! Reading JSON in one pass, straight into whatever a [`Builder`] makes.
//!
//! Theory of operation. Scalars are handed to the builder as they are met and what it makes of them is kept on one stack;
//! at the closing bracket the builder gets the top of the stack and makes the container, knowing its size. So nothing
//! that contains anything exists before its contents do, a text of a thousand opening brackets makes no container at all,
//! and an error drops the stack and nothing else. Recursion is one frame per level, bounded by the limit on depth. The
//! limit on values is applied by [`crate::json::scan::has_more_values`] before reading.
//!
//! What is accepted is what `JSON.parse` accepts, except that a lone surrogate in an escape becomes U+FFFD and that
//! integers keep all their digits.

use std::vec::Drain;

use super::scan;
use crate::error::{PacketError, PacketErrorKind};
use crate::limits::Limits;

/// A string of the text, with its escapes resolved.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// The characters.
    pub text: &'a str,
    /// Whether all of them are ASCII.
    pub ascii: bool,
}

/// Makes values out of what the reader finds.
pub trait Builder {
    /// What a JSON value becomes.
    type Value;
    /// What can go wrong while making one.
    type Error: From<PacketError>;

    /// Make `null`.
    fn null(&mut self) -> Self::Value;
    /// Make `true` or `false`.
    fn boolean(&mut self, value: bool) -> Self::Value;
    /// Make an integer.
    fn integer(&mut self, value: i64) -> Result<Self::Value, Self::Error>;
    /// Make an integer that passes 64 bits. `digits` has an optional minus and digits only, at most as many as the limit.
    fn long_integer(&mut self, digits: &str) -> Result<Self::Value, Self::Error>;
    /// Make a number with a fraction or an exponent; infinite where it passes the range.
    fn float(&mut self, value: f64) -> Result<Self::Value, Self::Error>;
    /// Make a string.
    fn string(&mut self, text: Text<'_>) -> Result<Self::Value, Self::Error>;
    /// Learn that the text of the string or key that is made next holds a lone surrogate, which has become U+FFFD.
    fn lone_surrogate(&mut self) {}
    /// Make a key of an object.
    fn key(&mut self, text: Text<'_>) -> Result<Self::Value, Self::Error>;
    /// Make a list of its items.
    fn array(&mut self, items: Drain<'_, Self::Value>) -> Result<Self::Value, Self::Error>;
    /// Make an object of its keys and values, which take turns; the last one of a repeated key counts. `offset` is where
    /// the object ends, for errors.
    fn object(
        &mut self,
        entries: Drain<'_, Self::Value>,
        offset: usize,
    ) -> Result<Self::Value, Self::Error>;
}

/// Read a text that holds exactly one JSON value from `start` on, white space around it allowed.
///
/// # Errors
///
/// [`PacketErrorKind::InvalidJson`], [`PacketErrorKind::TooDeep`], [`PacketErrorKind::IntegerTooLong`], and what the builder
/// raises. Offsets count from the start of the text.
pub fn read<B: Builder>(
    text: &str,
    start: usize,
    limits: &Limits,
    builder: &mut B,
) -> Result<B::Value, B::Error> {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: start,
        max_int_digits: limits.max_int_digits,
        // A guess at the most values that wait for their container at once; it only saves growing.
        stack: Vec::with_capacity(((text.len() - start.min(text.len())) / 8).clamp(8, 128)),
        unescaped: String::new(),
        builder,
    };
    reader.skip_space();
    reader.value(limits.max_depth)?;
    reader.skip_space();
    if reader.at != reader.bytes.len() {
        return Err(reader.invalid());
    }
    match reader.stack.pop() {
        Some(value) => Ok(value),
        None => Err(reader.invalid()),
    }
}

struct Reader<'a, 'b, B: Builder> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    max_int_digits: usize,
    stack: Vec<B::Value>,
    unescaped: String,
    builder: &'b mut B,
}

impl<B: Builder> Reader<'_, '_, B> {
    #[cold]
    fn fail(kind: PacketErrorKind, offset: usize) -> B::Error {
        PacketError::new(kind, offset).into()
    }

    #[cold]
    fn invalid(&self) -> B::Error {
        Self::fail(PacketErrorKind::InvalidJson, self.at)
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Read the value at the cursor onto the stack. `depth` is how many more levels may be opened.
    fn value(&mut self, depth: u32) -> Result<(), B::Error> {
        let value = match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string::<false>()?
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'{') => return self.object(depth),
            Some(b'[') => return self.array(depth),
            Some(b't') => {
                self.word(b"true")?;
                self.builder.boolean(true)
            }
            Some(b'f') => {
                self.word(b"false")?;
                self.builder.boolean(false)
            }
            Some(b'n') => {
                self.word(b"null")?;
                self.builder.null()
            }
            _ => return Err(self.invalid()),
        };
        self.stack.push(value);
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), B::Error> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word) {
            return Err(self.invalid());
        }
        self.at = end;
        Ok(())
    }

    fn array(&mut self, depth: u32) -> Result<(), B::Error> {
        let depth = self.open(depth)?;
        let mark = self.stack.len();
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                self.value(depth)?;
                if !self.next_item(b']')? {
                    break;
                }
            }
        }
        let list = self.builder.array(self.stack.drain(mark..))?;
        self.stack.push(list);
        Ok(())
    }

    fn object(&mut self, depth: u32) -> Result<(), B::Error> {
        let depth = self.open(depth)?;
        let mark = self.stack.len();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                if self.peek() != Some(b'"') {
                    return Err(self.invalid());
                }
                self.at += 1;
                let key = self.string::<true>()?;
                self.stack.push(key);
                if self.peek() != Some(b':') {
                    self.skip_space();
                    if self.peek() != Some(b':') {
                        return Err(self.invalid());
                    }
                }
                self.at += 1;
                if self.peek().is_some_and(|byte| byte <= b' ') {
                    self.skip_space();
                }
                self.value(depth)?;
                if !self.next_item(b'}')? {
                    break;
                }
            }
        }
        let object = self.builder.object(self.stack.drain(mark..), self.at)?;
        self.stack.push(object);
        Ok(())
    }

    /// Step over an opening bracket and the space behind it; return the levels left.
    fn open(&mut self, depth: u32) -> Result<u32, B::Error> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Self::fail(PacketErrorKind::TooDeep, self.at));
        };
        self.at += 1;
        self.skip_space();
        Ok(depth)
    }

    /// Step over what follows an item; return whether it was a comma rather than the closing bracket.
    #[inline]
    fn next_item(&mut self, close: u8) -> Result<bool, B::Error> {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            self.skip_space();
        }
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                if self.peek().is_some_and(|byte| byte <= b' ') {
                    self.skip_space();
                }
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.invalid()),
        }
    }

    /// Read a string whose opening quote has been stepped over.
    #[inline]
    fn string<const KEY: bool>(&mut self) -> Result<B::Value, B::Error> {
        let start = self.at;
        let run = scan::run(self.bytes.get(start..).unwrap_or_default());
        let end = start + run.length;
        self.at = end;
        if self.peek() == Some(b'"') {
            self.at += 1;
            // Both ends stand at a quote, so the slice is whole characters.
            let text = self.text.get(start..end).unwrap_or_default();
            return self.build_string::<KEY>(Text {
                text,
                ascii: run.ascii,
            });
        }
        self.escaped_string::<KEY>(start)
    }

    #[inline]
    fn build_string<const KEY: bool>(&mut self, text: Text<'_>) -> Result<B::Value, B::Error> {
        if KEY {
            self.builder.key(text)
        } else {
            self.builder.string(text)
        }
    }

    /// Read on where the plain part of a string, begun at `start`, has ended at something other than a quote.
    #[cold]
    fn escaped_string<const KEY: bool>(&mut self, start: usize) -> Result<B::Value, B::Error> {
        let mut unescaped = std::mem::take(&mut self.unescaped);
        unescaped.clear();
        let mut begin = start;
        loop {
            unescaped.push_str(self.text.get(begin..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    break;
                }
                Some(b'\\') => self.escape(&mut unescaped)?,
                _ => return Err(self.invalid()),
            }
            begin = self.at;
            self.at += scan::run(self.bytes.get(begin..).unwrap_or_default()).length;
        }
        let ascii = unescaped.is_ascii();
        let value = self.build_string::<KEY>(Text {
            text: &unescaped,
            ascii,
        });
        self.unescaped = unescaped;
        value
    }

    /// Read one escape sequence.
    fn escape(&mut self, out: &mut String) -> Result<(), B::Error> {
        let kind = self.bytes.get(self.at + 1).copied();
        out.push(match kind {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = self.code_unit(self.at)?;
                self.at += 6;
                out.push(self.surrogates(unit)?);
                return Ok(());
            }
            _ => return Err(self.invalid()),
        });
        self.at += 2;
        Ok(())
    }

    /// Turn a code unit, and the one in the escape behind it where both make a pair, into a character.
    ///
    /// Differs from `JSON.parse`: a lone surrogate, which neither UTF-8 nor most of Python can hold, becomes U+FFFD.
    fn surrogates(&mut self, unit: u16) -> Result<char, B::Error> {
        if (0xd800..0xdc00).contains(&unit) && self.bytes.get(self.at..self.at + 2) == Some(b"\\u")
        {
            let low = self.code_unit(self.at)?;
            if let Some(Ok(pair)) = char::decode_utf16([unit, low]).next() {
                self.at += 6;
                return Ok(pair);
            }
        }
        Ok(char::from_u32(u32::from(unit)).unwrap_or_else(|| {
            self.builder.lone_surrogate();
            char::REPLACEMENT_CHARACTER
        }))
    }

    /// The four digits of the `\u` escape that begins at `at`.
    fn code_unit(&self, at: usize) -> Result<u16, B::Error> {
        let digits = self.bytes.get(at + 2..at + 6).unwrap_or_default();
        let mut unit = 0;
        for &byte in digits {
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(Self::fail(PacketErrorKind::InvalidJson, at));
            };
            unit = unit << 4 | digit as u16;
        }
        if digits.len() == 4 {
            Ok(unit)
        } else {
            Err(Self::fail(PacketErrorKind::InvalidJson, at))
        }
    }

    /// Step over digits, adding them to a number that wraps beyond 64 bits; return the number and how many there were.
    #[inline]
    fn digits(&mut self, mut value: u64) -> (u64, usize) {
        let start = self.at;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            self.at += 1;
        }
        (value, self.at - start)
    }

    fn number(&mut self) -> Result<B::Value, B::Error> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let leading_zero = self.peek() == Some(b'0');
        let (mantissa, digits) = self.digits(0);
        if digits == 0 || (leading_zero && digits > 1) {
            return Err(Self::fail(PacketErrorKind::InvalidJson, start));
        }
        if let Some(b'.' | b'e' | b'E') = self.peek() {
            return self.float(start, negative, mantissa, digits);
        }
        if digits > MAX_EXACT_DIGITS {
            return self.long_integer(start, digits);
        }
        // At most 18 digits: neither the cast nor the minus can pass the range.
        let value = mantissa.cast_signed();
        self.builder.integer(if negative { -value } else { value })
    }

    #[cold]
    fn long_integer(&mut self, start: usize, digits: usize) -> Result<B::Value, B::Error> {
        if digits > self.max_int_digits {
            return Err(Self::fail(PacketErrorKind::IntegerTooLong, start));
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        match text.parse() {
            Ok(value) => self.builder.integer(value),
            Err(_) => self.builder.long_integer(text),
        }
    }

    /// Read the rest of a number that has a fraction or an exponent.
    fn float(
        &mut self,
        start: usize,
        negative: bool,
        mut mantissa: u64,
        mut digits: usize,
    ) -> Result<B::Value, B::Error> {
        let mut fraction = 0;
        if self.peek() == Some(b'.') {
            self.at += 1;
            (mantissa, fraction) = self.digits(mantissa);
            digits += fraction;
            if fraction == 0 {
                return Err(Self::fail(PacketErrorKind::InvalidJson, start));
            }
        }
        let plain = !matches!(self.peek(), Some(b'e' | b'E'));
        if !plain {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits(0).1 == 0 {
                return Err(Self::fail(PacketErrorKind::InvalidJson, start));
            }
        }
        // Clinger's fast path: a mantissa below 2^53 and a power of ten up to 10^22 are both exact, so one division
        // rounds once, as it must.
        let value = match POWERS_OF_TEN.get(fraction) {
            Some(power) if plain && digits <= MAX_EXACT_DIGITS && mantissa < 1 << 53 => {
                #[expect(clippy::cast_precision_loss, reason = "below 2^53 nothing is lost")]
                let value = mantissa as f64 / power;
                if negative { -value } else { value }
            }
            _ => match self.text.get(start..self.at).unwrap_or_default().parse() {
                Ok(value) => value,
                Err(_) => return Err(Self::fail(PacketErrorKind::InvalidJson, start)),
            },
        };
        self.builder.float(value)
    }
}

/// Digits that always fit into a signed 64-bit integer.
const MAX_EXACT_DIGITS: usize = 18;

/// The powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// A builder that makes nothing: what is left is whether a text is JSON.
#[derive(Debug)]
pub struct Validator;

impl Builder for Validator {
    type Value = ();
    type Error = PacketError;

    fn null(&mut self) {}
    fn boolean(&mut self, _: bool) {}
    fn integer(&mut self, _: i64) -> Result<(), PacketError> {
        Ok(())
    }
    fn long_integer(&mut self, _: &str) -> Result<(), PacketError> {
        Ok(())
    }
    fn float(&mut self, _: f64) -> Result<(), PacketError> {
        Ok(())
    }
    fn string(&mut self, _: Text<'_>) -> Result<(), PacketError> {
        Ok(())
    }
    fn key(&mut self, _: Text<'_>) -> Result<(), PacketError> {
        Ok(())
    }
    fn array(&mut self, _: Drain<'_, ()>) -> Result<(), PacketError> {
        Ok(())
    }
    fn object(&mut self, _: Drain<'_, ()>, _: usize) -> Result<(), PacketError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plain tree, to look at what was read.
    #[derive(Clone, Debug, PartialEq)]
    enum Tree {
        Null,
        Bool(bool),
        Int(i64),
        Long(String),
        Float(f64),
        Text(String, bool),
        List(Vec<Self>),
        Object(Vec<Self>),
    }

    struct TreeBuilder;

    impl Builder for TreeBuilder {
        type Value = Tree;
        type Error = PacketError;

        fn null(&mut self) -> Tree {
            Tree::Null
        }
        fn boolean(&mut self, value: bool) -> Tree {
            Tree::Bool(value)
        }
        fn integer(&mut self, value: i64) -> Result<Tree, PacketError> {
            Ok(Tree::Int(value))
        }
        fn long_integer(&mut self, digits: &str) -> Result<Tree, PacketError> {
            Ok(Tree::Long(digits.to_owned()))
        }
        fn float(&mut self, value: f64) -> Result<Tree, PacketError> {
            Ok(Tree::Float(value))
        }
        fn string(&mut self, text: Text<'_>) -> Result<Tree, PacketError> {
            Ok(Tree::Text(text.text.to_owned(), text.ascii))
        }
        fn key(&mut self, text: Text<'_>) -> Result<Tree, PacketError> {
            self.string(text)
        }
        fn array(&mut self, items: Drain<'_, Tree>) -> Result<Tree, PacketError> {
            Ok(Tree::List(items.collect()))
        }
        fn object(&mut self, entries: Drain<'_, Tree>, _: usize) -> Result<Tree, PacketError> {
            Ok(Tree::Object(entries.collect()))
        }
    }

    fn tree(text: &str) -> Result<Tree, PacketError> {
        read(text, 0, &Limits::default(), &mut TreeBuilder)
    }

    fn text(text: &str) -> Tree {
        Tree::Text(text.to_owned(), text.is_ascii())
    }

    #[test]
    fn scalars_are_read() {
        for (json, value) in [
            ("null", Tree::Null),
            (" true\n", Tree::Bool(true)),
            ("-0", Tree::Int(0)),
            ("999999999999999999", Tree::Int(999_999_999_999_999_999)),
            ("-9223372036854775808", Tree::Int(i64::MIN)),
            (
                "9223372036854775808",
                Tree::Long("9223372036854775808".to_owned()),
            ),
            ("1.5", Tree::Float(1.5)),
            ("-0.0", Tree::Float(-0.0)),
            ("1e400", Tree::Float(f64::INFINITY)),
            ("0.1e-7", Tree::Float(0.1e-7)),
            (
                "123456789012345678.5",
                Tree::Float(123_456_789_012_345_678.5),
            ),
            ("\"a\\u00e9\\n\"", text("aé\n")),
            ("\"\\ud83d\\ude00\"", text("😀")),
            ("\"é\"", text("é")),
        ] {
            assert_eq!(tree(json), Ok(value), "{json}");
        }
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        for (json, value) in [
            ("\"\\ud800\"", "\u{fffd}"),
            ("\"\\udc00x\"", "\u{fffd}x"),
            ("\"\\ud800\\ud83d\\ude00\"", "\u{fffd}😀"),
            ("\"\\ud800\\u0041\"", "\u{fffd}A"),
        ] {
            assert_eq!(tree(json), Ok(text(value)), "{json}");
        }
    }

    #[test]
    fn containers_are_read() {
        assert_eq!(tree("[]"), Ok(Tree::List(vec![])));
        assert_eq!(
            tree(" [ 1 , [ ] ] "),
            Ok(Tree::List(vec![Tree::Int(1), Tree::List(vec![])]))
        );
        assert_eq!(
            tree("{ \"a\" : { } , \"a\" : 1 }"),
            Ok(Tree::Object(vec![
                text("a"),
                Tree::Object(vec![]),
                text("a"),
                Tree::Int(1)
            ]))
        );
    }

    #[test]
    fn what_is_no_json_is_refused_where_it_stops_being_json() {
        for (json, offset) in [
            ("", 0),
            ("nul", 0),
            ("[1", 2),
            ("[1,]", 3),
            ("[,1]", 1),
            ("{\"a\"}", 4),
            ("{\"a\":}", 5),
            ("{a:1}", 1),
            ("{\"a\":1,}", 7),
            ("01", 0),
            ("1.", 0),
            (".5", 0),
            ("+1", 0),
            ("1e", 0),
            ("--1", 0),
            ("NaN", 0),
            ("\"a", 2),
            ("\"\u{1}\"", 1),
            ("\"\\x\"", 1),
            ("\"\\u12\"", 1),
            ("\"\\u12g4\"", 1),
            ("\"\\ud800\\u12\"", 7),
            ("1 2", 2),
            ("\u{a0}1", 0),
        ] {
            assert_eq!(
                tree(json),
                Err(PacketError::new(PacketErrorKind::InvalidJson, offset)),
                "{json}"
            );
        }
    }

    #[test]
    fn limits_hold_at_their_edge() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(tree(&nested(200)).is_ok());
        assert_eq!(
            tree(&nested(201)),
            Err(PacketError::new(PacketErrorKind::TooDeep, 200))
        );
        assert!(tree(&"9".repeat(4300)).is_ok());
        assert_eq!(
            tree(&"9".repeat(4301)),
            Err(PacketError::new(PacketErrorKind::IntegerTooLong, 0))
        );
        assert!(read(&nested(100), 0, &Limits::default(), &mut Validator).is_ok());
    }
}
