//! `MsgPackEncoder` and `MsgPackDecoder`: the parser `roomcast.msgpack`.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList, PyString, PyTuple};

use super::decode::check_event as check_received_event;
use super::decoder::{SMALL_PAYLOAD, to_bytes};
use super::encoded::EncodedPacket;
use super::encoder::{Payload, Settings, check_data, check_event, check_written};
use super::msgpack_decode::PyBuilder;
use super::msgpack_encode::Walker;
use super::packet::{self, Packet};
use super::traffic::Traffic;
use super::{buffers, scratch};
use crate::error::{PacketError, PacketErrorKind};
use crate::limits::Limits;
use crate::msgpack::packet::{payload_kind, read_packet};
use crate::msgpack::write;
use crate::socketio::PacketType;

/// Return the message that a packet is.
fn write_packet<'py>(
    settings: &Settings,
    packet_type: PacketType,
    nsp: &Bound<'py, PyString>,
    id: Option<u64>,
    payload: &Payload<'_, 'py>,
) -> PyResult<Bound<'py, PyBytes>> {
    let py = nsp.py();
    let default = settings.default.as_ref().map(|default| default.bind(py));
    let has_data = !matches!(payload, Payload::Data(data) if data.is_none());
    let fields = 2 + u32::from(has_data) + u32::from(id.is_some());
    let mut out = scratch::take();
    out.clear();
    let mut walker = Walker::new(py, &settings.limits, default, false, out);
    write::map_length(&mut walker.out, fields);
    write::raw(&mut walker.out, b"\xa4type");
    write::integer(&mut walker.out, packet_type as i64);
    let mut walked = Ok(());
    let mut begin = usize::MAX;
    if has_data {
        write::raw(&mut walker.out, b"\xa4data");
        begin = walker.out.len();
        walked = match payload {
            Payload::Data(data) => walker.payload(data),
            Payload::Event(event, args) => walker.event(event, args),
        };
    }
    let written = payload_kind(walker.out.get(begin).copied());
    if let Some(id) = id {
        write::raw(&mut walker.out, b"\xa2id");
        write::unsigned(&mut walker.out, id);
    }
    write::raw(&mut walker.out, b"\xa3nsp");
    let named = walker.payload(nsp.as_any());
    let out = walker.out;
    let result = walked
        .and(named)
        .map_err(|failure| failure.into_error(py))
        .and_then(|()| check_written(py, packet_type, written))
        .map(|()| PyBytes::new(py, &out));
    scratch::put(out);
    result
}

/// A packet that is one binary message.
fn encoded(
    message: Bound<'_, PyBytes>,
    packet_type: PacketType,
    compress: bool,
) -> PyResult<EncodedPacket> {
    let size = message.as_bytes().len();
    let messages = PyTuple::new(message.py(), [message])?;
    let is_event = packet_type == PacketType::Event;
    Ok(EncodedPacket::new(None, messages, size, is_event, compress))
}

/// Turns packets into MessagePack.
#[pyclass(frozen, module = "roomcast.msgpack")]
#[derive(Debug)]
pub(super) struct MsgPackEncoder {
    settings: Settings,
    traffic: Option<Py<Traffic>>,
}

#[pymethods]
impl MsgPackEncoder {
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
        let py = packet.py();
        let packet = packet.get();
        let data = packet.data.bind(py);
        check_data(packet.packet_type, data, packet.id)?;
        let message = write_packet(
            &self.settings,
            packet.packet_type,
            packet.nsp.bind(py),
            packet.id,
            &Payload::Data(data),
        )?;
        buffers::new_list(py, std::iter::once(message.into_any()))
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
        let id = packet::packet_id(id)?;
        let payload = Payload::Event(event, args);
        let message = write_packet(&self.settings, PacketType::Event, nsp, id, &payload)?;
        let packet = encoded(message, PacketType::Event, compress)?;
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
        let message = write_packet(&self.settings, packet_type, nsp, id, &Payload::Data(&data))?;
        encoded(message, packet_type, true)
    }
}

/// Turns the binary messages of one connection into packets.
#[pyclass(frozen, module = "roomcast.msgpack")]
#[derive(Debug)]
pub(super) struct MsgPackDecoder {
    limits: Limits,
    traffic: Option<Py<Traffic>>,
    closed: AtomicBool,
}

#[pymethods]
impl MsgPackDecoder {
    #[new]
    #[pyo3(signature = (limits=None, *, traffic=None))]
    fn new(limits: Option<&Bound<'_, PyAny>>, traffic: Option<Py<Traffic>>) -> PyResult<Self> {
        Ok(Self {
            limits: packet::limits(limits)?,
            traffic,
            closed: AtomicBool::new(false),
        })
    }

    #[pyo3(signature = (data, start=0, /))]
    fn feed(&self, data: &Bound<'_, PyAny>, start: usize) -> PyResult<Packet> {
        let packet = self.read(data, start);
        if packet.is_err() {
            self.close();
        }
        packet
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl MsgPackDecoder {
    fn read(&self, data: &Bound<'_, PyAny>, start: usize) -> PyResult<Packet> {
        let py = data.py();
        if self.closed.load(Ordering::Relaxed) {
            return Err(PacketError::new(PacketErrorKind::DecoderClosed, 0).into());
        }
        if data.is_instance_of::<PyString>() {
            return Err(PacketError::new(PacketErrorKind::InvalidMsgpack, 0).into());
        }
        let bytes = to_bytes(data, "a message is text or bytes")?;
        let bytes = bytes.as_bytes().get(start..).unwrap_or_default();
        if let Some(traffic) = &self.traffic {
            traffic.get().arrived(bytes.len());
        }
        if bytes.len() > self.limits.max_packet_size {
            return Err(PacketError::new(PacketErrorKind::PacketTooLarge, 0).into());
        }
        let mut builder = PyBuilder::new(py);
        let pause = (bytes.len() > SMALL_PAYLOAD).then(|| buffers::CollectorPause::new(py));
        let packet = read_packet(bytes, &self.limits, &mut builder)?;
        drop(pause);
        let data = packet.data.map_or_else(|| py.None(), Bound::unbind);
        if packet.packet_type == PacketType::Event {
            check_received_event(data.bind(py), packet.payload)?;
        }
        let packet = Packet {
            packet_type: packet.packet_type,
            nsp: builder.nsp(packet.nsp)?.unbind(),
            id: packet.id,
            data,
        };
        if let Some(traffic) = &self.traffic {
            traffic.get().completed(&packet);
        }
        Ok(packet)
    }
}
