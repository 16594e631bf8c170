//! `Encoder` and `encode`: packets into their wire form.
//!
//! The header comes first on the wire, but how many attachments there are is known last. So the payload is written behind
//! a margin, and the part of the header that depends on it (Engine.IO type, packet type, number of attachments) is written
//! backwards into the margin at the end.

use std::sync::LazyLock;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::buffers::{self, Chars, Shape};
use super::encode::Walker;
use super::encoded::EncodedPacket;
use super::packet::{self, Packet};
use super::traffic::Traffic;
use super::{decoder, errors, scratch};
use crate::json::write;
use crate::limits::Limits;
use crate::socketio::{PacketType, PayloadKind, check_payload, is_reserved};

/// Room in front of namespace, id and payload: `4`, the type, five digits of attachments, `-`.
const MARGIN: usize = 8;

/// What is encoded.
pub(super) enum Payload<'a, 'py> {
    Data(&'a Bound<'py, PyAny>),
    Event(&'a Bound<'py, PyAny>, &'a Bound<'py, PyTuple>),
}

/// A text and its attachments.
struct Wire<'py> {
    text: Bound<'py, PyString>,
    /// Bytes of the text in UTF-8.
    length: usize,
    attachments: Vec<Bound<'py, PyBytes>>,
}

impl<'py> Wire<'py> {
    fn packet(
        self,
        py: Python<'py>,
        packet_type: PacketType,
        compress: bool,
    ) -> PyResult<EncodedPacket> {
        let attached: usize = self
            .attachments
            .iter()
            .map(|bytes| bytes.as_bytes().len())
            .sum();
        let attachments = PyTuple::new(py, self.attachments)?;
        Ok(EncodedPacket::new(
            Some(self.text),
            attachments,
            self.length + attached,
            packet_type == PacketType::Event,
            compress,
        ))
    }
}

/// The limits and the hook of one server or client.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) limits: Limits,
    pub(super) default: Option<Py<PyAny>>,
}

impl Settings {
    pub(super) fn new(
        limits: Option<&Bound<'_, PyAny>>,
        default: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        if let Some(default) = &default
            && !default.is_callable()
        {
            let class = decoder::class_name(default);
            return Err(PyTypeError::new_err(format!(
                "default must be callable, not {class}"
            )));
        }
        Ok(Self {
            limits: packet::limits(limits)?,
            default: default.map(Bound::unbind),
        })
    }

    fn wire<'py>(
        &self,
        packet_type: PacketType,
        nsp: &Bound<'py, PyString>,
        id: Option<u64>,
        payload: &Payload<'_, 'py>,
        message: bool,
    ) -> PyResult<Wire<'py>> {
        let py = nsp.py();
        let takes_binary = matches!(packet_type, PacketType::Event | PacketType::Ack);
        let default = self.default.as_ref().map(|default| default.bind(py));
        let mut out = scratch::take();
        out.clear();
        out.extend_from_slice(&[0; MARGIN]);
        let mut walker = Walker::new(py, &self.limits, default, takes_binary, out);
        walker.shape = write_address(&mut walker.out, nsp, id)?;
        let begin = walker.out.len();
        let walked = match payload {
            Payload::Data(data) if data.is_none() => Ok(()),
            Payload::Data(data) => walker.payload(data),
            Payload::Event(event, args) => walker.event(event, args),
        };
        let Walker {
            mut out,
            shape,
            attachments,
            ..
        } = walker;
        let result = walked
            .map_err(|failure| failure.into_error(py))
            .and_then(|()| {
                let written = PayloadKind::of(out.get(begin..).unwrap_or_default());
                check_written(py, packet_type, written)?;
                let start = write_margin(&mut out, packet_type, attachments.len(), message);
                let bytes = out.get(start..).unwrap_or_default();
                let text = buffers::new_shaped_string(py, bytes, shape)?;
                Ok(Wire {
                    text,
                    length: bytes.len(),
                    attachments,
                })
            });
        scratch::put(out);
        result
    }

    fn encode<'py>(&self, py: Python<'py>, packet: &Packet) -> PyResult<Bound<'py, PyList>> {
        let data = packet.data.bind(py);
        check_data(packet.packet_type, data, packet.id)?;
        let nsp = packet.nsp.bind(py);
        let wire = self.wire(
            packet.packet_type,
            nsp,
            packet.id,
            &Payload::Data(data),
            false,
        )?;
        let list = buffers::new_list(py, std::iter::once(wire.text.into_any()))?;
        for attachment in wire.attachments {
            list.append(attachment)?;
        }
        Ok(list)
    }
}

/// Check that data fits its packet type.
pub(super) fn check_data(
    packet_type: PacketType,
    data: &Bound<'_, PyAny>,
    id: Option<u64>,
) -> PyResult<()> {
    let py = data.py();
    let is_list = data.is_instance_of::<PyList>() || data.is_instance_of::<PyTuple>();
    let reason = match packet_type {
        PacketType::Event => {
            if is_list && data.len()? > 0 {
                return check_event(&data.get_item(0)?);
            }
            "an EVENT takes a list that begins with the event name"
        }
        PacketType::Ack if !is_list => "an ACK takes a list of arguments",
        PacketType::Ack if id.is_none() => "an ACK needs an id",
        PacketType::Disconnect if !data.is_none() => "a DISCONNECT takes no data",
        _ => return Ok(()),
    };
    Err(errors::encode_error(py, reason, "data"))
}

/// Check what data has become: hooks and ready support may make anything of an object, and a number behind the header
/// would be an id.
pub(super) fn check_written(
    py: Python<'_>,
    packet_type: PacketType,
    written: PayloadKind,
) -> PyResult<()> {
    if check_payload(packet_type, written).is_ok() {
        return Ok(());
    }
    let reason = match packet_type {
        PacketType::Connect => "a CONNECT takes a dict or None",
        PacketType::ConnectError => "a CONNECT_ERROR takes a dict, a string or None",
        _ => "data that does not fit the packet type",
    };
    Err(errors::encode_error(py, reason, "data"))
}

/// Check the name of an event that a caller emits.
pub(super) fn check_event(event: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event.py();
    if let Ok(name) = event.cast::<PyString>() {
        return match buffers::ascii_str(name) {
            Some(name) if is_reserved(name.as_bytes()) => {
                Err(errors::reserved_event_error(py, name))
            }
            _ => Ok(()),
        };
    }
    let is_number = !event.is_instance_of::<pyo3::types::PyBool>()
        && (event.is_instance_of::<PyInt>()
            || event
                .cast::<PyFloat>()
                .is_ok_and(|float| buffers::float_value(float).is_finite()));
    if is_number {
        return Ok(());
    }
    let class = decoder::class_name(event);
    let reason = format!("an event name must be a string or a number, not {class}");
    Err(errors::encode_error(py, &reason, "data[0]"))
}

/// Write namespace and id; return the shape of their text. Checked is what follows from the grammar, so that no packet means
/// something else.
fn write_address(out: &mut Vec<u8>, nsp: &Bound<'_, PyString>, id: Option<u64>) -> PyResult<Shape> {
    let mut shape = Shape::ASCII;
    if !matches!(buffers::chars(nsp), Chars::Ascii(b"/")) {
        // A name with a lone surrogate has no UTF-8.
        let name = nsp.to_str().unwrap_or_default();
        if !name.starts_with('/') || name.contains(',') {
            let reason = "a namespace starts with \"/\" and holds no comma";
            return Err(errors::encode_error(nsp.py(), reason, "nsp"));
        }
        shape = Shape::of(name);
        out.extend_from_slice(name.as_bytes());
        out.push(b',');
    }
    if let Some(id) = id {
        write::integer(out, id.cast_signed());
    }
    Ok(shape)
}

/// Write what depends on the payload into the margin; return where the packet begins.
fn write_margin(
    out: &mut [u8],
    packet_type: PacketType,
    attachments: usize,
    message: bool,
) -> usize {
    let mut at = MARGIN;
    let mut push = |byte: u8| {
        at -= 1;
        if let Some(slot) = out.get_mut(at) {
            *slot = byte;
        }
    };
    let mut wire_type = packet_type;
    if attachments > 0 {
        wire_type = packet_type.with_attachments();
        push(b'-');
        let mut left = attachments;
        while left > 0 {
            push(b'0' + (left % 10) as u8);
            left /= 10;
        }
    }
    push(b'0' + wire_type as u8);
    if message {
        push(b'4');
    }
    at
}

/// Turns packets into their wire form.
#[pyclass(frozen, module = "roomcast.codec")]
#[derive(Debug)]
pub(super) struct Encoder {
    settings: Settings,
    traffic: Option<Py<Traffic>>,
}

#[pymethods]
impl Encoder {
    #[new]
    #[pyo3(signature = (limits=None, default=None, *, traffic=None))]
    fn new(
        limits: Option<&Bound<'_, PyAny>>,
        default: Option<Bound<'_, PyAny>>,
        traffic: Option<Py<Traffic>>,
    ) -> PyResult<Self> {
        Ok(Self {
            settings: Settings::new(limits, default)?,
            traffic,
        })
    }

    #[pyo3(signature = (packet, /))]
    fn encode<'py>(&self, packet: &Bound<'py, Packet>) -> PyResult<Bound<'py, PyList>> {
        self.settings.encode(packet.py(), packet.get())
    }

    #[pyo3(signature = (nsp, event, args, id=None, compress=true, /))]
    fn encode_event<'py>(
        &self,
        nsp: &Bound<'py, PyString>,
        event: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        id: Option<&Bound<'py, PyInt>>,
        compress: bool,
    ) -> PyResult<EncodedPacket> {
        check_event(event)?;
        let payload = Payload::Event(event, args);
        let id = packet::packet_id(id)?;
        let wire = self
            .settings
            .wire(PacketType::Event, nsp, id, &payload, true)?;
        let packet = wire.packet(nsp.py(), PacketType::Event, compress)?;
        if let Some(traffic) = &self.traffic {
            traffic.get().note_encoded();
        }
        Ok(packet)
    }

    #[pyo3(signature = (r#type, nsp, data=None, id=None, /))]
    fn encode_packet<'py>(
        &self,
        r#type: &Bound<'py, PyInt>,
        nsp: &Bound<'py, PyString>,
        data: Option<Bound<'py, PyAny>>,
        id: Option<&Bound<'py, PyInt>>,
    ) -> PyResult<EncodedPacket> {
        let py = nsp.py();
        let data = data.unwrap_or_else(|| py.None().into_bound(py));
        let (packet_type, id) = (packet::packet_type(r#type)?, packet::packet_id(id)?);
        check_data(packet_type, &data, id)?;
        let wire = self
            .settings
            .wire(packet_type, nsp, id, &Payload::Data(&data), true)?;
        wire.packet(py, packet_type, true)
    }
}

/// Return the wire form of a packet: its text, then its attachments.
#[pyfunction]
#[pyo3(signature = (packet, /, *, default=None, limits=None))]
pub(super) fn encode<'py>(
    packet: &Bound<'py, Packet>,
    default: Option<Bound<'py, PyAny>>,
    limits: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    static DEFAULT: LazyLock<Settings> = LazyLock::new(|| Settings {
        limits: Limits::default(),
        default: None,
    });
    if limits.is_none() && default.is_none() {
        return DEFAULT.encode(packet.py(), packet.get());
    }
    Settings::new(limits, default)?.encode(packet.py(), packet.get())
}
