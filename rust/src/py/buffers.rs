//! What strings, dicts and lists look like inside, behind functions that are safe to call.
//!
//! What is guaranteed: no function here hands out a borrow that user code could invalidate; objects are returned owned,
//! or as slices of immutable strings that live as long as the reference they are borrowed from. What is not: a list or
//! dict that is changed while it is walked gives each item at most as it is at that moment, and may skip or repeat items.

#![expect(unsafe_code, reason = "what strings, dicts and lists look like inside")]

use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use crate::json::{scan, write};
use crate::msgpack::write as pack;

/// The exact types that the encoder knows, told apart by comparing pointers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Str,
    Int,
    Bool,
    Float,
    None,
    Dict,
    List,
    Tuple,
    Bytes,
    Other,
}

/// The kind of an object, by its exact type.
#[inline]
pub(super) fn kind(object: &Bound<'_, PyAny>) -> Kind {
    // SAFETY: the reference keeps the object alive, and every object has a type.
    let class = unsafe { ffi::Py_TYPE(object.as_ptr()) };
    if class == &raw mut ffi::PyUnicode_Type {
        Kind::Str
    } else if class == &raw mut ffi::PyLong_Type {
        Kind::Int
    } else if class == &raw mut ffi::PyDict_Type {
        Kind::Dict
    } else if class == &raw mut ffi::PyFloat_Type {
        Kind::Float
    } else if class == &raw mut ffi::PyBool_Type {
        Kind::Bool
    } else if object.is_none() {
        Kind::None
    } else if class == &raw mut ffi::PyList_Type {
        Kind::List
    } else if class == &raw mut ffi::PyTuple_Type {
        Kind::Tuple
    } else if class == &raw mut ffi::PyBytes_Type {
        Kind::Bytes
    } else {
        Kind::Other
    }
}

/// What a string holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chars<'a> {
    /// ASCII characters.
    Ascii(&'a [u8]),
    /// Code points up to U+00FF.
    Latin1(&'a [u8]),
    /// Code points up to U+FFFF, lone surrogates among them.
    Ucs2(&'a [u16]),
    /// Any code points, lone surrogates among them.
    Ucs4(&'a [u32]),
}

/// Look at the code points of a string as they lie in memory.
#[inline]
pub(super) fn chars<'a>(string: &'a Bound<'_, PyString>) -> Chars<'a> {
    let object = string.as_ptr();
    // SAFETY: `object` is a string, kept alive by the reference; since 3.12 every string is ready, before that `PyUnicode_New`
    // and all public constructors make ready ones, and PyO3's own `PyString::data` relies on the same.
    let length = unsafe { ffi::PyUnicode_GET_LENGTH(object) }.cast_unsigned();
    // SAFETY: as above.
    let data = unsafe { ffi::PyUnicode_DATA(object) };
    // SAFETY: as above.
    let ascii = unsafe { ffi::PyUnicode_IS_ASCII(object) } != 0;
    // SAFETY: as above.
    let width = unsafe { ffi::PyUnicode_KIND(object) };
    match width {
        1 => {
            // SAFETY: `data` holds `length` units of the width that the kind names, aligned, and strings never change.
            let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
            if ascii {
                Chars::Ascii(bytes)
            } else {
                Chars::Latin1(bytes)
            }
        }
        // SAFETY: as above.
        2 => Chars::Ucs2(unsafe { std::slice::from_raw_parts(data.cast::<u16>(), length) }),
        // SAFETY: as above; 4 is the only width left.
        _ => Chars::Ucs4(unsafe { std::slice::from_raw_parts(data.cast::<u32>(), length) }),
    }
}

/// The characters of an ASCII string, which is also its UTF-8.
#[inline]
pub(super) fn ascii_str<'a>(string: &'a Bound<'_, PyString>) -> Option<&'a str> {
    match chars(string) {
        // SAFETY: ASCII is UTF-8.
        Chars::Ascii(bytes) => Some(unsafe { std::str::from_utf8_unchecked(bytes) }),
        _ => None,
    }
}

/// How wide the widest character of a text is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Width {
    /// Up to U+007F.
    Ascii,
    /// Up to U+00FF.
    Latin1,
    /// Up to U+FFFF.
    Ucs2,
    /// Any.
    Ucs4,
}

impl Width {
    /// The width of a code point.
    pub(super) const fn of(code: u32) -> Self {
        match code {
            0..0x80 => Self::Ascii,
            0x80..0x100 => Self::Latin1,
            0x100..0x1_0000 => Self::Ucs2,
            _ => Self::Ucs4,
        }
    }
}

/// What has to be known of UTF-8 to make a string of it in one copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) width: Width,
    /// Bytes that continue a character.
    pub(super) continuing: usize,
}

impl Shape {
    pub(super) const ASCII: Self = Self {
        width: Width::Ascii,
        continuing: 0,
    };

    /// The shape of a text.
    pub(super) fn of(text: &str) -> Self {
        // Two passes that the compiler makes sixteen bytes at a time. Lead bytes up to C3 stand for code points up to U+00FF,
        // up to EF for those up to U+FFFF.
        let width = match text.bytes().max().unwrap_or(0) {
            0..0x80 => return Self::ASCII,
            0x80..0xc4 => Width::Latin1,
            0xc4..0xf0 => Width::Ucs2,
            _ => Width::Ucs4,
        };
        let continuing = text
            .as_bytes()
            .chunks(scan::COUNTED)
            .map(|piece| scan::count_few(piece, |byte| byte & 0xc0 == 0x80))
            .sum();
        Self { width, continuing }
    }
}

/// Make a string of a text of which is known whether it is ASCII.
#[inline]
pub(super) fn new_text<'py>(
    py: Python<'py>,
    text: &str,
    ascii: bool,
) -> PyResult<Bound<'py, PyString>> {
    if ascii {
        new_ascii_string(py, text.as_bytes())
    } else {
        new_shaped_string(py, text.as_bytes(), Shape::of(text))
    }
}

/// Make a string of bytes that are ASCII.
#[inline]
pub(super) fn new_ascii_string<'py>(
    py: Python<'py>,
    text: &[u8],
) -> PyResult<Bound<'py, PyString>> {
    if text.len() < 2 {
        // One character and none are cached by the interpreter.
        return decode_utf8(py, text);
    }
    // SAFETY: the interpreter is attached; a string cannot be longer than a slice.
    let object = unsafe { ffi::PyUnicode_New(text.len().cast_signed(), 127) };
    // SAFETY: a new reference or null with an exception set.
    let string = unsafe { Bound::from_owned_ptr_or_err(py, object)? };
    // SAFETY: `object` is a new compact ASCII string, nobody else has seen it.
    let data = unsafe { ffi::PyUnicode_DATA(object) }.cast::<u8>();
    // SAFETY: it has room for exactly `text.len()` characters of one byte; the terminator is already there. Were a caller
    // wrong about that, the string would show Latin-1 characters in a string marked ASCII; callers take it from a scan.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), data, text.len()) };
    // SAFETY: `PyUnicode_New` makes objects of the exact type `str`.
    Ok(unsafe { string.cast_into_unchecked() })
}

/// Make a string of UTF-8 whose shape is known; one copy, where the interpreter's own decoder starts narrow and copies all it
/// has each time a wider character turns up.
pub(super) fn new_shaped_string<'py>(
    py: Python<'py>,
    text: &[u8],
    shape: Shape,
) -> PyResult<Bound<'py, PyString>> {
    let most = match shape.width {
        Width::Ascii => return new_ascii_string(py, text),
        Width::Latin1 => 0xff,
        Width::Ucs2 => 0xffff,
        Width::Ucs4 => return decode_utf8(py, text),
    };
    let count = text.len().saturating_sub(shape.continuing);
    if count < 2 {
        return decode_utf8(py, text);
    }
    // SAFETY: the interpreter is attached; a string cannot be longer than a slice.
    let object = unsafe { ffi::PyUnicode_New(count.cast_signed(), most) };
    // SAFETY: a new reference or null with an exception set.
    let string = unsafe { Bound::from_owned_ptr_or_err(py, object)? };
    // SAFETY: `object` is a new compact string, nobody else has seen it.
    let data = unsafe { ffi::PyUnicode_DATA(object) };
    if shape.width == Width::Latin1 {
        // SAFETY: the string has `count` units of one byte, uninitialised; `MaybeUninit` says so.
        let out = unsafe { std::slice::from_raw_parts_mut(data.cast::<MaybeUninit<u8>>(), count) };
        write_units(text, out, |code| code as u8);
    } else {
        // SAFETY: the string has `count` units of two bytes, aligned, uninitialised.
        let out = unsafe { std::slice::from_raw_parts_mut(data.cast::<MaybeUninit<u16>>(), count) };
        write_units(text, out, |code| code as u16);
    }
    // SAFETY: `PyUnicode_New` makes objects of the exact type `str`, and all its units are written.
    Ok(unsafe { string.cast_into_unchecked() })
}

/// Make a string of UTF-8 with the interpreter's own decoder.
fn decode_utf8<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let (data, length) = (text.as_ptr().cast(), text.len().cast_signed());
    // SAFETY: `data` and the length come from one slice; it is checked for being UTF-8.
    let object = unsafe { ffi::PyUnicode_DecodeUTF8(data, length, std::ptr::null()) };
    // SAFETY: a new reference or null with an exception set.
    let string = unsafe { Bound::from_owned_ptr_or_err(py, object)? };
    // SAFETY: the decoder makes objects of the exact type `str`.
    Ok(unsafe { string.cast_into_unchecked() })
}

/// How many bytes from the first on are ASCII.
fn ascii_run(bytes: &[u8]) -> usize {
    let mut length = 0;
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let high = u64::from_le_bytes(*chunk) & 0x8080_8080_8080_8080;
        if high != 0 {
            return length + (high.trailing_zeros() / 8) as usize;
        }
        length += 8;
        rest = tail;
    }
    length + rest.iter().take_while(|byte| byte.is_ascii()).count()
}

/// Write the code points of UTF-8 of at most three bytes each as units; fill up with zeros should the text be shorter.
fn write_units<T: Copy>(text: &[u8], out: &mut [MaybeUninit<T>], unit: impl Fn(u32) -> T) {
    let mut rest = text;
    let mut slots = out;
    while !rest.is_empty() && !slots.is_empty() {
        let run = ascii_run(rest).min(slots.len());
        let (ascii, tail) = rest.split_at_checked(run).unwrap_or((rest, &[]));
        let (room, left) = std::mem::take(&mut slots).split_at_mut(run);
        for (slot, &byte) in room.iter_mut().zip(ascii) {
            slot.write(unit(u32::from(byte)));
        }
        (rest, slots) = (tail, left);
        let Some((&lead, tail)) = rest.split_first() else {
            break;
        };
        let low = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or(0) & 0x3f);
        let lead_bits = u32::from(lead);
        let (code, used) = match lead {
            0..0xe0 => ((lead_bits & 0x1f) << 6 | low(tail.first()), 1),
            _ => (
                (lead_bits & 0xf) << 12 | low(tail.first()) << 6 | low(tail.get(1)),
                2,
            ),
        };
        let Some((slot, left)) = std::mem::take(&mut slots).split_first_mut() else {
            return;
        };
        slot.write(unit(code));
        rest = tail.get(used..).unwrap_or_default();
        slots = left;
    }
    for slot in slots {
        slot.write(unit(0));
    }
}

/// Write a value that holds no others and whose form needs nobody's help; return whether it was one.
///
/// No Python code runs in here, so a borrowed reference is enough.
#[expect(clippy::inline_always, reason = "it is the body of two hot loops")]
#[inline(always)]
pub(super) fn write_leaf(out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> bool {
    match kind(value) {
        Kind::Str => {
            // SAFETY: `kind` has looked at the exact type.
            let string = unsafe { value.cast_unchecked::<PyString>() };
            let Chars::Ascii(bytes) = chars(string) else {
                return false;
            };
            write::string(out, bytes);
        }
        Kind::Int => {
            // SAFETY: `kind` has looked at the exact type.
            let integer = unsafe { value.cast_unchecked::<PyInt>() };
            let Some(small) = small_integer(integer) else {
                return false;
            };
            write::integer(out, small);
        }
        Kind::Float => {
            // SAFETY: `kind` has looked at the exact type.
            let float = unsafe { value.cast_unchecked::<PyFloat>() };
            let float = float_value(float);
            if !float.is_finite() {
                return false; // what stands for it is the walker's to say
            }
            write::float(out, float);
        }
        Kind::Bool => {
            let is_true = value.is(PyBool::new(value.py(), true));
            write::short(out, if is_true { b"true" } else { b"false" });
        }
        Kind::None => write::short(out, b"null"),
        _ => return false,
    }
    true
}

/// Write a value in MessagePack that holds no others and whose form needs nobody's help; return whether it was one.
///
/// No Python code runs in here, so a borrowed reference is enough.
#[expect(clippy::inline_always, reason = "it is the body of two hot loops")]
#[inline(always)]
pub(super) fn pack_leaf(out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> bool {
    match kind(value) {
        Kind::Str => {
            // SAFETY: `kind` has looked at the exact type.
            let string = unsafe { value.cast_unchecked::<PyString>() };
            match chars(string) {
                Chars::Ascii(bytes) if u32::try_from(bytes.len()).is_ok() => {
                    pack::string(out, bytes);
                }
                _ => return false,
            }
        }
        Kind::Int => {
            // SAFETY: `kind` has looked at the exact type.
            let integer = unsafe { value.cast_unchecked::<PyInt>() };
            let Some(small) = small_integer(integer) else {
                return false;
            };
            pack::integer(out, small);
        }
        Kind::Float => {
            // SAFETY: `kind` has looked at the exact type.
            let float = unsafe { value.cast_unchecked::<PyFloat>() };
            pack::float(out, float_value(float));
        }
        Kind::Bool => pack::boolean(out, value.is(PyBool::new(value.py(), true))),
        Kind::None => pack::nil(out),
        _ => return false,
    }
    true
}

/// An entry of a dict that is left to the caller.
pub(super) struct Entry<'py> {
    pub(super) key: Bound<'py, PyAny>,
    pub(super) value: Bound<'py, PyAny>,
    /// Whether the key is written already.
    pub(super) has_key: bool,
}

/// Walks a dict in its order; safe against changes while it walks.
pub(super) struct Entries<'a, 'py> {
    dict: &'a Bound<'py, PyDict>,
    position: ffi::Py_ssize_t,
}

impl<'a, 'py> Entries<'a, 'py> {
    pub(super) fn new(dict: &'a Bound<'py, PyDict>) -> Self {
        Self { dict, position: 0 }
    }

    /// Write entries in MessagePack whose name and value are leaves, at most so many, which goes down; return the next one that is
    /// something else, as references of its own, with `has_key` as in `next_after_leaves`. The plain twin is the walker with its
    /// entries one by one, in the tests the library `msgpack`.
    pub(super) fn next_after_packed_leaves(
        &mut self,
        out: &mut Vec<u8>,
        left: &mut usize,
    ) -> Option<Entry<'py>> {
        let py = self.dict.py();
        while *left > 0 {
            let mut key = std::ptr::null_mut();
            let mut value = std::ptr::null_mut();
            let (dict, position) = (self.dict.as_ptr(), &raw mut self.position);
            // SAFETY: as in `next_after_leaves`.
            let found = unsafe { ffi::PyDict_Next(dict, position, &raw mut key, &raw mut value) };
            if found == 0 {
                return None;
            }
            *left -= 1;
            // SAFETY: borrowed from the dict a moment ago, and no Python code runs before the next round.
            let key = unsafe { Borrowed::from_ptr(py, key) };
            // SAFETY: as above.
            let value = unsafe { Borrowed::from_ptr(py, value) };
            let has_key = kind(&key) == Kind::Str && pack_leaf(out, &key);
            if has_key && pack_leaf(out, &value) {
                continue;
            }
            return Some(Entry {
                key: key.to_owned(),
                value: value.to_owned(),
                has_key,
            });
        }
        None
    }

    /// Write entries with an ASCII name and a leaf as value; return the next one that is something else, as references of
    /// its own. `first` says whether no entry is written yet.
    pub(super) fn next_after_leaves(
        &mut self,
        out: &mut Vec<u8>,
        first: &mut bool,
    ) -> Option<Entry<'py>> {
        let py = self.dict.py();
        loop {
            let mut key = std::ptr::null_mut();
            let mut value = std::ptr::null_mut();
            let (dict, position) = (self.dict.as_ptr(), &raw mut self.position);
            // SAFETY: the dict is alive; the three pointers are valid for writes. Each call looks at the dict anew, so a
            // dict that changed in between gives other entries, never freed ones.
            let found = unsafe { ffi::PyDict_Next(dict, position, &raw mut key, &raw mut value) };
            if found == 0 {
                return None;
            }
            // SAFETY: borrowed from the dict a moment ago, and no Python code runs before the next round.
            let key = unsafe { Borrowed::from_ptr(py, key) };
            // SAFETY: as above.
            let value = unsafe { Borrowed::from_ptr(py, value) };
            let mut has_key = false;
            if kind(&key) == Kind::Str {
                // SAFETY: `kind` has looked at the exact type.
                let name = unsafe { key.cast_unchecked::<PyString>() };
                if let Chars::Ascii(name) = chars(&name)
                    && name != PLACEHOLDER
                {
                    write::key(out, name, *first);
                    *first = false;
                    if write_leaf(out, &value) {
                        continue;
                    }
                    has_key = true;
                }
            }
            return Some(Entry {
                key: key.to_owned(),
                value: value.to_owned(),
                has_key,
            });
        }
    }
}

/// The key that makes an object a placeholder.
const PLACEHOLDER: &[u8] = b"_placeholder";

/// Write items of a list that are leaves, from `index` on; return the next one that is something else, as a reference of its
/// own, with its comma written. `index` is then its index.
#[inline]
pub(super) fn next_item_after_leaves<'py>(
    list: &Bound<'py, PyList>,
    index: &mut usize,
    out: &mut Vec<u8>,
) -> Option<Bound<'py, PyAny>> {
    loop {
        // SAFETY: a list, kept alive by the reference. Looked at in every round: a hook may have changed the list.
        let length = unsafe { ffi::PyList_GET_SIZE(list.as_ptr()) }.cast_unsigned();
        if *index >= length {
            return None;
        }
        // SAFETY: the index was checked against the length, and nothing has run since.
        let item = unsafe { ffi::PyList_GET_ITEM(list.as_ptr(), index.cast_signed()) };
        // SAFETY: borrowed from the list a moment ago, and no Python code runs before the next round.
        let item = unsafe { Borrowed::from_ptr(list.py(), item) };
        if *index > 0 {
            out.push(b',');
        }
        if !write_leaf(out, &item) {
            return Some(item.to_owned());
        }
        *index += 1;
    }
}

/// Write items of a list that are leaves in MessagePack, from `index` on and up to `end`; return the next one that is something
/// else, as a reference of its own. `index` is then its index, or where the list has turned out to end.
#[inline]
pub(super) fn next_item_after_packed_leaves<'py>(
    list: &Bound<'py, PyList>,
    index: &mut usize,
    end: usize,
    out: &mut Vec<u8>,
) -> Option<Bound<'py, PyAny>> {
    loop {
        // SAFETY: a list, kept alive by the reference. Looked at in every round: a hook may have changed the list.
        let length = unsafe { ffi::PyList_GET_SIZE(list.as_ptr()) }.cast_unsigned();
        if *index >= length.min(end) {
            return None;
        }
        // SAFETY: the index was checked against the length, and nothing has run since.
        let item = unsafe { ffi::PyList_GET_ITEM(list.as_ptr(), index.cast_signed()) };
        // SAFETY: borrowed from the list a moment ago, and no Python code runs before the next round.
        let item = unsafe { Borrowed::from_ptr(list.py(), item) };
        if !pack_leaf(out, &item) {
            return Some(item.to_owned());
        }
        *index += 1;
    }
}

/// The value of an integer that fits 64 bits.
#[inline]
pub(super) fn small_integer(integer: &Bound<'_, PyInt>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: an int, kept alive by the reference; no code of its class runs for one.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(integer.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(value)
}

/// Whether an object offers the buffer protocol.
pub(super) fn has_buffer(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the reference keeps the object alive; only its type is looked at.
    unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) != 0 }
}

/// The value of a float.
#[inline]
pub(super) fn float_value(float: &Bound<'_, PyFloat>) -> f64 {
    // SAFETY: a float, kept alive by the reference.
    unsafe { ffi::PyFloat_AS_DOUBLE(float.as_ptr()) }
}

/// Make a list of objects.
#[inline]
pub(super) fn new_list<'py>(
    py: Python<'py>,
    items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let length = items.len().cast_signed();
    // SAFETY: the interpreter is attached.
    let object = unsafe { ffi::PyList_New(length) };
    // SAFETY: a new reference or null with an exception set.
    let list = unsafe { Bound::from_owned_ptr_or_err(py, object)? };
    for (index, item) in (0..length).zip(items) {
        // SAFETY: `index` is below the length of a new list whose place there is empty; the list takes the reference over. An
        // iterator shorter than it says would leave empty places, which the interpreter's own loops over lists expect.
        unsafe { ffi::PyList_SET_ITEM(object, index, item.into_ptr()) };
    }
    // SAFETY: `PyList_New` makes objects of the exact type `list`.
    Ok(unsafe { list.cast_into_unchecked() })
}

/// Give a dict entries, which are keys and values by turns.
#[inline]
pub(super) fn fill_dict<'py>(
    dict: &Bound<'py, PyDict>,
    mut entries: impl Iterator<Item = Bound<'py, PyAny>>,
) -> PyResult<()> {
    while let (Some(key), Some(value)) = (entries.next(), entries.next()) {
        // SAFETY: a dict and two objects, kept alive by references; the dict takes references of its own.
        let failed = unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) };
        if failed != 0 {
            return Err(PyErr::fetch(dict.py()));
        }
    }
    Ok(())
}

/// The garbage collector does not start while this lives.
///
/// What a decoder makes is a tree that nobody else holds: the collector can find nothing in it, yet counts its lists and
/// dicts and walks them again and again while they are made. Measured on 100 kB of records: 580 µs without, 517 µs with it.
pub(super) struct CollectorPause {
    was_enabled: bool,
}

impl CollectorPause {
    pub(super) fn new(_attached: Python<'_>) -> Self {
        // SAFETY: the interpreter is attached.
        let was_enabled = unsafe { ffi::PyGC_Disable() } != 0;
        Self { was_enabled }
    }
}

impl Drop for CollectorPause {
    fn drop(&mut self) {
        if self.was_enabled {
            // SAFETY: made by an attached thread and dropped before it detaches: the value never leaves the function.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
