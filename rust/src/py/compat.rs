//! `CompatPacket`: a packet of python-socketio, mutable and with python-socketio's leniency.
//!
//! Two ways lead through it. What applications and clients really send goes the short one, in here. Everything else (another
//! JSON module, methods that a subclass has replaced, values that Python's `json` writes in a way of its own, texts with
//! anything unusual in them) goes the long one, `roomcast.compat.lenient`, which does step by step what python-socketio does.
//! The short way never decides that something is wrong: it gives up, and the long way raises what python-socketio raises.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::PyTraverseError;
use pyo3::exceptions::PyValueError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::{MutexExt, PyOnceLock};
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyTuple};

use super::buffers::{self, Chars, Kind, Shape};
use super::compat_data::{data_is_binary, reconstruct_binary};
use super::compat_json;
use super::compat_msgpack::CompatMsgPackPacket;
use super::decode::PyBuilder;
use super::decoder::SMALL_PAYLOAD;
use super::encode::Walker;
use super::scratch;
use crate::json::{read, write};
use crate::limits::Limits;

/// Room in front of namespace, id and payload: the type, ten digits of attachments, `-`.
pub(super) const MARGIN: usize = 12;

/// Digits of attachments that python-socketio reads.
const MAX_COUNT_DIGITS: usize = 10;

/// Digits of an id that fit 64 bits for certain.
const MAX_ID_DIGITS: usize = 18;

/// What the short way takes. Integers of more than 100 characters, sign included, are an error in python-socketio.
pub(super) static LIMITS: Limits = Limits {
    max_attachments: u32::MAX,
    max_packet_size: usize::MAX,
    max_depth: 200,
    max_values: u32::MAX,
    max_int_digits: 99,
    max_ack_id: u64::MAX,
    max_namespace_length: usize::MAX,
};

const EVENT: i64 = 2;
const ACK: i64 = 3;
const BINARY_EVENT: i64 = 5;
const BINARY_ACK: i64 = 6;

/// The attributes, which may be anything.
#[derive(Debug)]
struct Fields {
    packet_type: Py<PyAny>,
    data: Py<PyAny>,
    namespace: Py<PyAny>,
    id: Py<PyAny>,
    attachment_count: Py<PyAny>,
    /// A list that nobody has asked for yet is not made.
    attachments: Option<Py<PyAny>>,
}

/// A packet with the attributes of python-socketio's.
#[pyclass(frozen, subclass, module = "roomcast._core")]
#[derive(Debug)]
pub(super) struct CompatPacket {
    fields: Mutex<Fields>,
}

/// An argument that may be left out, where `None` is a value.
struct Given<'py>(Option<Bound<'py, PyAny>>);

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = std::convert::Infallible;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> Result<Self, Self::Error> {
        Ok(Self(Some(object.to_owned())))
    }
}

/// The value of an exact `int` of 64 bits.
pub(super) fn small_number(value: &Bound<'_, PyAny>) -> Option<i64> {
    if buffers::kind(value) == Kind::Int {
        value.cast::<PyInt>().ok().and_then(buffers::small_integer)
    } else {
        None
    }
}

fn number(py: Python<'_>, value: i64) -> Bound<'_, PyAny> {
    let Ok(value) = value.into_pyobject(py);
    value.into_any()
}

/// A function of the long way.
macro_rules! lenient {
    ($py:expr, $name:literal) => {{
        static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        FUNCTION.import($py, "roomcast.compat.lenient", $name)
    }};
}
pub(super) use lenient;

/// A flag of a packet's class.
fn is_set(packet: &Bound<'_, CompatPacket>, name: &Bound<'_, PyString>) -> PyResult<bool> {
    packet.getattr(name)?.is_truthy()
}

/// Whether a subclass has replaced methods that the short way does not call.
fn is_customised(packet: &Bound<'_, CompatPacket>) -> PyResult<bool> {
    is_set(packet, pyo3::intern!(packet.py(), "_is_customised"))
}

/// Whether a packet of a type has attachments.
pub(super) fn is_binary(packet_type: u8) -> bool {
    matches!(i64::from(packet_type), BINARY_EVENT | BINARY_ACK)
}

/// The JSON module of a packet, unless it is our own.
fn other_json<'py>(packet: &Bound<'py, CompatPacket>) -> PyResult<Option<Bound<'py, PyAny>>> {
    static JSON: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = packet.py();
    let own = JSON.get_or_try_init(py, || {
        py.import("roomcast.compat.json")
            .map(|module| module.into_any().unbind())
    })?;
    let json = packet.getattr(pyo3::intern!(py, "json"))?;
    Ok((!json.is(own)).then_some(json))
}

impl CompatPacket {
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Fields> {
        // No panic can leave half a state: fields are replaced one by one.
        self.fields
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Take what a packet of another format says.
    pub(super) fn set_parts(
        &self,
        py: Python<'_>,
        [packet_type, data, namespace, id]: [Py<PyAny>; 4],
    ) {
        let mut fields = self.lock(py);
        let old = (
            std::mem::replace(&mut fields.packet_type, packet_type),
            std::mem::replace(&mut fields.data, data),
            std::mem::replace(&mut fields.namespace, namespace),
            std::mem::replace(&mut fields.id, id),
        );
        drop(fields);
        drop(old);
    }

    /// Replace what `place` names. The old value is dropped when the lock is free again: that may run anything.
    fn replace(
        &self,
        py: Python<'_>,
        place: impl FnOnce(&mut Fields) -> &mut Py<PyAny>,
        value: Py<PyAny>,
    ) {
        let mut fields = self.lock(py);
        let old = std::mem::replace(place(&mut fields), value);
        drop(fields);
        drop(old);
    }

    /// Type, data, namespace and id.
    pub(super) fn parts<'py>(&self, py: Python<'py>) -> [Bound<'py, PyAny>; 4] {
        let fields = self.lock(py);
        [
            fields.packet_type.bind(py).clone(),
            fields.data.bind(py).clone(),
            fields.namespace.bind(py).clone(),
            fields.id.bind(py).clone(),
        ]
    }

    /// Take what was read and return the number of attachments; without an id in it the old one stays.
    fn take<'py>(&self, py: Python<'py>, decoded: Decoded<'py>) -> Bound<'py, PyAny> {
        let packet_type = number(py, decoded.packet_type).unbind();
        let mut fields = self.lock(py);
        let old = (
            std::mem::replace(&mut fields.packet_type, packet_type),
            std::mem::replace(&mut fields.data, decoded.data.unbind()),
            std::mem::replace(&mut fields.namespace, decoded.namespace.unbind()),
            decoded
                .id
                .map(|id| std::mem::replace(&mut fields.id, number(py, id).unbind())),
        );
        drop(fields);
        drop(old);
        number(py, decoded.attachments)
    }

    /// Make it a packet of the binary type that stands for its own.
    fn become_binary(&self, py: Python<'_>) -> PyResult<()> {
        let packet_type = self.lock(py).packet_type.clone_ref(py).into_bound(py);
        let binary = if packet_type.eq(EVENT)? {
            BINARY_EVENT
        } else if packet_type.eq(ACK)? {
            BINARY_ACK
        } else {
            return Err(PyValueError::new_err(
                "Packet does not support binary payload.",
            ));
        };
        let binary = number(py, binary).unbind();
        self.replace(py, |fields| &mut fields.packet_type, binary);
        Ok(())
    }

    /// An event without anything.
    pub(super) fn empty(py: Python<'_>) -> Self {
        Self {
            fields: Mutex::new(Fields {
                packet_type: number(py, EVENT).unbind(),
                data: py.None(),
                namespace: py.None(),
                id: py.None(),
                attachment_count: number(py, 0).unbind(),
                attachments: None,
            }),
        }
    }

    /// The list of attachments.
    fn attachment_list<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        let mut fields = self.lock(py);
        let list = fields
            .attachments
            .get_or_insert_with(|| PyList::empty(py).into_any().unbind());
        list.bind(py).clone()
    }
}

#[pymethods]
impl CompatPacket {
    /// Make one that `__init__` fills. A subclass may have other arguments; those of `__init__` are named so that the usual
    /// ones are not gathered in a dict.
    #[new]
    #[pyo3(signature = (
        packet_type=None,
        data=None,
        namespace=None,
        id=None,
        binary=None,
        encoded_packet=None,
        *args,
        **kwargs
    ))]
    #[expect(unused_variables, reason = "they are `__init__`'s")]
    #[expect(clippy::too_many_arguments, reason = "they are `__init__`'s")]
    pub(super) fn new(
        py: Python<'_>,
        packet_type: Option<&Bound<'_, PyAny>>,
        data: Option<&Bound<'_, PyAny>>,
        namespace: Option<&Bound<'_, PyAny>>,
        id: Option<&Bound<'_, PyAny>>,
        binary: Option<&Bound<'_, PyAny>>,
        encoded_packet: Option<&Bound<'_, PyAny>>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Self {
        Self::empty(py)
    }

    #[pyo3(signature = (
        packet_type=Given(None),
        data=None,
        namespace=None,
        id=None,
        binary=None,
        encoded_packet=None
    ))]
    fn __init__<'py>(
        slf: &Bound<'py, Self>,
        packet_type: Given<'py>,
        data: Option<Bound<'py, PyAny>>,
        namespace: Option<Py<PyAny>>,
        id: Option<Py<PyAny>>,
        binary: Option<Bound<'py, PyAny>>,
        encoded_packet: Option<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let packet = slf.get();
        let none = || py.None();
        let fields = Fields {
            packet_type: packet_type.0.unwrap_or_else(|| number(py, EVENT)).unbind(),
            data: data
                .as_ref()
                .map_or_else(none, |data| data.clone().unbind()),
            namespace: namespace.unwrap_or_else(none),
            id: id.unwrap_or_else(none),
            attachment_count: number(py, 0).unbind(),
            attachments: None,
        };
        let old = std::mem::replace(&mut *packet.lock(py), fields);
        drop(old);

        let is_binary = match (&binary, &data) {
            (None, None) => false,
            (Some(binary), _) => {
                binary.is_truthy()? && is_set(slf, pyo3::intern!(py, "uses_binary_events"))?
            }
            (None, Some(data)) => {
                if is_customised(slf)? {
                    is_set(slf, pyo3::intern!(py, "uses_binary_events"))?
                        && slf
                            .call_method1(pyo3::intern!(py, "data_is_binary"), (data,))?
                            .is_truthy()?
                } else {
                    // In MessagePack the class mostly says no, else the data says so sooner than the class.
                    let uses = || is_set(slf, pyo3::intern!(py, "uses_binary_events"));
                    (slf.cast::<CompatMsgPackPacket>().is_err() || uses()?)
                        && data_is_binary(data)?
                        && uses()?
                }
            }
        };
        if is_binary {
            packet.become_binary(py)?;
        }
        if let Some(encoded) = encoded_packet
            && encoded.is_truthy()?
        {
            let count = if is_customised(slf)? {
                slf.call_method1(pyo3::intern!(py, "decode"), (encoded,))?
            } else if let Ok(packet) = slf.cast::<CompatMsgPackPacket>() {
                CompatMsgPackPacket::decode(packet, &encoded)?
            } else {
                Self::decode(slf, &encoded)?
            };
            if count.is_truthy()? {
                packet.replace(py, |fields| &mut fields.attachment_count, count.unbind());
            }
        }
        Ok(())
    }

    fn encode<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let parts = slf.get().parts(py);
        let written = match other_json(slf)? {
            None => write_packet(&parts, || is_customised(slf))?,
            Some(_) if is_customised(slf)? => None,
            Some(json) => compat_json::write_packet(&parts, &json)?,
        };
        if let Some(written) = written {
            return Ok(written);
        }
        lenient!(py, "encode")?.call1((slf,))
    }

    fn decode<'py>(
        slf: &Bound<'py, Self>,
        encoded_packet: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Ok(text) = encoded_packet.cast_exact::<PyString>() {
            if let Some(json) = other_json(slf)? {
                if let Some((front, payload)) = compat_json::read_front(text) {
                    let count = slf.get().take(py, front);
                    if let Some(payload) = payload {
                        let data = json.call_method1(pyo3::intern!(py, "loads"), (payload,))?;
                        slf.get()
                            .replace(py, |fields| &mut fields.data, data.unbind());
                    }
                    return Ok(count);
                }
            } else if let Some(decoded) = read_packet(text)? {
                return Ok(slf.get().take(py, decoded));
            }
        }
        lenient!(py, "decode")?.call1((slf, encoded_packet))
    }

    fn add_attachment<'py>(
        slf: &Bound<'py, Self>,
        attachment: Bound<'py, PyAny>,
    ) -> PyResult<bool> {
        let py = slf.py();
        let packet = slf.get();
        let attachments = packet.attachment_list(py);
        let count = packet.lock(py).attachment_count.clone_ref(py);
        if count.bind(py).le(attachments.len()?)? {
            return Err(PyValueError::new_err("Unexpected binary attachment"));
        }
        if let Ok(list) = attachments.cast_exact::<PyList>() {
            list.append(attachment)?;
        } else {
            attachments.call_method1("append", (attachment,))?;
        }
        if !count.bind(py).eq(attachments.len()?)? {
            return Ok(false);
        }
        let data = packet.lock(py).data.clone_ref(py).into_bound(py);
        let data = if is_customised(slf)? {
            slf.call_method1(pyo3::intern!(py, "reconstruct_binary"), (data, attachments))?
        } else {
            reconstruct_binary(&data, &attachments)?
        };
        packet.replace(py, |fields| &mut fields.data, data.unbind());
        Ok(true)
    }

    #[getter]
    fn packet_type(&self, py: Python<'_>) -> Py<PyAny> {
        self.lock(py).packet_type.clone_ref(py)
    }

    #[setter]
    fn set_packet_type(&self, py: Python<'_>, packet_type: Py<PyAny>) {
        self.replace(py, |fields| &mut fields.packet_type, packet_type);
    }

    #[getter]
    fn data(&self, py: Python<'_>) -> Py<PyAny> {
        self.lock(py).data.clone_ref(py)
    }

    #[setter]
    fn set_data(&self, py: Python<'_>, data: Py<PyAny>) {
        self.replace(py, |fields| &mut fields.data, data);
    }

    #[getter]
    fn namespace(&self, py: Python<'_>) -> Py<PyAny> {
        self.lock(py).namespace.clone_ref(py)
    }

    #[setter]
    fn set_namespace(&self, py: Python<'_>, namespace: Py<PyAny>) {
        self.replace(py, |fields| &mut fields.namespace, namespace);
    }

    #[getter]
    fn id(&self, py: Python<'_>) -> Py<PyAny> {
        self.lock(py).id.clone_ref(py)
    }

    #[setter]
    fn set_id(&self, py: Python<'_>, id: Py<PyAny>) {
        self.replace(py, |fields| &mut fields.id, id);
    }

    #[getter]
    fn attachment_count(&self, py: Python<'_>) -> Py<PyAny> {
        self.lock(py).attachment_count.clone_ref(py)
    }

    #[setter]
    fn set_attachment_count(&self, py: Python<'_>, count: Py<PyAny>) {
        self.replace(py, |fields| &mut fields.attachment_count, count);
    }

    #[getter]
    fn attachments<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.attachment_list(py)
    }

    #[setter]
    fn set_attachments(&self, py: Python<'_>, attachments: Py<PyAny>) {
        let old = self.lock(py).attachments.replace(attachments);
        drop(old);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Locked means in use by another thread: what is not visited counts as reachable from outside, which it is.
        let fields = match self.fields.try_lock() {
            Ok(fields) => fields,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return Ok(()),
        };
        visit.call(&fields.packet_type)?;
        visit.call(&fields.data)?;
        visit.call(&fields.namespace)?;
        visit.call(&fields.id)?;
        visit.call(&fields.attachment_count)?;
        visit.call(&fields.attachments)
    }

    fn __clear__(&self, py: Python<'_>) {
        let none = || py.None();
        let empty = Fields {
            packet_type: none(),
            data: none(),
            namespace: none(),
            id: none(),
            attachment_count: none(),
            attachments: None,
        };
        let old = std::mem::replace(&mut *self.lock(py), empty);
        drop(old);
    }
}

/// Write a packet the short way, if it goes.
fn write_packet<'py>(
    [packet_type, data, namespace, id]: &[Bound<'py, PyAny>; 4],
    is_customised: impl FnOnce() -> PyResult<bool>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = data.py();
    let Some(packet_type @ 0..=9) =
        small_number(packet_type).and_then(|number| u8::try_from(number).ok())
    else {
        return Ok(None);
    };
    let has_attachments = is_binary(packet_type);
    if has_attachments && is_customised()? {
        return Ok(None);
    }
    let mut out = scratch::take();
    out.clear();
    out.extend_from_slice(&[0; MARGIN]);
    let mut walker = Walker::new(py, &LIMITS, None, has_attachments, out);
    walker.plain = true;
    let address = write_address(&mut walker.out, namespace, id);
    walker.shape = address.unwrap_or(Shape::ASCII);
    let is_written = address.is_some() && (data.is_none() || walker.payload(data).is_ok());
    let Walker {
        mut out,
        shape,
        attachments,
        ..
    } = walker;
    let written = if is_written {
        let count = has_attachments.then_some(attachments.len());
        let start = write_margin(&mut out, packet_type, count);
        let text = buffers::new_shaped_string(py, out.get(start..).unwrap_or_default(), shape);
        text.map(Some)
    } else {
        Ok(None)
    };
    scratch::put(out);
    let Some(text) = written? else {
        return Ok(None);
    };
    if !has_attachments {
        return Ok(Some(text.into_any()));
    }
    let list = PyList::new(py, [text])?;
    for attachment in attachments {
        list.append(attachment)?;
    }
    Ok(Some(list.into_any()))
}

/// Write namespace and id as they are; return the shape of their text.
pub(super) fn write_address(
    out: &mut Vec<u8>,
    namespace: &Bound<'_, PyAny>,
    id: &Bound<'_, PyAny>,
) -> Option<Shape> {
    let mut shape = Shape::ASCII;
    if !namespace.is_none() {
        let name = namespace.cast_exact::<PyString>().ok()?;
        if !matches!(buffers::chars(name), Chars::Ascii(b"/")) {
            let name = name.to_str().ok()?;
            shape = Shape::of(name);
            out.extend_from_slice(name.as_bytes());
            out.push(b',');
        }
    }
    if !id.is_none() {
        write::integer(out, small_number(id)?);
    }
    Some(shape)
}

/// Write type and number of attachments into the margin; return where the packet begins.
pub(super) fn write_margin(out: &mut [u8], packet_type: u8, attachments: Option<usize>) -> usize {
    let mut at = MARGIN;
    let mut push = |byte: u8| {
        at -= 1;
        if let Some(slot) = out.get_mut(at) {
            *slot = byte;
        }
    };
    if let Some(mut left) = attachments {
        push(b'-');
        loop {
            push(b'0' + (left % 10) as u8);
            left /= 10;
            if left == 0 {
                break;
            }
        }
    }
    push(b'0' + packet_type);
    at
}

/// What a text says.
pub(super) struct Decoded<'py> {
    pub(super) packet_type: i64,
    pub(super) attachments: i64,
    pub(super) namespace: Bound<'py, PyAny>,
    pub(super) id: Option<i64>,
    pub(super) data: Bound<'py, PyAny>,
}

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head<'a> {
    pub(super) packet_type: i64,
    pub(super) attachments: i64,
    pub(super) namespace: Option<&'a str>,
    pub(super) id: Option<i64>,
    /// Where the payload begins.
    pub(super) payload: usize,
}

/// Read digits, at most so many, where nothing but ASCII follows them; return their value and where they end.
fn read_digits(bytes: &[u8], start: usize, most: usize) -> Option<(i64, usize)> {
    let mut value: i64 = 0;
    let mut at = start;
    while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
        if at - start >= most {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
        at += 1;
    }
    // What is not ASCII may be a digit to Python as well.
    bytes
        .get(at)
        .is_none_or(u8::is_ascii)
        .then_some((value, at))
}

/// Read the head of a packet as python-socketio does, if it has nothing unusual in it.
pub(super) fn read_head(text: &str) -> Option<Head<'_>> {
    let bytes = text.as_bytes();
    let packet_type = bytes.first().filter(|byte| byte.is_ascii_digit())? - b'0';
    let mut at = 1;
    let mut attachments = 0;
    // Of a longer run of digits that no dash follows, the second look below makes the id.
    if let Some((count, end)) = read_digits(bytes, at, MAX_COUNT_DIGITS) {
        if end > at && bytes.get(end) == Some(&b'-') {
            attachments = count;
            at = end + 1;
        }
    } else {
        return None;
    }
    let mut namespace = None;
    if bytes.get(at) == Some(&b'/') {
        let rest = text.get(at..)?;
        let (name, next) = match rest.split_once(',') {
            Some((name, _)) => (name, at + name.len() + 1),
            None => (rest, text.len()),
        };
        namespace = Some(name.split_once('?').map_or(name, |(name, _)| name));
        at = next;
    }
    let (value, payload) = read_digits(bytes, at, MAX_ID_DIGITS)?;
    Some(Head {
        packet_type: packet_type.into(),
        attachments,
        namespace,
        id: (payload > at).then_some(value),
        payload,
    })
}

/// Read a packet the short way, if it goes.
fn read_packet<'py>(text: &Bound<'py, PyString>) -> PyResult<Option<Decoded<'py>>> {
    let py = text.py();
    let whole = match buffers::ascii_str(text) {
        Some(ascii) => ascii,
        None => match text.to_str() {
            Ok(utf8) => utf8,
            Err(_) => return Ok(None),
        },
    };
    let Some(head) = read_head(whole) else {
        return Ok(None);
    };
    let is_event = matches!(head.packet_type, EVENT | BINARY_EVENT);
    let mut builder = PyBuilder::new(py, 0, is_event);
    let json = whole.len() - head.payload;
    let data = if json == 0 {
        py.None().into_bound(py)
    } else {
        let pause = (json > SMALL_PAYLOAD).then(|| buffers::CollectorPause::new(py));
        let read = read::read(whole, head.payload, &LIMITS, &mut builder);
        drop(pause);
        match read {
            Ok(slot) if !builder.has_lone_surrogate => slot.object,
            _ => return Ok(None),
        }
    };
    let namespace = match head.namespace {
        None => py.None().into_bound(py),
        Some(name) => builder.nsp(name)?.into_any(),
    };
    Ok(Some(Decoded {
        packet_type: head.packet_type,
        attachments: head.attachments,
        namespace,
        id: head.id,
        data,
    }))
}
