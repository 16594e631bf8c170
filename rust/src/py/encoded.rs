//! `EncodedPacket`: a packet in the forms that transports send.

use std::sync::OnceLock;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use super::decoder::to_bytes;
use super::deflate::{Agreement, WINDOWS};
use super::scratch;
use crate::engineio::binary_message;
use crate::websocket::{Opcode, write_frame};

/// A packet in its wire form, immutable and shared by all its recipients.
#[pyclass(frozen, module = "roomcast.codec")]
pub(super) struct EncodedPacket {
    pub(super) text: Option<Py<PyString>>,
    pub(super) attachments: Py<PyTuple>,
    pub(super) size: usize,
    /// The attachments as they stand in payloads, made for the first one: the recipients of a broadcast share them.
    binary_messages: OnceLock<Box<[Box<[u8]>]>>,
    /// All its WebSocket frames in one piece, made for the first recipient.
    frames: PyOnceLock<Py<PyBytes>>,
    /// The same for recipients that have agreed on permessage-deflate, for each window.
    deflated: PyOnceLock<Box<[PyOnceLock<Py<PyBytes>>; WINDOWS]>>,
    /// Whether it is an event, which may be dropped where a packet of the protocol may not.
    pub(super) is_event: bool,
    /// Whether transports may compress it.
    pub(super) compress: bool,
}

impl EncodedPacket {
    /// A packet of messages that are ready: a text with Engine.IO's digit, if there is one, and what is binary behind it.
    pub(super) fn new(
        text: Option<Bound<'_, PyString>>,
        attachments: Bound<'_, PyTuple>,
        size: usize,
        is_event: bool,
        compress: bool,
    ) -> Self {
        Self {
            text: text.map(Bound::unbind),
            attachments: attachments.unbind(),
            size,
            binary_messages: OnceLock::new(),
            frames: PyOnceLock::new(),
            deflated: PyOnceLock::new(),
            is_event,
            compress,
        }
    }

    /// How many messages stand in front of the attachments: one, or none where a parser has no text.
    pub(super) fn texts(&self) -> usize {
        usize::from(self.text.is_some())
    }

    /// Write the server's frames of the messages behind the first `skip`.
    pub(super) fn write_frames(
        &self,
        py: Python<'_>,
        out: &mut Vec<u8>,
        skip: usize,
    ) -> PyResult<()> {
        if skip == 0
            && let Some(frames) = self.frames.get(py)
        {
            out.extend_from_slice(frames.as_bytes(py));
            return Ok(());
        }
        self.each_message(py, skip, |opcode, payload| {
            write_frame(out, opcode, payload);
        })
    }

    /// Do something with each of its messages behind the first `skip`.
    pub(super) fn each_message(
        &self,
        py: Python<'_>,
        skip: usize,
        mut act: impl FnMut(Opcode, &[u8]),
    ) -> PyResult<()> {
        if skip == 0
            && let Some(text) = &self.text
        {
            act(Opcode::Text, text.bind(py).to_str()?.as_bytes());
        }
        for attachment in self
            .attachments
            .bind(py)
            .iter_borrowed()
            .skip(skip.saturating_sub(self.texts()))
        {
            act(Opcode::Binary, attachment.cast::<PyBytes>()?.as_bytes());
        }
        Ok(())
    }

    /// All its frames in one piece, made at the first call.
    pub(super) fn shared_frames(&self, py: Python<'_>) -> PyResult<Py<PyBytes>> {
        let frames = self.frames.get_or_try_init(py, || {
            let mut out = scratch::take();
            out.clear();
            let written = self.write_frames(py, &mut out, 0);
            let frames = PyBytes::new(py, &out).unbind();
            scratch::put(out);
            written.map(|()| frames)
        })?;
        Ok(frames.clone_ref(py))
    }

    /// All its frames in one piece for a recipient with this agreement: each message compressed that is long enough. Made
    /// once for all that have the same window; a packet goes to the clients of one server, which wants the rest of all.
    /// `compressed` grows by the bytes that this call has compressed.
    pub(super) fn frames_for(
        &self,
        py: Python<'_>,
        agreement: Option<&Agreement>,
        compressed: &mut usize,
    ) -> PyResult<Py<PyBytes>> {
        let Some(agreement) = agreement.filter(|agreement| self.size >= agreement.threshold())
        else {
            return self.shared_frames(py);
        };
        if !self.compress {
            return self.shared_frames(py);
        }
        let windows = self
            .deflated
            .get_or_init(py, || Box::new(std::array::from_fn(|_| PyOnceLock::new())));
        let Some(frames) = windows.get(agreement.window()) else {
            return self.shared_frames(py);
        };
        let frames = frames.get_or_try_init(py, || {
            *compressed = compressed.saturating_add(self.size);
            let mut out = scratch::take();
            out.clear();
            let written = self.write_deflated_frames(py, &mut out, agreement);
            let frames = PyBytes::new(py, &out).unbind();
            scratch::put(out);
            written.map(|()| frames)
        })?;
        Ok(frames.clone_ref(py))
    }

    fn write_deflated_frames(
        &self,
        py: Python<'_>,
        out: &mut Vec<u8>,
        agreement: &Agreement,
    ) -> PyResult<()> {
        self.each_message(py, 0, |opcode, payload| {
            agreement.write_frame(py, out, opcode, payload);
        })
    }

    /// The attachments as they stand in payloads.
    pub(super) fn binary_messages(&self, py: Python<'_>) -> &[Box<[u8]>] {
        // Nothing of Python runs while another thread may wait here: the attachments are `bytes` of our own making.
        self.binary_messages.get_or_init(|| {
            self.attachments
                .bind(py)
                .iter_borrowed()
                .filter_map(|bytes| Some(binary_message(bytes.cast::<PyBytes>().ok()?.as_bytes())))
                .collect()
        })
    }
}

#[pymethods]
impl EncodedPacket {
    #[new]
    #[pyo3(signature = (messages, is_event, compress, /))]
    fn from_messages(
        messages: &Bound<'_, PyList>,
        is_event: bool,
        compress: bool,
    ) -> PyResult<Self> {
        let py = messages.py();
        let mut text = None;
        let mut attachments = Vec::new();
        let mut size = 0_usize;
        for (index, message) in messages.iter().enumerate() {
            if index == 0
                && let Ok(message) = message.cast::<PyString>()
            {
                let packet = ["4", message.to_str()?].concat();
                size += packet.len();
                text = Some(PyString::new(py, &packet));
            } else {
                let message = to_bytes(&message, "a packet is one text, or bytes, and then bytes")?;
                size += message.as_bytes().len();
                attachments.push(message);
            }
        }
        if messages.is_empty() {
            return Err(PyValueError::new_err("a packet has one message at least"));
        }
        let attachments = PyTuple::new(py, attachments)?;
        Ok(Self::new(text, attachments, size, is_event, compress))
    }

    #[getter]
    fn text(&self, py: Python<'_>) -> Option<Py<PyString>> {
        self.text.as_ref().map(|text| text.clone_ref(py))
    }

    #[getter]
    fn messages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let attachments = self.attachments.bind(py);
        match &self.text {
            None => Ok(attachments.clone()),
            Some(text) => {
                let text = std::iter::once(text.bind(py).clone().into_any());
                PyTuple::new(py, text.chain(attachments.iter()).collect::<Vec<_>>())
            }
        }
    }

    #[getter]
    fn attachments(&self, py: Python<'_>) -> Py<PyTuple> {
        self.attachments.clone_ref(py)
    }

    #[getter]
    fn size(&self) -> usize {
        self.size
    }

    #[getter]
    fn compress(&self) -> bool {
        self.compress
    }

    #[getter]
    fn frames(&self, py: Python<'_>) -> PyResult<Py<PyBytes>> {
        self.shared_frames(py)
    }

    #[pyo3(signature = (agreement, /))]
    fn deflated_frames(
        &self,
        py: Python<'_>,
        agreement: &Bound<'_, Agreement>,
    ) -> PyResult<Py<PyBytes>> {
        self.frames_for(py, Some(agreement.get()), &mut 0)
    }
}
