//! Walking Python objects straight into MessagePack.
//!
//! User code may run inside the walk (hooks, `items` of dict subclasses, buffers): every object that is walked is held by a
//! reference of its own, and nothing is locked. The number of items stands in front of them, so what changes while it is walked
//! is refused. A cycle ends at the limit on depth.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple,
};

use super::buffers::{self, Chars, Kind};
use super::decoder::{class_name, copy_buffer};
use super::encode::{Failure, Segment, Walk, at, refuse};
use super::raw_json::RawJson;
use crate::json::write::float_key;
use crate::limits::Limits;
use crate::msgpack::write;

/// Writes values.
pub(super) struct Walker<'a, 'py> {
    py: Python<'py>,
    limits: &'a Limits,
    default: Option<&'a Bound<'py, PyAny>>,
    /// Whether only what the library `msgpack` writes in the same way may be written: anything else ends the walk.
    plain: bool,
    pub(super) out: Vec<u8>,
}

/// The class whose objects are extensions.
pub(super) fn ext_class(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CLASS.import(py, "roomcast.msgpack.extension", "Ext")
}

/// The length of something as it stands in front of it.
fn length(length: usize) -> Result<u32, Failure> {
    u32::try_from(length).map_err(|_| refuse("longer than MessagePack can say"))
}

#[cold]
fn changed() -> Failure {
    refuse("it has changed while it was encoded")
}

impl<'a, 'py> Walker<'a, 'py> {
    pub(super) fn new(
        py: Python<'py>,
        limits: &'a Limits,
        default: Option<&'a Bound<'py, PyAny>>,
        plain: bool,
        out: Vec<u8>,
    ) -> Self {
        Self {
            py,
            limits,
            default,
            plain,
            out,
        }
    }

    /// Write a payload.
    pub(super) fn payload(&mut self, data: &Bound<'py, PyAny>) -> Walk {
        self.value(data, self.limits.max_depth)
    }

    /// Write the payload of an event whose name and arguments are apart.
    pub(super) fn event(&mut self, event: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> Walk {
        let depth = self.deeper(self.limits.max_depth)?;
        write::array_length(&mut self.out, length(args.len() + 1)?);
        self.value(event, depth)
            .map_err(|failure| at(failure, Segment::Index(0)))?;
        for (index, arg) in args.iter_borrowed().enumerate() {
            self.value(&arg, depth)
                .map_err(|failure| at(failure, Segment::Index(index + 1)))?;
        }
        Ok(())
    }

    /// Write any value.
    #[inline]
    pub(super) fn value(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        if buffers::pack_leaf(&mut self.out, value) {
            return Ok(());
        }
        self.larger(value, depth)
    }

    /// Write a value that is no leaf.
    #[inline(never)]
    fn larger(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        match buffers::kind(value) {
            Kind::Str => match value.cast::<PyString>() {
                Ok(text) => self.string(text),
                Err(error) => Err(PyErr::from(error).into()),
            },
            Kind::Int => self.integer(value),
            Kind::Dict => self.dict(value, depth),
            Kind::List => self.list(value, depth),
            Kind::Tuple => self.tuple(value, depth),
            Kind::Bytes => match value.cast::<PyBytes>() {
                Ok(bytes) => self.binary(bytes.as_bytes()),
                Err(error) => Err(PyErr::from(error).into()),
            },
            // Of these only the last one is left: the others are leaves.
            Kind::Float | Kind::Bool | Kind::None | Kind::Other => self.other(value, depth),
        }
    }

    #[inline]
    fn string(&mut self, text: &Bound<'py, PyString>) -> Walk {
        match buffers::chars(text) {
            Chars::Ascii(bytes) => {
                length(bytes.len())?;
                write::string(&mut self.out, bytes);
                Ok(())
            }
            Chars::Latin1(units) => self.wide(units.iter().map(|&unit| u32::from(unit))),
            Chars::Ucs2(units) => self.wide(units.iter().map(|&unit| u32::from(unit))),
            Chars::Ucs4(units) => self.wide(units.iter().copied()),
        }
    }

    /// Write code points that are not all ASCII.
    ///
    /// Differs from notepack.io: a lone surrogate becomes U+FFFD, because UTF-8 has no form for one, and other libraries refuse
    /// what JavaScript writes there.
    fn wide(&mut self, codes: impl Iterator<Item = u32> + Clone) -> Walk {
        let has_surrogate = || codes.clone().any(|code| (0xd800..0xe000).contains(&code));
        if self.plain && has_surrogate() {
            return Err(refuse("the library says what it thinks of surrogates"));
        }
        let chars = codes.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        let bytes: usize = chars.clone().map(char::len_utf8).sum();
        write::string_length(&mut self.out, length(bytes)?);
        let out = &mut self.out;
        out.reserve(bytes);
        let mut utf8 = [0; 4];
        for char in chars {
            out.extend_from_slice(char.encode_utf8(&mut utf8).as_bytes());
        }
        Ok(())
    }

    fn integer(&mut self, value: &Bound<'py, PyAny>) -> Walk {
        let Ok(integer) = value.cast::<PyInt>() else {
            return Ok(());
        };
        if let Some(small) = buffers::small_integer(integer) {
            write::integer(&mut self.out, small);
        } else if let Ok(large) = integer.extract::<u64>() {
            write::unsigned(&mut self.out, large);
        } else {
            return Err(refuse("an integer of more than 64 bits"));
        }
        Ok(())
    }

    fn binary(&mut self, bytes: &[u8]) -> Walk {
        write::binary_length(&mut self.out, length(bytes.len())?);
        write::raw(&mut self.out, bytes);
        Ok(())
    }

    fn deeper(&self, depth: u32) -> Result<u32, Failure> {
        depth.checked_sub(1).ok_or_else(|| {
            refuse(format!(
                "nested deeper than {} levels, or a cycle",
                self.limits.max_depth
            ))
        })
    }

    fn list(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        let Ok(list) = value.cast::<PyList>() else {
            return Ok(());
        };
        let depth = self.deeper(depth)?;
        let count = list.len();
        write::array_length(&mut self.out, length(count)?);
        let mut index = 0;
        let next = buffers::next_item_after_packed_leaves;
        while let Some(item) = next(list, &mut index, count, &mut self.out) {
            self.larger(&item, depth)
                .map_err(|failure| at(failure, Segment::Index(index)))?;
            index += 1;
        }
        if index == count && list.len() == count {
            Ok(())
        } else {
            Err(changed())
        }
    }

    fn tuple(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        let Ok(tuple) = value.cast::<PyTuple>() else {
            return Ok(());
        };
        let depth = self.deeper(depth)?;
        write::array_length(&mut self.out, length(tuple.len())?);
        for (index, item) in tuple.iter_borrowed().enumerate() {
            self.value(&item, depth)
                .map_err(|failure| at(failure, Segment::Index(index)))?;
        }
        Ok(())
    }

    fn dict(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        let Ok(dict) = value.cast::<PyDict>() else {
            return Ok(());
        };
        let depth = self.deeper(depth)?;
        let count = dict.len();
        write::map_length(&mut self.out, length(count)?);
        let mut entries = buffers::Entries::new(dict);
        let mut left = count;
        while let Some(entry) = entries.next_after_packed_leaves(&mut self.out, &mut left) {
            if entry.has_key {
                self.named(&entry.key, &entry.value, depth)?;
            } else {
                self.entry(&entry.key, &entry.value, depth)?;
            }
        }
        // A dict that has grown may have entries behind those that were written.
        if left == 0 && dict.len() == count {
            Ok(())
        } else {
            Err(changed())
        }
    }

    /// Write the entries of a dict subclass in the order that its `items` gives.
    fn items(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        let depth = self.deeper(depth)?;
        let items = value
            .call_method0("items")?
            .try_iter()?
            .collect::<PyResult<Vec<_>>>()?;
        write::map_length(&mut self.out, length(items.len())?);
        for item in items {
            let (key, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
            self.entry(&key, &value, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, key: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        if let Ok(text) = key.cast::<PyString>() {
            self.string(text)?;
        } else if self.plain {
            self.value(key, depth)?;
        } else {
            self.other_key(key)?;
        }
        self.named(key, value, depth)
    }

    /// Write the value of an entry whose key is written.
    fn named(&mut self, key: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        self.value(value, depth).map_err(|failure| {
            let key = key
                .str()
                .map_or_else(|_| "?".to_owned(), |key| key.to_string());
            at(failure, Segment::Key(key))
        })
    }

    /// Write a key that is no string, as JavaScript spells it.
    #[cold]
    fn other_key(&mut self, key: &Bound<'py, PyAny>) -> Walk {
        let text = if key.is_none() {
            "null".to_owned()
        } else if let Ok(boolean) = key.cast::<PyBool>() {
            boolean.is_true().to_string()
        } else if let Ok(integer) = key.cast::<PyInt>() {
            match buffers::small_integer(integer) {
                Some(integer) => integer.to_string(),
                None => return Err(refuse("a key that is an integer of more than 64 bits")),
            }
        } else if let Ok(float) = key.cast::<PyFloat>() {
            float_key(buffers::float_value(float))
        } else {
            let class = class_name(key);
            return Err(refuse(format!(
                "a key must be str, int, float, bool or None, not {class}"
            )));
        };
        write::string(&mut self.out, text.as_bytes());
        Ok(())
    }

    /// Write what is none of the exact types.
    #[cold]
    fn other(&mut self, value: &Bound<'py, PyAny>, depth: u32) -> Walk {
        if let Ok(bytes) = value.cast_exact::<PyByteArray>() {
            return self.binary(&bytes.to_vec());
        }
        if self.plain {
            return Err(refuse("the library knows better"));
        }
        if value.get_type().is(ext_class(self.py)?) {
            let (code, data): (i8, Vec<u8>) = value.extract().map_err(|error| {
                refuse("an Ext has a code of -128 to 127, and bytes").because(Some(error))
            })?;
            write::extension(&mut self.out, code, length(data.len())?);
            write::raw(&mut self.out, &data);
            return Ok(());
        }
        if value.is_instance_of::<RawJson>() {
            return Err(refuse("RawJSON has no MessagePack form"));
        }
        if let Ok(text) = value.cast::<PyString>() {
            return self.string(text);
        }
        if value.is_instance_of::<PyInt>() {
            return self.integer(value);
        }
        if let Ok(float) = value.cast::<PyFloat>() {
            write::float(&mut self.out, buffers::float_value(float));
            return Ok(());
        }
        if value.is_instance_of::<PyDict>() {
            return self.items(value, depth);
        }
        if value.is_instance_of::<PyList>() {
            return self.list(value, depth);
        }
        if value.is_instance_of::<PyTuple>() {
            return self.tuple(value, depth);
        }
        if buffers::has_buffer(value) {
            // A scalar of a numeric library offers its bytes too, but nobody means them.
            let dimensions: usize = PyMemoryView::from(value)?.getattr("ndim")?.extract()?;
            if dimensions > 0 {
                return self.binary(copy_buffer(value)?.as_bytes());
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
        let ready = READY.import(self.py, "roomcast.msgpack.convert", "convert")?;
        let other = ready.call1((value,))?;
        if other.is(self.py.NotImplemented()) {
            let reason = format!("{} has no MessagePack form", class_name(value));
            return Err(refuse(reason).because(refusal));
        }
        self.value(&other, deeper)
    }
}
