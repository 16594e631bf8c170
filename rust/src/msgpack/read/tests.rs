use proptest::prelude::*;

use super::*;
use crate::msgpack::write;

/// A value, for tests.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::msgpack) enum Value {
    Nil,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    String(String),
    Binary(Vec<u8>),
    Extension(i8, Vec<u8>),
    Array(Vec<Self>),
    Map(Vec<Self>),
}

/// Makes such values, and counts the containers.
#[derive(Debug, Default)]
pub(in crate::msgpack) struct Values {
    pub(in crate::msgpack) surrogates: usize,
}

impl Builder for Values {
    type Value = Value;
    type Error = PacketError;

    fn nil(&mut self) -> Value {
        Value::Nil
    }
    fn boolean(&mut self, value: bool) -> Value {
        Value::Boolean(value)
    }
    fn integer(&mut self, value: i64) -> Result<Value, PacketError> {
        Ok(Value::Integer(value))
    }
    fn unsigned(&mut self, value: u64) -> Result<Value, PacketError> {
        Ok(Value::Unsigned(value))
    }
    fn float(&mut self, value: f64) -> Result<Value, PacketError> {
        Ok(Value::Float(value))
    }
    fn string(&mut self, text: Text<'_>) -> Result<Value, PacketError> {
        assert_eq!(text.ascii, text.text.is_ascii());
        Ok(Value::String(text.text.into()))
    }
    fn ascii_string(&mut self, bytes: &[u8]) -> Result<Value, PacketError> {
        let text = std::str::from_utf8(bytes).unwrap();
        let ascii = bytes.is_ascii();
        assert!(ascii);
        self.string(Text { text, ascii })
    }
    fn ascii_key(&mut self, bytes: &[u8]) -> Result<Value, PacketError> {
        self.ascii_string(bytes)
    }
    fn lone_surrogate(&mut self) {
        self.surrogates += 1;
    }
    fn binary(&mut self, bytes: &[u8]) -> Result<Value, PacketError> {
        Ok(Value::Binary(bytes.into()))
    }
    fn extension(
        &mut self,
        code: i8,
        data: &[u8],
        _fixed: bool,
        _offset: usize,
    ) -> Result<Value, PacketError> {
        Ok(Value::Extension(code, data.into()))
    }
    fn key(&mut self, text: Text<'_>) -> Result<Value, PacketError> {
        self.string(text)
    }
    fn other_key(&mut self, key: Value, _offset: usize) -> Result<Value, PacketError> {
        Ok(key)
    }
    fn array(&mut self, items: Drain<'_, Value>) -> Result<Value, PacketError> {
        Ok(Value::Array(items.collect()))
    }
    fn map(&mut self, entries: Drain<'_, Value>) -> Result<Value, PacketError> {
        Ok(Value::Map(entries.collect()))
    }
}

fn read_value(bytes: &[u8]) -> Result<Value, PacketErrorKind> {
    read(bytes, &Limits::default(), &mut Values::default()).map_err(|error| error.kind)
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    let length = |length: usize| u32::try_from(length).unwrap();
    match value {
        Value::Nil => write::nil(out),
        Value::Boolean(value) => write::boolean(out, *value),
        Value::Integer(value) => write::integer(out, *value),
        Value::Unsigned(value) => write::unsigned(out, *value),
        Value::Float(value) => write::float(out, *value),
        Value::String(text) => {
            write::string_length(out, length(text.len()));
            write::raw(out, text.as_bytes());
        }
        Value::Binary(bytes) => {
            write::binary_length(out, length(bytes.len()));
            write::raw(out, bytes);
        }
        Value::Extension(code, data) => {
            write::extension(out, *code, length(data.len()));
            write::raw(out, data);
        }
        Value::Array(items) => {
            write::array_length(out, length(items.len()));
            for item in items {
                write_value(out, item);
            }
        }
        Value::Map(entries) => {
            write::map_length(out, length(entries.len() / 2));
            for entry in entries {
                write_value(out, entry);
            }
        }
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        (-70_000_i64..70_000).prop_map(Value::Integer),
        (i64::MAX.cast_unsigned() + 1..).prop_map(Value::Unsigned),
        any::<f64>()
            .prop_filter("equal to itself", |value| !value.is_nan())
            .prop_map(Value::Float),
        ".{0,40}".prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::Binary),
        (any::<i8>(), proptest::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(code, data)| Value::Extension(code, data)),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            proptest::collection::vec((".{0,5}".prop_map(Value::String), inner), 0..20).prop_map(
                |entries| {
                    Value::Map(
                        entries
                            .into_iter()
                            .flat_map(|(key, value)| [key, value])
                            .collect(),
                    )
                }
            ),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in values()) {
        let mut out = Vec::new();
        write_value(&mut out, &value);
        prop_assert_eq!(read_value(out.as_slice()), Ok(value));
    }

    #[test]
    fn nothing_shorter_or_longer_is_read(value in values(), cut in any::<prop::sample::Index>()) {
        let mut out = Vec::new();
        write_value(&mut out, &value);
        let bytes = out.as_slice();
        let cut = cut.index(bytes.len());
        prop_assert_eq!(read_value(&bytes[..cut]), Err(PacketErrorKind::InvalidMsgpack));
        let longer = [bytes, &[0xc0]].concat();
        prop_assert_eq!(read_value(&longer), Err(PacketErrorKind::InvalidMsgpack));
    }

    #[test]
    fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_value(&bytes);
    }
}

#[test]
fn announced_sizes_make_nothing() {
    for marker in [0xc6, 0xc9, 0xdb, 0xdd, 0xdf] {
        let bytes = [marker, 0xff, 0xff, 0xff, 0xff, 0x00];
        let mut values = Values::default();
        let limits = Limits::default();
        let mut reader = Reader::new(&bytes, &limits, &mut values);
        assert_eq!(
            reader.value(200).map_err(|error| error.kind),
            Err(PacketErrorKind::InvalidMsgpack)
        );
        assert!(reader.stack.capacity() <= 128);
    }
}

#[test]
fn reserved_byte_is_refused() {
    assert_eq!(read_value(&[0xc1]), Err(PacketErrorKind::InvalidMsgpack));
    assert_eq!(
        read_value(&[0x91, 0xc1]),
        Err(PacketErrorKind::InvalidMsgpack)
    );
}

#[test]
fn depth_and_number_of_values_are_limited() {
    let limits = Limits {
        max_depth: 3,
        max_values: 5,
        ..Limits::default()
    };
    let read =
        |bytes: &[u8]| read(bytes, &limits, &mut Values::default()).map_err(|error| error.kind);
    assert!(read(&[0x91, 0x91, 0x90]).is_ok());
    assert_eq!(
        read(&[0x91, 0x91, 0x91, 0x90]),
        Err(PacketErrorKind::TooDeep)
    );
    assert_eq!(
        read(&[0x81, 0xa0, 0x81, 0xa0, 0x81, 0xa0, 0x80]),
        Err(PacketErrorKind::TooDeep)
    );
    assert!(read(&[0x94, 0xc0, 0xc0, 0xc0, 0xc0]).is_ok());
    assert_eq!(
        read(&[0x95, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0]),
        Err(PacketErrorKind::TooManyValues)
    );
}

#[test]
fn lone_surrogates_become_replacements_and_nothing_else_does() {
    let mut values = Values::default();
    let text = |bytes: &[u8], values: &mut Values| {
        let mut out = Vec::new();
        write::string_length(&mut out, bytes.len() as u32);
        write::raw(&mut out, bytes);
        read(out.as_slice(), &Limits::default(), values).map_err(|error| error.kind)
    };
    assert_eq!(
        text(b"a\xed\xa0\xbdb\xed\xb8\x80", &mut values),
        Ok(Value::String("a\u{fffd}b\u{fffd}".into()))
    );
    assert_eq!(values.surrogates, 1);
    for bytes in [&b"\xff"[..], b"\xed\xa0", b"\xc0\x80", b"\xed\xa0\xbd\xff"] {
        assert_eq!(
            text(bytes, &mut values),
            Err(PacketErrorKind::InvalidMsgpack)
        );
    }
}

#[test]
fn floats_of_both_widths_are_read() {
    assert_eq!(
        read_value(&[0xca, 0x3f, 0x80, 0x00, 0x00]),
        Ok(Value::Float(1.0))
    );
}
