//! What has happened so far, written by the thread of the load and read by whoever shows it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

use super::histogram::Histogram;

/// A number that one thread adds to.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Add to it. Only one thread may do so: it costs no more than an addition.
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Relaxed);
    }

    /// The number.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What the load is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Phase {
    /// Connections are made.
    Connecting,
    /// As while it is measured, so that the server is as it will be then.
    Warming,
    /// What counts.
    Measuring,
    /// Connections are closed.
    Closing,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub struct Progress {
    /// Connections that are in their namespace, the ended ones included.
    pub ready: Counter,
    /// Deliveries of a broadcast, or answers.
    pub received: Counter,
    /// Bytes read.
    pub bytes_in: Counter,
    /// Bytes written.
    pub bytes_out: Counter,
    /// Connections that ended before they should.
    pub lost: Counter,
    /// Deliveries and answers with something else in them than what was asked for.
    pub wrong: Counter,
    /// Deliveries and answers that nobody asked for.
    pub surplus: Counter,
    /// Packets that have nothing to do with the load.
    pub other: Counter,
    /// Pings of Engine.IO that were answered.
    pub pings: Counter,
    /// From a request to its answer, or to each delivery of a broadcast.
    pub latency: Histogram,
    /// From the request for a broadcast to its last delivery.
    pub finish: Histogram,
    phase: AtomicU8,
    stopping: AtomicBool,
}

impl Progress {
    /// What the load is doing.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Connecting,
            1 => Phase::Warming,
            2 => Phase::Measuring,
            _ => Phase::Closing,
        }
    }

    /// Say what the load is doing.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// Ask the load to end, from any thread.
    pub fn stop(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Whether it was asked to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }
}
