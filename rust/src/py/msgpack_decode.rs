//! Making Python objects of MessagePack.

use std::vec::Drain;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString, PyType};

use super::buffers;
use super::keys::Keys;
use super::msgpack_encode::ext_class;
use crate::error::{PacketError, PacketErrorKind};
use crate::json::read::Text;
use crate::json::write::float_key;
use crate::msgpack::extension::Extension;
use crate::msgpack::read::Builder;

/// Who says what becomes of extensions and of keys that are no strings.
enum Style<'a, 'py> {
    /// As JavaScript understands them.
    Own,
    /// As the library `msgpack` does, with the hook that this class has.
    Library(&'a Bound<'py, PyType>),
}

/// An exception behind a pointer: a result of an object or one is returned in registers.
pub(super) struct Raised(Box<PyErr>);

impl From<PyErr> for Raised {
    #[cold]
    fn from(error: PyErr) -> Self {
        Self(Box::new(error))
    }
}

impl From<PacketError> for Raised {
    #[cold]
    fn from(error: PacketError) -> Self {
        PyErr::from(error).into()
    }
}

impl From<Raised> for PyErr {
    fn from(error: Raised) -> Self {
        *error.0
    }
}

/// Makes the objects of one packet.
pub(super) struct PyBuilder<'a, 'py> {
    pub(super) py: Python<'py>,
    keys: Keys<'py>,
    style: Style<'a, 'py>,
    /// Whether neither a string nor a key was made yet: such a string is, almost always, the name of an event. Behind a key it may
    /// be the token of a CONNECT, which should not stay in memory.
    expects_event: bool,
    /// Whether a lone surrogate has become U+FFFD.
    pub(super) has_lone_surrogate: bool,
}

impl<'a, 'py> PyBuilder<'a, 'py> {
    pub(super) fn new(py: Python<'py>) -> Self {
        Self {
            py,
            keys: Keys::new(py),
            style: Style::Own,
            expects_event: true,
            has_lone_surrogate: false,
        }
    }

    /// One for what the library `msgpack` would make.
    pub(super) fn of_library(class: &'a Bound<'py, PyType>) -> Self {
        Self {
            style: Style::Library(class),
            ..Self::new(class.py())
        }
    }

    /// The string of a namespace.
    pub(super) fn nsp(&mut self, nsp: &str) -> PyResult<Bound<'py, PyString>> {
        if nsp == "/" {
            return Ok(pyo3::intern!(self.py, "/").clone());
        }
        self.keys.get(nsp, nsp.is_ascii())
    }

    /// Call a function that makes a date.
    fn date(
        &self,
        cell: &'static PyOnceLock<Py<PyAny>>,
        name: &str,
        arguments: impl pyo3::call::PyCallArgs<'py>,
        offset: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let make = cell.import(self.py, "roomcast.msgpack.convert", name)?;
        // What JavaScript takes for a date reaches beyond the years that Python has.
        make.call1(arguments)
            .map_err(|_| PacketError::new(PacketErrorKind::InvalidMsgpack, offset).into())
    }
}

fn refused(offset: usize) -> Raised {
    PacketError::new(PacketErrorKind::InvalidMsgpack, offset).into()
}

impl<'py> Builder for PyBuilder<'_, 'py> {
    type Value = Bound<'py, PyAny>;
    type Error = Raised;

    fn nil(&mut self) -> Self::Value {
        self.py.None().into_bound(self.py)
    }

    fn boolean(&mut self, value: bool) -> Self::Value {
        PyBool::new(self.py, value).to_owned().into_any()
    }

    #[inline]
    fn integer(&mut self, value: i64) -> Result<Self::Value, Raised> {
        let Ok(integer) = value.into_pyobject(self.py);
        Ok(integer.into_any())
    }

    fn unsigned(&mut self, value: u64) -> Result<Self::Value, Raised> {
        let Ok(integer) = value.into_pyobject(self.py);
        Ok(integer.into_any())
    }

    fn float(&mut self, value: f64) -> Result<Self::Value, Raised> {
        Ok(PyFloat::new(self.py, value).into_any())
    }

    #[inline]
    fn string(&mut self, text: Text<'_>) -> Result<Self::Value, Raised> {
        if self.expects_event {
            return self.key(text);
        }
        Ok(self.keys.value(text.text, text.ascii)?.into_any())
    }

    #[inline]
    fn ascii_string(&mut self, bytes: &[u8]) -> Result<Self::Value, Raised> {
        if self.expects_event {
            return self.ascii_key(bytes);
        }
        Ok(self.keys.ascii_value(bytes)?.into_any())
    }

    fn lone_surrogate(&mut self) {
        self.has_lone_surrogate = true;
    }

    fn binary(&mut self, bytes: &[u8]) -> Result<Self::Value, Raised> {
        Ok(PyBytes::new(self.py, bytes).into_any())
    }

    fn extension(
        &mut self,
        code: i8,
        data: &[u8],
        fixed: bool,
        offset: usize,
    ) -> Result<Self::Value, Raised> {
        static DATE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static TIMESTAMP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        if let Style::Library(class) = self.style {
            if code == crate::msgpack::extension::TIMESTAMP {
                return Err(refused(offset)); // it has a class of its own for them
            }
            // Of the class, so that a function is not bound to the packet.
            let hook = class.getattr(pyo3::intern!(self.py, "ext_hook"))?;
            return Ok(hook.call1((code, PyBytes::new(self.py, data)))?);
        }
        Ok(match Extension::new(code, data, fixed) {
            Extension::Undefined => self.nil(),
            Extension::Date(milliseconds) => self.date(&DATE, "date", (milliseconds,), offset)?,
            Extension::Timestamp(seconds, nanoseconds) => {
                self.date(&TIMESTAMP, "timestamp", (seconds, nanoseconds), offset)?
            }
            Extension::Binary(bytes) => self.binary(bytes)?,
            Extension::Other(code, data) => {
                ext_class(self.py)?.call1((code, PyBytes::new(self.py, data)))?
            }
        })
    }

    #[inline]
    fn key(&mut self, text: Text<'_>) -> Result<Self::Value, Raised> {
        self.expects_event = false;
        Ok(self.keys.get(text.text, text.ascii)?.into_any())
    }

    #[inline]
    fn ascii_key(&mut self, bytes: &[u8]) -> Result<Self::Value, Raised> {
        self.expects_event = false;
        Ok(self.keys.get_ascii(bytes)?.into_any())
    }

    fn other_key(&mut self, key: Self::Value, offset: usize) -> Result<Self::Value, Raised> {
        if let Style::Library(_) = self.style {
            return if key.is_instance_of::<PyBytes>() {
                Ok(key)
            } else {
                Err(refused(offset))
            };
        }
        if key.is_none() {
            return Ok(PyString::new(self.py, "null").into_any());
        }
        if let Ok(boolean) = key.cast::<PyBool>() {
            return Ok(
                PyString::new(self.py, if boolean.is_true() { "true" } else { "false" }).into_any(),
            );
        }
        if key.is_instance_of::<PyInt>() {
            return Ok(key.str()?.into_any());
        }
        if let Ok(float) = key.cast::<PyFloat>() {
            let text = float_key(buffers::float_value(float));
            return Ok(PyString::new(self.py, &text).into_any());
        }
        Err(refused(offset))
    }

    fn array(&mut self, items: Drain<'_, Self::Value>) -> Result<Self::Value, Raised> {
        Ok(buffers::new_list(self.py, items)?.into_any())
    }

    fn map(&mut self, entries: Drain<'_, Self::Value>) -> Result<Self::Value, Raised> {
        let dict = PyDict::new(self.py);
        buffers::fill_dict(&dict, entries)?;
        Ok(dict.into_any())
    }
}
