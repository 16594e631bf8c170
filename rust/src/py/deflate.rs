//! `Deflate` and `Agreement`: permessage-deflate as one end wants it, and as one connection has agreed on it.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::websocket::deflate::{self, Deflater, Inflater, MAX_BITS, MIN_SERVER_BITS, Terms};
use crate::websocket::{Masks, Opcode, frame_header, write_frame, write_masked_frame};

/// Windows that a server's messages can have.
pub(super) const WINDOWS: usize = (MAX_BITS - MIN_SERVER_BITS) as usize + 1;

/// Bytes of a message from which on other threads run while it is compressed; that takes some 200 µs.
const COMPRESSED_DETACHED: usize = 16_384;

/// What a server wants of all its clients, and the compressors that they share.
#[pyclass(frozen, module = "roomcast._core")]
#[derive(Debug)]
pub(super) struct Deflate {
    terms: Terms,
    threshold: usize,
    level: u8,
    /// The compressors that are not at work, at most one for each window.
    deflaters: Mutex<[Option<Deflater>; WINDOWS]>,
}

impl Deflate {
    /// Compress a message; `None` where that does not make it shorter.
    fn compress(&self, window: usize, payload: &[u8]) -> Option<Vec<u8>> {
        // Not held while it works: another thread would wait for it attached to the interpreter.
        let mut deflater = self
            .put(window, None)
            .unwrap_or_else(|| Deflater::new(MIN_SERVER_BITS + window as u8, self.level));
        let compressed = deflater.compress(payload);
        self.put(window, Some(deflater));
        compressed
    }

    /// Exchange the compressor of a window.
    fn put(&self, window: usize, deflater: Option<Deflater>) -> Option<Deflater> {
        let mut deflaters = self
            .deflaters
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let place = deflaters.get_mut(window)?;
        std::mem::replace(place, deflater)
    }
}

#[pymethods]
impl Deflate {
    #[new]
    #[pyo3(signature = (threshold, level, server_max_window_bits, client_no_context_takeover, /))]
    fn new(
        threshold: usize,
        level: u8,
        server_max_window_bits: u8,
        client_no_context_takeover: bool,
    ) -> Self {
        Self {
            terms: Terms {
                server_max_window_bits,
                client_no_context_takeover,
            },
            threshold,
            level,
            deflaters: Mutex::default(),
        }
    }

    #[pyo3(signature = (offer, /))]
    fn negotiate(slf: Py<Self>, offer: &str) -> PyResult<Option<Agreement>> {
        let agreed = deflate::negotiate(offer, slf.get().terms)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(agreed.map(|agreed| Agreement {
            deflate: slf,
            agreed,
        }))
    }

    #[classattr]
    const OFFER: &'static str = deflate::OFFER;

    #[pyo3(signature = (response, /))]
    fn accept(slf: Py<Self>, response: &str) -> PyResult<Agreement> {
        let agreed =
            deflate::accept(response).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Agreement {
            deflate: slf,
            agreed,
        })
    }
}

/// How the messages of one connection are compressed.
#[pyclass(frozen, module = "roomcast._core")]
#[derive(Debug)]
pub(super) struct Agreement {
    deflate: Py<Deflate>,
    agreed: deflate::Agreement,
}

impl Agreement {
    /// Which of the `WINDOWS` its messages to the client have: all that connections of a server may differ in.
    pub(super) fn window(&self) -> usize {
        self.agreed
            .window_bits
            .saturating_sub(MIN_SERVER_BITS)
            .into()
    }

    /// Bytes from which on a message is compressed.
    pub(super) fn threshold(&self) -> usize {
        self.deflate.get().threshold
    }

    /// What its messages from the client are inflated with.
    pub(super) const fn inflater(&self) -> Inflater {
        self.agreed.inflater()
    }

    /// Write a message as a frame, compressed where that is worth it.
    pub(super) fn write_frame(
        &self,
        py: Python<'_>,
        out: &mut Vec<u8>,
        opcode: Opcode,
        payload: &[u8],
    ) {
        match self.compress(py, payload) {
            Some(compressed) => {
                frame_header(out, opcode, compressed.len(), true);
                out.extend_from_slice(&compressed);
            }
            None => write_frame(out, opcode, payload),
        }
    }

    /// Write a message as a frame of a client, compressed where that is worth it.
    pub(super) fn write_masked_frame(
        &self,
        py: Python<'_>,
        out: &mut Vec<u8>,
        opcode: Opcode,
        payload: &[u8],
        masks: &mut Masks,
    ) {
        match self.compress(py, payload) {
            Some(compressed) => write_masked_frame(out, opcode, &compressed, true, masks.draw()),
            None => write_masked_frame(out, opcode, payload, false, masks.draw()),
        }
    }

    fn compress(&self, py: Python<'_>, payload: &[u8]) -> Option<Vec<u8>> {
        let (deflate, window) = (self.deflate.get(), self.window());
        if payload.len() < deflate.threshold {
            None
        } else if payload.len() < COMPRESSED_DETACHED {
            deflate.compress(window, payload)
        } else {
            py.detach(|| deflate.compress(window, payload))
        }
    }
}

#[pymethods]
impl Agreement {
    #[getter]
    fn response(&self) -> String {
        self.agreed.response()
    }
}
