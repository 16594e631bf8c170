//! Making Python objects of a payload, with gaps where attachments belong.
//!
//! A placeholder is met before its attachment arrives. So the object that stands for one is left out, and a `Gap`
//! remembers the list or dict and the place in it; when the last attachment is there, the gaps are filled. Nobody else has
//! seen those containers by then.

use std::vec::Drain;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};

use super::buffers;
use super::keys::Keys;
use crate::error::{PacketError, PacketErrorKind};
use crate::json::read::{Builder, Text};
use crate::socketio::is_reserved;

/// No attachment.
const NONE: u32 = u32::MAX;

/// A value on the reader's stack: an object, or a gap for an attachment.
pub(super) struct Slot<'py> {
    pub(super) object: Bound<'py, PyAny>,
    attachment: u32,
}

impl<'py> Slot<'py> {
    #[inline]
    fn of(object: Bound<'py, PyAny>) -> Self {
        Self {
            object,
            attachment: NONE,
        }
    }
}

/// Where an attachment belongs.
#[derive(Debug)]
pub(super) struct Gap {
    place: Place,
    attachment: u32,
}

#[derive(Debug)]
enum Place {
    Item(Py<PyList>, usize),
    Entry(Py<PyDict>, Py<PyAny>),
}

/// What stands in a gap until it is filled: an object of its own, which no JSON can make.
fn gap_marker(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static MARKER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let marker = MARKER.get_or_try_init(py, || {
        py.import("builtins")?
            .getattr("object")?
            .call0()
            .map(Bound::unbind)
    })?;
    Ok(marker.bind(py))
}

/// Fill the gaps.
pub(super) fn fill(py: Python<'_>, gaps: &[Gap], attachments: &[Py<PyBytes>]) -> PyResult<()> {
    let marker = gap_marker(py)?;
    // Last one first: where a key is repeated, the last value counts, and it has taken the marker by the time an earlier
    // gap of the same key is looked at.
    for gap in gaps.iter().rev() {
        let Some(attachment) = attachments.get(gap.attachment as usize) else {
            continue;
        };
        match &gap.place {
            Place::Item(list, index) => list.bind(py).set_item(*index, attachment)?,
            Place::Entry(dict, key) => {
                let dict = dict.bind(py);
                if dict.get_item(key)?.is_some_and(|value| value.is(marker)) {
                    dict.set_item(key, attachment)?;
                }
            }
        }
    }
    Ok(())
}

/// Makes the objects of one payload.
pub(super) struct PyBuilder<'py> {
    py: Python<'py>,
    /// Attachments that the header announced.
    attachments: u32,
    keys: Keys<'py>,
    /// Whether the next string is the name of the event.
    expects_event: bool,
    /// Whether some object of this packet has had a key that may make it a placeholder.
    has_placeholder_key: bool,
    /// Whether a lone surrogate has become U+FFFD.
    pub(super) has_lone_surrogate: bool,
    pub(super) gaps: Vec<Gap>,
}

impl<'py> PyBuilder<'py> {
    pub(super) fn new(py: Python<'py>, attachments: u32, expects_event: bool) -> Self {
        Self {
            py,
            attachments,
            keys: Keys::new(py),
            expects_event,
            has_placeholder_key: false,
            has_lone_surrogate: false,
            gaps: Vec::new(),
        }
    }

    /// The string of a namespace.
    pub(super) fn nsp(&mut self, nsp: &str) -> PyResult<Bound<'py, PyString>> {
        self.keys.get(nsp, nsp.is_ascii())
    }

    /// The number of the attachment that an object stands for, if it is a placeholder.
    ///
    /// Differs from socket.io-parser: the number must be an integer; it takes 0.5 and gives `undefined`.
    fn placeholder(&self, entries: &[Slot<'py>], offset: usize) -> PyResult<Option<u32>> {
        // From the end, because the last value of a repeated key counts.
        let last = |name: &str| {
            entries.rchunks_exact(2).find_map(|entry| match entry {
                [key, value] => {
                    let key = key
                        .object
                        .cast::<PyString>()
                        .ok()
                        .and_then(buffers::ascii_str)?;
                    (key == name).then_some(&value.object)
                }
                _ => None,
            })
        };
        if !last("_placeholder").is_some_and(|value| value.is(PyBool::new(self.py, true))) {
            return Ok(None);
        }
        last("num")
            .and_then(|num| {
                num.cast_exact::<PyInt>()
                    .ok()
                    .and_then(buffers::small_integer)
            })
            .and_then(|num| u32::try_from(num).ok())
            .filter(|&num| num < self.attachments)
            .map(Some)
            .ok_or_else(|| PacketError::new(PacketErrorKind::IllegalPlaceholder, offset).into())
    }
}

impl<'py> Builder for PyBuilder<'py> {
    type Value = Slot<'py>;
    type Error = PyErr;

    #[inline]
    fn null(&mut self) -> Slot<'py> {
        Slot::of(self.py.None().into_bound(self.py))
    }

    #[inline]
    fn boolean(&mut self, value: bool) -> Slot<'py> {
        Slot::of(PyBool::new(self.py, value).to_owned().into_any())
    }

    #[inline]
    fn integer(&mut self, value: i64) -> PyResult<Slot<'py>> {
        let Ok(integer) = value.into_pyobject(self.py);
        Ok(Slot::of(integer.into_any()))
    }

    fn long_integer(&mut self, digits: &str) -> PyResult<Slot<'py>> {
        // The interpreter has a limit of its own, which a program may have lowered.
        match self.py.get_type::<PyInt>().call1((digits,)) {
            Ok(integer) => Ok(Slot::of(integer)),
            Err(_) => Err(PacketError::new(PacketErrorKind::IntegerTooLong, 0).into()),
        }
    }

    #[inline]
    fn float(&mut self, value: f64) -> PyResult<Slot<'py>> {
        Ok(Slot::of(PyFloat::new(self.py, value).into_any()))
    }

    #[inline]
    fn string(&mut self, text: Text<'_>) -> PyResult<Slot<'py>> {
        if self.expects_event {
            self.expects_event = false;
            return self.key(text);
        }
        let string = buffers::new_text(self.py, text.text, text.ascii)?;
        Ok(Slot::of(string.into_any()))
    }

    fn lone_surrogate(&mut self) {
        self.has_lone_surrogate = true;
    }

    #[inline]
    fn key(&mut self, text: Text<'_>) -> PyResult<Slot<'py>> {
        if self.attachments != 0 && text.text == "_placeholder" {
            self.has_placeholder_key = true;
        }
        Ok(Slot::of(self.keys.get(text.text, text.ascii)?.into_any()))
    }

    fn array(&mut self, items: Drain<'_, Slot<'py>>) -> PyResult<Slot<'py>> {
        if self.attachments == 0 {
            let list = buffers::new_list(self.py, items.map(|slot| slot.object))?;
            return Ok(Slot::of(list.into_any()));
        }
        let mut gaps = Vec::new();
        let objects = items.enumerate().map(|(index, slot)| {
            if slot.attachment != NONE {
                gaps.push((index, slot.attachment));
            }
            slot.object
        });
        let list = buffers::new_list(self.py, objects)?;
        self.gaps
            .extend(gaps.into_iter().map(|(index, attachment)| Gap {
                place: Place::Item(list.clone().unbind(), index),
                attachment,
            }));
        Ok(Slot::of(list.into_any()))
    }

    fn object(&mut self, mut entries: Drain<'_, Slot<'py>>, offset: usize) -> PyResult<Slot<'py>> {
        if self.has_placeholder_key
            && let Some(attachment) = self.placeholder(entries.as_slice(), offset)?
        {
            return Ok(Slot {
                object: gap_marker(self.py)?.clone(),
                attachment,
            });
        }
        let dict = PyDict::new(self.py);
        while let (Some(key), Some(value)) = (entries.next(), entries.next()) {
            dict.set_item(&key.object, &value.object)?;
            if value.attachment != NONE {
                self.gaps.push(Gap {
                    place: Place::Entry(dict.clone().unbind(), key.object.unbind()),
                    attachment: value.attachment,
                });
            }
        }
        Ok(Slot::of(dict.into_any()))
    }
}

/// Check that the data of an EVENT begins with a name that a peer may send.
///
/// Source: socket.io-parser, `Decoder.isPayloadValid`.
pub(super) fn check_event(data: &Bound<'_, PyAny>, offset: usize) -> Result<(), PacketError> {
    let name = data
        .cast::<PyList>()
        .ok()
        .and_then(|list| list.get_item(0).ok());
    let Some(name) = name else {
        return Err(PacketError::new(PacketErrorKind::InvalidPayload, offset));
    };
    if let Ok(name) = name.cast::<PyString>() {
        return match buffers::ascii_str(name) {
            Some(name) if is_reserved(name.as_bytes()) => {
                Err(PacketError::new(PacketErrorKind::ReservedEvent, offset))
            }
            _ => Ok(()),
        };
    }
    let is_number = name.is_exact_instance_of::<PyInt>() || name.is_exact_instance_of::<PyFloat>();
    if is_number {
        Ok(())
    } else {
        Err(PacketError::new(PacketErrorKind::InvalidPayload, offset))
    }
}
