//! `FrameReader`: what a WebSocket receives as packets.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::decoder::Decoder;
use super::deflate::Agreement;
use super::{buffers, errors, scratch};
use crate::engineio::base64;
use crate::websocket::{CloseCode, Message, Reader, ReaderLimits, Role};

/// What the close of a peer is called that gave no code.
const NO_STATUS: u16 = 1005;

/// Turns the bytes that one end sends over its WebSocket into packets.
#[pyclass(frozen, module = "roomcast._core")]
#[derive(Debug)]
pub(super) struct FrameReader {
    /// Not there while it reads: making an object may run a finaliser, and that may come back here.
    reader: Mutex<Option<Reader>>,
}

#[pymethods]
impl FrameReader {
    #[new]
    #[pyo3(signature = (max_message, max_fragments, agreement=None, /, *, client=false))]
    fn new(
        max_message: usize,
        max_fragments: usize,
        agreement: Option<&Bound<'_, Agreement>>,
        client: bool,
    ) -> Self {
        let role = if client { Role::Client } else { Role::Server };
        let limits = ReaderLimits {
            max_message,
            max_fragments,
        };
        let reader = match agreement {
            None => Reader::new(role, limits),
            Some(agreement) => Reader::with_deflate(role, limits, agreement.get().inflater()),
        };
        Self {
            reader: Mutex::new(Some(reader)),
        }
    }

    #[pyo3(signature = (data, decoder=None, /))]
    fn feed<'py>(
        &self,
        data: &Bound<'py, PyBytes>,
        decoder: Option<&Bound<'py, Decoder>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = data.py();
        let Some(mut reader) = self.take() else {
            return Err(PyRuntimeError::new_err("the reader is reading already"));
        };
        let mut scratch = scratch::take();
        let mut items = Vec::new();
        let mut failure = None;
        let end = reader.feed(data.as_bytes(), &mut scratch, &mut |message| match item(
            py, message, decoder,
        ) {
            Ok((item, goes_on)) => {
                items.push(item);
                goes_on
            }
            Err(error) => {
                failure = Some(error);
                false
            }
        });
        scratch::put(scratch);
        self.put(reader);
        if let Some(error) = failure {
            return Err(error);
        }
        if let Err(CloseCode(code, reason)) = end {
            items.push(("error", code, reason).into_pyobject(py)?.into_any());
        }
        buffers::new_list(py, items.into_iter())
    }
}

impl FrameReader {
    fn take(&self) -> Option<Reader> {
        self.reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn put(&self, reader: Reader) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
    }
}

/// What a message is to Python, and whether others may follow it.
fn item<'py>(
    py: Python<'py>,
    message: Message<'_>,
    decoder: Option<&Bound<'py, Decoder>>,
) -> PyResult<(Bound<'py, PyAny>, bool)> {
    Ok(match message {
        Message::Text(text) => match (decoder, text.as_bytes().first()) {
            (Some(decoder), Some(b'4')) => {
                let packet = decoder
                    .get()
                    .feed_str(py, text.get(1..).unwrap_or_default());
                return packet_item(py, decoder, packet);
            }
            (Some(decoder), Some(b'b')) => {
                let data = base64::decode(text.as_bytes().get(1..).unwrap_or_default());
                let data = PyBytes::new(py, &data);
                return packet_item(py, decoder, decoder.get().feed_attachment(&data));
            }
            _ => (
                buffers::new_text(py, text, text.is_ascii())?.into_any(),
                true,
            ),
        },
        Message::Binary(data) => {
            let data = PyBytes::new(py, data);
            if let Some(decoder) = decoder {
                return packet_item(py, decoder, decoder.get().feed_attachment(&data));
            }
            (data.into_any(), true)
        }
        Message::Ping(data) => (
            ("ping", PyBytes::new(py, data))
                .into_pyobject(py)?
                .into_any(),
            true,
        ),
        Message::Pong(_) => (("pong",).into_pyobject(py)?.into_any(), true),
        Message::Close(code) => (
            ("close", code.unwrap_or(NO_STATUS))
                .into_pyobject(py)?
                .into_any(),
            false,
        ),
    })
}

/// A finished packet, `None` for one whose attachments are missing, or what is wrong with it.
fn packet_item<'py>(
    py: Python<'py>,
    decoder: &Bound<'py, Decoder>,
    packet: PyResult<Option<super::packet::Packet>>,
) -> PyResult<(Bound<'py, PyAny>, bool)> {
    match packet {
        Ok(Some(packet)) => Ok((Bound::new(py, packet)?.into_any(), true)),
        Ok(None) => Ok((py.None().into_bound(py), true)),
        Err(error) if errors::is_packet_error(py, &error) => {
            decoder.get().close();
            Ok((error.into_value(py).into_bound(py).into_any(), false))
        }
        Err(error) => Err(error),
    }
}
