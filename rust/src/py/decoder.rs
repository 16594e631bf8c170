//! `Decoder`: messages of one connection in, packets out.
//!
//! States: idle, collecting (a header has arrived, attachments are missing), closed. A text in idle gives a packet or
//! leads to collecting; an attachment in collecting gives the packet or stays; anything else, and every error, leads to
//! closed. The lock is never held while Python objects are made or dropped: making one may run a finaliser, and that may
//! call this decoder.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple, PyType};

use super::buffers;
use super::decode::{self, Gap, PyBuilder};
use super::packet::{self, Packet};
use super::traffic::Traffic;
use crate::error::{PacketError, PacketErrorKind};
use crate::json::{read, scan};
use crate::limits::Limits;
use crate::socketio::header::{Header, read_header};
use crate::socketio::{PacketType, PayloadKind, check_payload};

/// Bytes up to which a payload cannot hold enough lists and dicts to matter to the garbage collector.
pub(super) const SMALL_PAYLOAD: usize = 512;

/// Turns what one connection receives into packets.
#[pyclass(frozen, module = "roomcast.codec")]
#[derive(Debug)]
pub(super) struct Decoder {
    limits: Limits,
    traffic: Option<Py<Traffic>>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Idle,
    Collecting(Box<Unfinished>),
    Closed,
}

/// A packet whose attachments are missing.
#[derive(Debug)]
struct Unfinished {
    packet: Packet,
    gaps: Vec<Gap>,
    attachments: Vec<Py<PyBytes>>,
    announced: usize,
    size: usize,
}

/// What a text has become.
enum Outcome {
    Finished(Packet),
    Unfinished(Unfinished),
}

#[pymethods]
impl Decoder {
    #[new]
    #[pyo3(signature = (limits=None, *, max_attachments=None, traffic=None))]
    fn new(
        limits: Option<&Bound<'_, PyAny>>,
        max_attachments: Option<u32>,
        traffic: Option<Py<Traffic>>,
    ) -> PyResult<Self> {
        let mut limits = packet::limits(limits)?;
        limits.max_attachments = max_attachments.unwrap_or(limits.max_attachments);
        Ok(Self {
            limits,
            traffic,
            state: Mutex::new(State::Idle),
        })
    }

    #[pyo3(signature = (data, start=0, /))]
    fn feed<'py>(
        &self,
        data: &Bound<'py, PyAny>,
        start: usize,
    ) -> PyResult<Option<Bound<'py, Packet>>> {
        let py = data.py();
        let result = if let Ok(text) = data.cast::<PyString>() {
            self.feed_text(text, start)
        } else {
            self.feed_attachment(&to_bytes(data, "a message is text or bytes")?)
        };
        match result {
            Ok(Some(packet)) => Bound::new(py, packet).map(Some),
            Ok(None) => Ok(None),
            Err(error) => {
                self.close();
                Err(error)
            }
        }
    }

    pub(super) fn close(&self) {
        let old = std::mem::replace(&mut *self.lock(), State::Closed);
        drop(old);
    }

    #[getter]
    fn pending_size(&self) -> usize {
        match &*self.lock() {
            State::Collecting(unfinished) => unfinished.size,
            State::Idle | State::Closed => 0,
        }
    }
}

impl Decoder {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held would leave a whole state behind: it is only ever replaced.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feed_text(&self, text: &Bound<'_, PyString>, start: usize) -> PyResult<Option<Packet>> {
        let repaired;
        let whole = if let Some(ascii) = buffers::ascii_str(text) {
            ascii
        } else if let Ok(utf8) = text.to_str() {
            utf8
        } else {
            repaired = without_surrogates(text)?;
            repaired.to_str()?
        };
        self.feed_str(text.py(), whole.get(start..).unwrap_or_default())
    }

    /// Take a text message without Engine.IO's digit.
    pub(super) fn feed_str(&self, py: Python<'_>, text: &str) -> PyResult<Option<Packet>> {
        let expected = match &*self.lock() {
            State::Idle => Ok(()),
            State::Collecting(_) => Err(PacketErrorKind::UnexpectedText),
            State::Closed => Err(PacketErrorKind::DecoderClosed),
        };
        expected.map_err(|kind| PacketError::new(kind, 0))?;
        self.arrived(text.len());
        match decode_text(py, text, &self.limits)? {
            Outcome::Finished(packet) => {
                self.completed(&packet);
                Ok(Some(packet))
            }
            Outcome::Unfinished(unfinished) => {
                let old =
                    std::mem::replace(&mut *self.lock(), State::Collecting(Box::new(unfinished)));
                drop(old);
                Ok(None)
            }
        }
    }

    /// Take a binary message.
    pub(super) fn feed_attachment(
        &self,
        attachment: &Bound<'_, PyBytes>,
    ) -> PyResult<Option<Packet>> {
        self.arrived(attachment.as_bytes().len());
        let complete = self
            .collect(attachment)
            .map_err(|kind| PacketError::new(kind, 0))?;
        let Some(unfinished) = complete else {
            return Ok(None);
        };
        decode::fill(attachment.py(), &unfinished.gaps, &unfinished.attachments)?;
        self.completed(&unfinished.packet);
        Ok(Some(unfinished.packet))
    }

    fn arrived(&self, size: usize) {
        if let Some(traffic) = &self.traffic {
            traffic.get().arrived(size);
        }
    }

    fn completed(&self, packet: &Packet) {
        if let Some(traffic) = &self.traffic {
            traffic.get().completed(packet);
        }
    }

    /// Keep an attachment; return the packet if it was the last one. Errors are made into exceptions by the caller, when
    /// the lock is free again.
    fn collect(
        &self,
        attachment: &Bound<'_, PyBytes>,
    ) -> Result<Option<Box<Unfinished>>, PacketErrorKind> {
        let mut state = self.lock();
        let unfinished = match &mut *state {
            State::Collecting(unfinished) => unfinished,
            State::Idle => return Err(PacketErrorKind::UnexpectedBinary),
            State::Closed => return Err(PacketErrorKind::DecoderClosed),
        };
        unfinished.size = unfinished.size.saturating_add(attachment.as_bytes().len());
        if unfinished.size > self.limits.max_packet_size {
            return Err(PacketErrorKind::PacketTooLarge);
        }
        unfinished.attachments.push(attachment.clone().unbind());
        if unfinished.attachments.len() < unfinished.announced {
            return Ok(None);
        }
        match std::mem::replace(&mut *state, State::Idle) {
            State::Collecting(unfinished) => Ok(Some(unfinished)),
            State::Idle | State::Closed => Ok(None),
        }
    }
}

/// A text whose lone surrogates are U+FFFD and whose pairs of surrogates are characters, as in an escape.
///
/// Only a string made by a program can hold them; no WebSocket or HTTP body can.
#[cold]
fn without_surrogates<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyString>> {
    let utf16 = text.call_method1("encode", ("utf-16-le", "surrogatepass"))?;
    let text = utf16.call_method1("decode", ("utf-16-le", "replace"))?;
    Ok(text.cast_into()?)
}

/// Decode a text up to where attachments are needed.
fn decode_text(py: Python<'_>, text: &str, limits: &Limits) -> PyResult<Outcome> {
    if text.len() > limits.max_packet_size {
        return Err(PacketError::new(PacketErrorKind::PacketTooLarge, 0).into());
    }
    let Header {
        packet_type,
        attachments,
        nsp,
        id,
        payload,
    } = read_header(text, limits)?;
    let json = text.as_bytes().get(payload..).unwrap_or_default();
    check_payload(packet_type, PayloadKind::of(json))
        .map_err(|kind| PacketError::new(kind, payload))?;

    let mut builder = PyBuilder::new(
        py,
        attachments,
        packet_type.without_attachments() == PacketType::Event,
    );
    let data = if json.is_empty() {
        py.None()
    } else {
        if scan::has_more_values(json, limits.max_values) {
            return Err(PacketError::new(PacketErrorKind::TooManyValues, payload).into());
        }
        let pause = (json.len() > SMALL_PAYLOAD).then(|| buffers::CollectorPause::new(py));
        let data = read::read(text, payload, limits, &mut builder)?.object;
        drop(pause);
        if packet_type.without_attachments() == PacketType::Event {
            decode::check_event(&data, payload)?;
        }
        data.unbind()
    };
    let nsp = if nsp == "/" {
        pyo3::intern!(py, "/").clone()
    } else {
        builder.nsp(nsp)?
    };
    let packet = Packet {
        packet_type: packet_type.without_attachments(),
        nsp: nsp.unbind(),
        id,
        data,
    };
    if attachments == 0 {
        return Ok(Outcome::Finished(packet));
    }
    Ok(Outcome::Unfinished(Unfinished {
        packet,
        gaps: builder.gaps,
        // Grows with what arrives, not with what is announced.
        attachments: Vec::new(),
        announced: attachments as usize,
        size: text.len(),
    }))
}

/// The bytes of an attachment or a body: the same object if it is `bytes`, else a copy. `expected` begins the message of the
/// error about anything that is none.
pub(super) fn to_bytes<'py>(
    data: &Bound<'py, PyAny>,
    expected: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        return Ok(bytes.clone());
    }
    if !buffers::has_buffer(data) {
        let message = format!("{expected}, not {}", class_name(data));
        return Err(pyo3::exceptions::PyTypeError::new_err(message));
    }
    copy_buffer(data)
}

/// Copy what an object with the buffer protocol holds, in C order whatever its layout.
pub(super) fn copy_buffer<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(data
        .py()
        .get_type::<PyBytes>()
        .call1(PyTuple::new(data.py(), [data])?)?
        .cast_into()?)
}

/// The name of an object's class, for messages.
pub(super) fn class_name(object: &Bound<'_, PyAny>) -> String {
    let class: Bound<'_, PyType> = object.get_type();
    class
        .name()
        .map_or_else(|_| "object".to_owned(), |name| name.to_string())
}
