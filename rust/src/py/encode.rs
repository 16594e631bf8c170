//! Walking Python objects straight into JSON, taking binary values out on the way.
//!
//! User code may run inside the walk (hooks, `items` of dict subclasses, buffers): every object that is walked is held by a
//! reference of its own, and nothing is locked. A cycle ends at the limit on depth.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple};

use super::buffers::{self, Chars, Kind, Shape, Width};
use super::decoder::{class_name, copy_buffer};
use super::errors;
use super::raw_json::RawJson;
use crate::json::write;
use crate::limits::Limits;

/// Why a walk ended. Boxed, so that the way back up costs one register.
pub(super) struct Failure(Box<Details>);

struct Details {
    cause: Cause,
    /// The way from the value up to the data, innermost first.
    path: Vec<Segment>,
}

enum Cause {
    /// A value cannot be encoded.
    Encode(String, Option<PyErr>),
    /// User code has raised.
    Raised(PyErr),
}

pub(super) enum Segment {
    Index(usize),
    Key(String),
}

pub(super) type Walk = Result<(), Failure>;

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self(Box::new(Details {
            cause: Cause::Raised(error),
            path: Vec::new(),
        }))
    }
}

#[cold]
pub(super) fn refuse(reason: impl Into<String>) -> Failure {
    Failure(Box::new(Details {
        cause: Cause::Encode(reason.into(), None),
        path: Vec::new(),
    }))
}

impl Failure {
    /// Name the exception that led to it.
    pub(super) fn because(mut self, error: Option<PyErr>) -> Self {
        if let Cause::Encode(_, cause) = &mut self.0.cause {
            *cause = error;
        }
        self
    }

    /// The exception to raise.
    pub(super) fn into_error(self, py: Python<'_>) -> PyErr {
        match self.0.cause {
            Cause::Raised(error) => error,
            Cause::Encode(reason, cause) => {
                let error = errors::encode_error(py, &reason, &path_text(&self.0.path));
                if cause.is_some() {
                    error.set_cause(py, cause);
                }
                error
            }
        }
    }
}

/// Characters of a key that a path shows.
const MAX_KEY_SHOWN: usize = 32;

fn path_text(path: &[Segment]) -> String {
    let mut text = "data".to_owned();
    for segment in path.iter().rev() {
        match segment {
            Segment::Index(index) => text.extend(["[", &index.to_string(), "]"]),
            Segment::Key(key) => {
                let shown: String = key.chars().take(MAX_KEY_SHOWN).collect();
                let plain = shown
                    .chars()
                    .all(|char| char.is_alphanumeric() || char == '_')
                    && !shown.starts_with(|char: char| char.is_ascii_digit())
                    && !shown.is_empty();
                if plain {
                    text.extend([".", &shown]);
                } else {
                    text.extend(["[", &format!("{shown:?}"), "]"]);
                }
            }
        }
    }
    text
}

/// What a payload becomes.
pub(super) struct Walker<'a, 'py> {
    py: Python<'py>,
    limits: &'a Limits,
    default: Option<&'a Bound<'py, PyAny>>,
    /// Whether this packet type can carry attachments.
    takes_binary: bool,
    /// Whether only what Python's own `json` writes to the same effect may be written: anything else ends the walk.
    pub(super) plain: bool,
    /// Whether an object was met that a receiver would take for a placeholder.
    has_placeholder: bool,
    pub(super) out: Vec<u8>,
    /// What is needed to make a string of `out`.
    pub(super) shape: Shape,
    pub(super) attachments: Vec<Bound<'py, PyBytes>>,
}

impl<'a, 'py> Walker<'a, 'py> {
    pub(super) fn new(
        py: Python<'py>,
        limits: &'a Limits,
        default: Option<&'a Bound<'py, PyAny>>,
        takes_binary: bool,
        out: Vec<u8>,
    ) -> Self {
        Self {
            py,
            limits,
            default,
            takes_binary,
            plain: false,
            has_placeholder: false,
            out,
            shape: Shape::ASCII,
            attachments: Vec::new(),
        }
    }

    /// Write a payload.
    pub(super) fn payload(&mut self, data: &Bound<'py, PyAny>) -> Walk {
        self.value(data, self.limits.max_depth)?;
        self.check_placeholders()
    }

    /// Write the payload of an event whose name and arguments are apart.
    pub(super) fn event(&mut self, event: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> Walk {
        let Some(depth) = self.limits.max_depth.checked_sub(1) else {
            return Err(self.too_deep());
        };
        self.out.push(b'[');
        self.value(event, depth)
            .map_err(|failure| at(failure, Segment::Index(0)))?;
        for (index, arg) in args.iter().enumerate() {
            self.out.push(b',');
            self.value(&arg, depth)
                .map_err(|failure| at(failure, Segment::Index(index + 1)))?;
        }
        self.out.push(b']');
        self.check_placeholders()
    }

    /// Differs from socket.io-parser, which sends such an object as it is, and the receiver puts an attachment in its place.
    fn check_placeholders(&self) -> Walk {
        if self.has_placeholder && !self.attachments.is_empty() && !self.plain {
            return Err(refuse(
                "an object with \"_placeholder\": true cannot travel beside binary data: \
                 the receiver would take it for an attachment",
            ));
        }
        Ok(())
    }

    #[cold]
    fn too_deep(&self) -> Failure {
        refuse(format!(
            "nested deeper than {} levels, or a cycle",
            self.limits.max_depth
        ))
    }

    /// Write any value.
    #[inline]
    fn value(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        if buffers::write_leaf(&mut self.out, value) {
            return Ok(());
        }
        self.larger(value, depth)
    }

    /// Write a value that is no leaf.
    #[inline(never)]
    fn larger(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        match buffers::kind(value) {
            Kind::Dict => self.dict(value, depth),
            Kind::List => self.list(value, depth),
            Kind::Tuple => self.tuple(value, depth),
            Kind::Str => self.string(value),
            Kind::Int => self.integer(value),
            Kind::Bytes => match value.cast::<PyBytes>() {
                Ok(bytes) => self.attachment(bytes.clone()),
                Err(error) => Err(PyErr::from(error).into()),
            },
            Kind::Float => self.float(value),
            // Of these only the last one is left: the others are leaves.
            Kind::Bool | Kind::None | Kind::Other => self.other(value, depth),
        }
    }

    /// Write a float that is not finite, or of a subclass.
    #[cold]
    fn float(&mut self, value: &Bound<'py, PyAny>) -> Walk {
        if self.plain {
            return Err(refuse("Python's json writes it in a way of its own"));
        }
        if let Ok(float) = value.cast::<PyFloat>() {
            write::float(&mut self.out, buffers::float_value(float));
        }
        Ok(())
    }

    #[inline]
    fn integer(&mut self, value: &Bound<'py, PyAny>) -> Walk {
        let Ok(integer) = value.cast::<PyInt>() else {
            return Ok(());
        };
        if let Some(small) = buffers::small_integer(integer) {
            write::integer(&mut self.out, small);
            return Ok(());
        }
        let digits = self.long_integer(integer)?;
        self.out.extend_from_slice(digits.as_bytes());
        Ok(())
    }

    /// The digits of an integer beyond 64 bits. Subclasses are asked for their value, not for their text.
    #[cold]
    fn long_integer(&self, integer: &Bound<'py, PyInt>) -> Result<String, Failure> {
        let too_long = || {
            refuse(format!(
                "an integer of more than {} digits",
                self.limits.max_int_digits
            ))
        };
        let bits: usize = integer.call_method0("bit_length")?.extract()?;
        // log10(2) is above 0.3: refused before its digits are made, which takes quadratic time.
        if bits / 100 * 30 > self.limits.max_int_digits {
            return Err(too_long());
        }
        let text = self
            .py
            .get_type::<PyInt>()
            .call_method1("__repr__", (integer,));
        let Ok(text) = text.and_then(|text| text.extract::<String>()) else {
            return Err(too_long());
        };
        if text.trim_start_matches('-').len() > self.limits.max_int_digits {
            return Err(too_long());
        }
        Ok(text)
    }

    #[inline]
    fn string(&mut self, value: &Bound<'py, PyAny>) -> Walk {
        if let Ok(string) = value.cast::<PyString>() {
            if let Chars::Ascii(bytes) = buffers::chars(string) {
                write::string(&mut self.out, bytes);
            } else {
                self.out.push(b'"');
                self.wide_characters(string);
                self.out.push(b'"');
            }
        }
        Ok(())
    }

    /// Account for text of some shape.
    fn widen(&mut self, shape: Shape) {
        self.shape.width = self.shape.width.max(shape.width);
        self.shape.continuing += shape.continuing;
    }

    fn wide_characters(&mut self, string: &Bound<'py, PyString>) {
        match buffers::chars(string) {
            Chars::Ascii(bytes) => write::string_contents(&mut self.out, bytes),
            Chars::Latin1(units) => self.wide(units.iter().map(|&unit| u32::from(unit))),
            Chars::Ucs2(units) => self.wide(units.iter().map(|&unit| u32::from(unit))),
            Chars::Ucs4(units) => self.wide(units.iter().copied()),
        }
    }

    /// Write code points that are not all ASCII.
    fn wide(&mut self, codes: impl Iterator<Item = u32>) {
        let mut utf8 = [0; 4];
        let mut continuing = 0;
        // The widest of those that are written as they are: the width of the string does not tell, as its widest character
        // may be a surrogate. A string wider than its characters would be equal to no other.
        let mut widest = 0;
        for code in codes {
            match char::from_u32(code) {
                Some(char @ (' ' | '!' | '#'..='[' | ']'..='\u{7f}')) => self.out.push(char as u8),
                Some(char) if char.is_ascii() => {
                    write::string_contents(&mut self.out, &[char as u8]);
                }
                Some(char) => {
                    widest = widest.max(code);
                    let encoded = char.encode_utf8(&mut utf8).as_bytes();
                    continuing += encoded.len() - 1;
                    self.out.extend_from_slice(encoded);
                }
                // A lone surrogate, as `JSON.stringify` writes it.
                None => write::unit_escape(&mut self.out, code as u16),
            }
        }
        let width = Width::of(widest);
        self.widen(Shape { width, continuing });
    }

    fn deeper(&self, depth: u32) -> Result<u32, Failure> {
        depth.checked_sub(1).ok_or_else(|| self.too_deep())
    }

    fn list(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        let Ok(list) = value.cast::<PyList>() else {
            return Ok(());
        };
        let depth = self.deeper(depth)?;
        self.out.push(b'[');
        let mut index = 0;
        while let Some(item) = buffers::next_item_after_leaves(list, &mut index, &mut self.out) {
            self.larger(&item, depth)
                .map_err(|failure| at(failure, Segment::Index(index)))?;
            index += 1;
        }
        self.out.push(b']');
        Ok(())
    }

    fn tuple(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        let Ok(tuple) = value.cast::<PyTuple>() else {
            return Ok(());
        };
        let depth = self.deeper(depth)?;
        let takes_binary = self.takes_binary;
        // python-socketio takes attachments out of lists and dicts alone.
        self.takes_binary &= !self.plain;
        self.out.push(b'[');
        for (index, item) in tuple.iter_borrowed().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.value(&item, depth)
                .map_err(|failure| at(failure, Segment::Index(index)))?;
        }
        self.out.push(b']');
        self.takes_binary = takes_binary;
        Ok(())
    }

    fn dict(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        let Ok(dict) = value.cast::<PyDict>() else {
            return Ok(());
        };
        let depth = self.deeper(depth)?;
        self.out.push(b'{');
        let mut first = true;
        let mut entries = buffers::Entries::new(dict);
        while let Some(entry) = entries.next_after_leaves(&mut self.out, &mut first) {
            if !entry.has_key {
                self.key(&entry.key, first)?;
                first = false;
            }
            self.entry_value(&entry.key, &entry.value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Write the entries of a dict subclass in the order that its `items` gives.
    fn items(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        let depth = self.deeper(depth)?;
        self.out.push(b'{');
        let mut first = true;
        for item in value.call_method0("items")?.try_iter()? {
            let (key, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item?.extract()?;
            self.key(&key, first)?;
            first = false;
            self.entry_value(&key, &value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Write a key with its colon, and a comma in front of it unless it is the first.
    fn key(&mut self, key: &Bound<'py, PyAny>, first: bool) -> Walk {
        if buffers::kind(key) == Kind::Str
            && let Ok(key) = key.cast::<PyString>()
            && let Chars::Ascii(name) = buffers::chars(key)
        {
            write::key(&mut self.out, name, first);
        } else {
            if !first {
                self.out.push(b',');
            }
            self.out.push(b'"');
            self.other_key(key)?;
            write::short(&mut self.out, b"\":");
        }
        Ok(())
    }

    fn entry_value(
        &mut self,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        depth: u32,
    ) -> Walk {
        let start = self.out.len();
        let walked = self.value(value, depth);
        // What counts is what is written: a key may be of a subclass of `str`, and a hook may have made the value.
        if let Some((before, written)) = self.out.split_at_checked(start)
            && written.trim_ascii() == b"true"
            && (before.ends_with(b"{\"_placeholder\":") || before.ends_with(b",\"_placeholder\":"))
        {
            self.has_placeholder = true;
        }
        walked.map_err(|failure| {
            let key = key
                .str()
                .map_or_else(|_| "?".to_owned(), |key| key.to_string());
            at(failure, Segment::Key(key))
        })
    }

    /// Write a key that is not an ASCII `str`, as JavaScript spells it.
    #[cold]
    fn other_key(&mut self, key: &Bound<'py, PyAny>) -> Walk {
        match buffers::kind(key) {
            // Spelled as the value is.
            Kind::None | Kind::Bool => {
                buffers::write_leaf(&mut self.out, key);
            }
            _ => {
                if let Ok(text) = key.cast::<PyString>() {
                    self.wide_characters(text);
                } else if key.cast::<PyInt>().is_ok() {
                    self.integer(key)?;
                } else if let Ok(float) = key.cast::<PyFloat>() {
                    if self.plain {
                        return Err(refuse("Python's json spells it as its repr"));
                    }
                    let text = write::float_key(buffers::float_value(float));
                    self.out.extend_from_slice(text.as_bytes());
                } else {
                    let class = class_name(key);
                    return Err(refuse(format!(
                        "a key must be str, int, float, bool or None, not {class}"
                    )));
                }
            }
        }
        Ok(())
    }

    fn attachment(&mut self, bytes: Bound<'py, PyBytes>) -> Walk {
        if !self.takes_binary {
            // Differs from socket.io-parser, which writes the bytes as a list of numbers in an object.
            return Err(refuse(
                "binary data can travel in events and acknowledgements only",
            ));
        }
        let number = self.attachments.len();
        if number >= self.limits.max_attachments as usize {
            return Err(refuse(format!(
                "more than {} attachments in one packet",
                self.limits.max_attachments
            )));
        }
        self.attachments.push(bytes);
        self.out
            .extend_from_slice(b"{\"_placeholder\":true,\"num\":");
        write::integer(&mut self.out, number.cast_signed() as i64);
        self.out.push(b'}');
        Ok(())
    }

    /// Write what is none of the exact types.
    #[cold]
    fn other(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        if self.plain {
            return Err(refuse("Python's json knows better"));
        }
        if let Ok(raw) = value.cast::<RawJson>() {
            let raw = raw.get();
            self.widen(raw.shape);
            self.out.extend_from_slice(&raw.json);
            return Ok(());
        }
        if value.cast::<PyString>().is_ok() {
            return self.string(value);
        }
        if value.cast::<PyInt>().is_ok() {
            return self.integer(value);
        }
        if value.cast::<PyFloat>().is_ok() {
            return self.float(value);
        }
        if value.cast::<PyDict>().is_ok() {
            return self.items(value, depth);
        }
        if value.cast::<PyList>().is_ok() {
            return self.list(value, depth);
        }
        if value.cast::<PyTuple>().is_ok() {
            return self.tuple(value, depth);
        }
        if buffers::has_buffer(value) {
            // A scalar of a numeric library offers its bytes too, but nobody means them.
            let dimensions: usize = PyMemoryView::from(value)?.getattr("ndim")?.extract()?;
            if dimensions > 0 {
                return self.attachment(copy_buffer(value)?);
            }
        }
        self.converted(value, depth)
    }

    /// Write what the caller's hook or the ready support makes of a value.
    fn converted(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        static READY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let deeper = self.deeper(depth)?;
        let mut refusal = None;
        if let Some(default) = self.default {
            match default.call1((value,)) {
                Ok(other) => return self.value(&other, deeper),
                // As with `json.dumps`, a hook says so with a TypeError when a type is not its own.
                Err(error) if error.is_instance_of::<PyTypeError>(self.py) => refusal = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        let ready = READY.import(self.py, "roomcast.codec.convert", "convert")?;
        match ready.call1((value,)) {
            Ok(other) if other.is(self.py.NotImplemented()) => {}
            Ok(other) => return self.value(&other, deeper),
            Err(error) => return Err(error.into()),
        }
        Err(refuse(format!("{} has no JSON form", class_name(value))).because(refusal))
    }
}

#[cold]
pub(super) fn at(mut failure: Failure, segment: Segment) -> Failure {
    failure.0.path.push(segment);
    failure
}
