//! `CompatPacket`: a packet of python-socketio, mutable and with python-socketio's leniency.
//!
//! Two ways lead through it. What applications and clients really send goes the short one, in here. Everything else (another
//! JSON module, methods that a subclass has replaced, values that Python's `json` writes in a way of its own, texts with
//! anything unusual in them) goes the long one, `roomcast.compat.lenient`, which does step by step what python-socketio does.
//! The short way never decides that something is wrong: it gives up, and the long way raises what python-socketio raises.

use pyo3::PyTraverseError;
use pyo3::exceptions::PyValueError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PySuper, PyTuple, PyType};

use super::compat_data::{data_is_binary, reconstruct_binary};
use super::compat_json;
use super::compat_msgpack::CompatMsgPackPacket;
use super::compat_text::{
    ACK, BINARY_ACK, BINARY_EVENT, Decoded, EVENT, read_packet, write_packet,
};
use super::slots::{self, Slot};
use super::vectorcall::{self, Arguments, Construct};

/// A packet with the attributes of python-socketio's, which may be anything. Before `__init__` there are none.
#[pyclass(frozen, subclass, module = "roomcast._core")]
#[derive(Debug)]
pub(super) struct CompatPacket {
    packet_type: Slot,
    data: Slot,
    namespace: Slot,
    id: Slot,
    attachment_count: Slot,
    /// A list that nobody has asked for yet is not made.
    attachments: Slot,
}

/// An argument that may be left out, where `None` is a value.
struct Given<'py>(Option<Bound<'py, PyAny>>);

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = std::convert::Infallible;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> Result<Self, Self::Error> {
        Ok(Self(Some(object.to_owned())))
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

/// Whether a subclass has methods or attributes of its own in the place of some that the short way does not ask for.
pub(super) fn is_customised(packet: &Bound<'_, CompatPacket>) -> PyResult<bool> {
    is_set(packet, pyo3::intern!(packet.py(), "_is_customised"))
}

/// The JSON module of a packet, unless it is our own, or python-socketio's, which does the same.
fn other_json<'py>(packet: &Bound<'py, CompatPacket>) -> PyResult<Option<Bound<'py, PyAny>>> {
    static OURS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static THEIRS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = packet.py();
    let ours = OURS.get_or_try_init(py, || {
        py.import("roomcast.compat.json")
            .map(|module| module.into_any().unbind())
    })?;
    let json = packet.getattr(pyo3::intern!(py, "json"))?;
    if json.is(ours) || THEIRS.get(py).is_some_and(|theirs| json.is(theirs)) {
        return Ok(None);
    }
    let is_theirs = ours
        .bind(py)
        .call_method1(pyo3::intern!(py, "is_default"), (&json,))?
        .is_truthy()?;
    if is_theirs {
        let _ = THEIRS.set(py, json.unbind());
        return Ok(None);
    }
    Ok(Some(json))
}

impl CompatPacket {
    /// One without attributes.
    pub(super) const fn empty() -> Self {
        Self {
            packet_type: Slot::empty(),
            data: Slot::empty(),
            namespace: Slot::empty(),
            id: Slot::empty(),
            attachment_count: Slot::empty(),
            attachments: Slot::empty(),
        }
    }

    const fn slots(&self) -> [&Slot; 6] {
        [
            &self.packet_type,
            &self.data,
            &self.namespace,
            &self.id,
            &self.attachment_count,
            &self.attachments,
        ]
    }

    /// Give the class its attributes.
    pub(super) fn install(py: Python<'_>) -> PyResult<()> {
        let packet = Bound::new(py, Self::empty())?;
        let fields = packet.get();
        slots::install(
            &packet,
            &[
                (c"packet_type", &fields.packet_type),
                (c"data", &fields.data),
                (c"namespace", &fields.namespace),
                (c"id", &fields.id),
                (c"attachment_count", &fields.attachment_count),
            ],
        )
    }

    /// Take what a packet of another format says.
    pub(super) fn set_parts(&self, [packet_type, data, namespace, id]: [Bound<'_, PyAny>; 4]) {
        self.packet_type.set(packet_type);
        self.data.set(data);
        self.namespace.set(namespace);
        self.id.set(id);
    }

    /// The same for a class that may have attributes of its own.
    #[cold]
    pub(super) fn assign_parts<'py>(
        slf: &Bound<'py, Self>,
        [packet_type, data, namespace, id]: [Bound<'py, PyAny>; 4],
    ) -> PyResult<()> {
        let py = slf.py();
        slf.setattr(pyo3::intern!(py, "packet_type"), packet_type)?;
        slf.setattr(pyo3::intern!(py, "data"), data)?;
        slf.setattr(pyo3::intern!(py, "namespace"), namespace)?;
        slf.setattr(pyo3::intern!(py, "id"), id)
    }

    /// Type, data, namespace and id, if none has been deleted.
    pub(super) fn parts<'py>(&self, py: Python<'py>) -> Option<[Bound<'py, PyAny>; 4]> {
        Some([
            self.packet_type.get(py)?,
            self.data.get(py)?,
            self.namespace.get(py)?,
            self.id.get(py)?,
        ])
    }

    /// Take what was read and return the number of attachments; without an id in it the old one stays.
    fn take<'py>(&self, py: Python<'py>, decoded: Decoded<'py>) -> Bound<'py, PyAny> {
        self.packet_type.set(number(py, decoded.packet_type));
        self.data.set(decoded.data);
        self.namespace.set(decoded.namespace);
        if let Some(id) = decoded.id {
            self.id.set(number(py, id));
        }
        number(py, decoded.attachments)
    }

    /// The same for a class that may have attributes of its own.
    #[cold]
    fn assign<'py>(slf: &Bound<'py, Self>, decoded: Decoded<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.setattr(pyo3::intern!(py, "packet_type"), decoded.packet_type)?;
        slf.setattr(pyo3::intern!(py, "data"), decoded.data)?;
        slf.setattr(pyo3::intern!(py, "namespace"), decoded.namespace)?;
        if let Some(id) = decoded.id {
            slf.setattr(pyo3::intern!(py, "id"), id)?;
        }
        Ok(number(py, decoded.attachments))
    }

    /// Read a text; return how many attachments belong to it.
    fn read<'py>(
        slf: &Bound<'py, Self>,
        encoded_packet: &Bound<'py, PyAny>,
        is_customised: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Ok(text) = encoded_packet.cast_exact::<PyString>() {
            if let Some(json) = other_json(slf)? {
                if let Some((front, payload)) = compat_json::read_front(text) {
                    let count = if is_customised {
                        Self::assign(slf, front)?
                    } else {
                        slf.get().take(py, front)
                    };
                    if let Some(payload) = payload {
                        let data = json.call_method1(pyo3::intern!(py, "loads"), (payload,))?;
                        Self::set_data(slf, data, is_customised)?;
                    }
                    return Ok(count);
                }
            } else if let Some(decoded) = read_packet(text)? {
                if is_customised {
                    return Self::assign(slf, decoded);
                }
                return Ok(slf.get().take(py, decoded));
            }
        }
        lenient!(py, "decode")?.call1((slf, encoded_packet))
    }

    fn set_data<'py>(
        slf: &Bound<'py, Self>,
        data: Bound<'py, PyAny>,
        is_customised: bool,
    ) -> PyResult<()> {
        if is_customised {
            return slf.setattr(pyo3::intern!(slf.py(), "data"), data);
        }
        slf.get().data.set(data);
        Ok(())
    }

    /// The binary type that stands for a type.
    fn binary_type<'py>(packet_type: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let binary = if packet_type.eq(EVENT)? {
            BINARY_EVENT
        } else if packet_type.eq(ACK)? {
            BINARY_ACK
        } else {
            return Err(PyValueError::new_err(
                "Packet does not support binary payload.",
            ));
        };
        Ok(number(packet_type.py(), binary))
    }

    /// Fill a packet of a class that may have methods and attributes of its own.
    #[cold]
    fn fill_customised<'py>(
        slf: &Bound<'py, Self>,
        parts: [Bound<'py, PyAny>; 4],
        binary: Option<Bound<'py, PyAny>>,
        encoded_packet: Option<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let count = pyo3::intern!(py, "attachment_count");
        Self::assign_parts(slf, parts)?;
        if is_set(slf, pyo3::intern!(py, "uses_binary_events"))? {
            let is_binary = match binary {
                Some(binary) => binary,
                None => slf.call_method1(
                    pyo3::intern!(py, "data_is_binary"),
                    (slf.getattr(pyo3::intern!(py, "data"))?,),
                )?,
            };
            if is_binary.is_truthy()? {
                let name = pyo3::intern!(py, "packet_type");
                slf.setattr(name, Self::binary_type(&slf.getattr(name)?)?)?;
            }
        }
        slf.setattr(count, 0)?;
        slf.setattr(pyo3::intern!(py, "attachments"), PyList::empty(py))?;
        if let Some(encoded) = encoded_packet
            && (encoded.is_truthy()? || is_set(slf, pyo3::intern!(py, "_reads_empty"))?)
        {
            let announced = slf.call_method1(pyo3::intern!(py, "decode"), (encoded,))?;
            if announced.is_truthy()? {
                slf.setattr(count, announced)?;
            }
        }
        Ok(())
    }

    /// The list of attachments.
    fn attachment_list<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.attachments.get(py).unwrap_or_else(|| {
            let list = PyList::empty(py).into_any();
            self.attachments.set(list.clone());
            list
        })
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
        packet_type: Option<&Bound<'_, PyAny>>,
        data: Option<&Bound<'_, PyAny>>,
        namespace: Option<&Bound<'_, PyAny>>,
        id: Option<&Bound<'_, PyAny>>,
        binary: Option<&Bound<'_, PyAny>>,
        encoded_packet: Option<&Bound<'_, PyAny>>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Self {
        Self::empty()
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
        namespace: Option<Bound<'py, PyAny>>,
        id: Option<Bound<'py, PyAny>>,
        binary: Option<Bound<'py, PyAny>>,
        encoded_packet: Option<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        Self::fill(
            slf,
            [packet_type.0, data, namespace, id, binary, encoded_packet],
        )
    }

    /// Let a subclass be called as directly as its methods allow.
    #[classmethod]
    #[pyo3(signature = (**options))]
    fn __init_subclass__(
        cls: &Bound<'_, PyType>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let py = cls.py();
        if cls.is_subclass_of::<CompatMsgPackPacket>()? {
            vectorcall::install::<CompatMsgPackPacket, _>(cls);
        } else {
            vectorcall::install::<Self, _>(cls);
        }
        PySuper::new(&py.get_type::<Self>(), cls)?
            .call_method(pyo3::intern!(py, "__init_subclass__"), (), options)
            .map(drop)
    }

    fn encode<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(parts) = slf.get().parts(py) {
            let written = match other_json(slf)? {
                None => write_packet(&parts, || is_customised(slf))?,
                Some(_) if is_customised(slf)? => None,
                Some(json) => compat_json::write_packet(&parts, &json)?,
            };
            if let Some(written) = written {
                return Ok(written);
            }
        }
        lenient!(py, "encode")?.call1((slf,))
    }

    fn decode<'py>(
        slf: &Bound<'py, Self>,
        encoded_packet: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::read(slf, encoded_packet, is_customised(slf)?)
    }

    fn add_attachment<'py>(
        slf: &Bound<'py, Self>,
        attachment: Bound<'py, PyAny>,
    ) -> PyResult<bool> {
        let py = slf.py();
        let is_customised = is_customised(slf)?;
        let attachments = if is_customised {
            slf.getattr(pyo3::intern!(py, "attachments"))?
        } else {
            slf.get().attachment_list(py)
        };
        let count = slf.getattr(pyo3::intern!(py, "attachment_count"))?;
        if count.le(attachments.len()?)? {
            return Err(PyValueError::new_err("Unexpected binary attachment"));
        }
        if let Ok(list) = attachments.cast_exact::<PyList>() {
            list.append(attachment)?;
        } else {
            attachments.call_method1("append", (attachment,))?;
        }
        if !count.eq(attachments.len()?)? {
            return Ok(false);
        }
        let data = slf.getattr(pyo3::intern!(py, "data"))?;
        let data = if is_customised {
            slf.call_method1(pyo3::intern!(py, "reconstruct_binary"), (data, attachments))?
        } else {
            reconstruct_binary(&data, &attachments)?
        };
        Self::set_data(slf, data, is_customised)?;
        Ok(true)
    }

    #[getter]
    fn attachments<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.attachment_list(py)
    }

    #[setter]
    fn set_attachments(&self, attachments: Bound<'_, PyAny>) {
        self.attachments.set(attachments);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.slots()
            .into_iter()
            .try_for_each(|slot| slot.visit(&visit))
    }

    fn __clear__(&self, py: Python<'_>) {
        for slot in self.slots() {
            slot.clear(py);
        }
    }
}

impl Construct<6> for CompatPacket {
    const PARAMETERS: [&'static str; 6] = [
        "packet_type",
        "data",
        "namespace",
        "id",
        "binary",
        "encoded_packet",
    ];

    fn fill<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'py, 6>) -> PyResult<()> {
        let py = slf.py();
        let packet = slf.get();
        let none = || py.None().into_bound(py);
        let [packet_type, data, namespace, id, binary, encoded_packet] = arguments;
        let given = |argument: Option<Bound<'py, PyAny>>| argument.filter(|value| !value.is_none());
        let (data, binary, encoded_packet) = (given(data), given(binary), given(encoded_packet));
        let packet_type = packet_type.unwrap_or_else(|| number(py, EVENT));
        let parts = [
            packet_type.clone(),
            data.clone().unwrap_or_else(none),
            namespace.unwrap_or_else(none),
            id.unwrap_or_else(none),
        ];
        if is_customised(slf)? {
            return Self::fill_customised(slf, parts, binary, encoded_packet);
        }
        packet.set_parts(parts);
        packet.attachment_count.set(number(py, 0));
        packet.attachments.clear(py);

        let uses = || is_set(slf, pyo3::intern!(py, "uses_binary_events"));
        let is_binary = match (binary, data) {
            (None, None) => false,
            (Some(binary), _) => binary.is_truthy()? && uses()?,
            // In MessagePack the class mostly says no, else the data says so sooner than the class.
            (None, Some(data)) => {
                (slf.cast::<CompatMsgPackPacket>().is_err() || uses()?)
                    && data_is_binary(&data)?
                    && uses()?
            }
        };
        if is_binary {
            packet.packet_type.set(Self::binary_type(&packet_type)?);
        }
        if let Some(encoded) = encoded_packet
            && encoded.is_truthy()?
        {
            let count = if let Ok(packet) = slf.cast::<CompatMsgPackPacket>() {
                CompatMsgPackPacket::read(packet, &encoded, false)?
            } else {
                Self::read(slf, &encoded, false)?
            };
            if count.is_truthy()? {
                packet.attachment_count.set(count);
            }
        }
        Ok(())
    }
}
