//! `Traffic`: what has gone through one server, in numbers that are always counted.
//!
//! Encoder, decoders and outboxes of a server share one. Each number stands alone, so no order between them is kept.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;

use super::packet::Packet;
use crate::socketio::PacketType;

#[pyclass(frozen, module = "roomcast._core")]
#[derive(Debug, Default)]
pub(super) struct Traffic {
    events_encoded: AtomicU64,
    events_queued: AtomicU64,
    bytes_queued: AtomicU64,
    packets_received: AtomicU64,
    events_received: AtomicU64,
    bytes_received: AtomicU64,
}

fn add(counter: &AtomicU64, number: usize) {
    counter.fetch_add(number as u64, Ordering::Relaxed);
}

impl Traffic {
    /// Count a packet that has found its place in an outbox.
    pub(super) fn queued(&self, size: usize, is_event: bool) {
        add(&self.events_queued, usize::from(is_event));
        add(&self.bytes_queued, size);
    }

    /// Count the bytes of a message that has arrived.
    pub(super) fn arrived(&self, size: usize) {
        add(&self.bytes_received, size);
    }

    /// Count a packet that is complete.
    pub(super) fn completed(&self, packet: &Packet) {
        add(&self.packets_received, 1);
        add(
            &self.events_received,
            usize::from(packet.packet_type == PacketType::Event),
        );
    }
}

#[pymethods]
impl Traffic {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    pub(super) fn note_encoded(&self) {
        add(&self.events_encoded, 1);
    }

    #[pyo3(signature = (size, packet, /))]
    fn note_received(&self, size: usize, packet: Option<&Bound<'_, Packet>>) {
        self.arrived(size);
        if let Some(packet) = packet {
            self.completed(packet.get());
        }
    }

    #[getter]
    fn events_encoded(&self) -> u64 {
        self.events_encoded.load(Ordering::Relaxed)
    }

    #[getter]
    fn events_queued(&self) -> u64 {
        self.events_queued.load(Ordering::Relaxed)
    }

    #[getter]
    fn bytes_queued(&self) -> u64 {
        self.bytes_queued.load(Ordering::Relaxed)
    }

    #[getter]
    fn packets_received(&self) -> u64 {
        self.packets_received.load(Ordering::Relaxed)
    }

    #[getter]
    fn events_received(&self) -> u64 {
        self.events_received.load(Ordering::Relaxed)
    }

    #[getter]
    fn bytes_received(&self) -> u64 {
        self.bytes_received.load(Ordering::Relaxed)
    }
}
