//! `Flusher`: one flush per iteration of the event loop for all outboxes of a server.
//!
//! The first packet of an iteration makes an outbox dirty; at the end of the iteration one callback flushes all dirty ones,
//! so that what one tick sends to a client leaves together. A flush that takes long goes on in the next iteration.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::PyTraverseError;
use pyo3::exceptions::PyValueError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyBytes;

use super::deflate::{Agreement, WINDOWS};
use super::masking::Masking;
use super::outbox::{Item, Outbox};
use super::traffic::Traffic;
use crate::websocket::{Opcode, write_frame};

/// Outboxes that are flushed between two looks at the clock.
const SLICE: usize = 256;

/// Bytes that are compressed between two looks at the clock; some 2 ms.
const COMPRESSED_SLICE: usize = 65_536;

/// What happens to a packet that finds no room in an outbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Policy {
    /// The connection is closed.
    Close,
    /// The oldest events make room for it.
    DropOldest,
    /// It is dropped itself, if it is an event.
    DropNewest,
}

impl Policy {
    fn new(name: &str) -> PyResult<Self> {
        match name {
            "close" => Ok(Self::Close),
            "drop_oldest" => Ok(Self::DropOldest),
            "drop_newest" => Ok(Self::DropNewest),
            _ => Err(PyValueError::new_err(format!("no such policy: {name:?}"))),
        }
    }
}

#[pyclass(frozen, module = "roomcast._core")]
pub(super) struct Flusher {
    create_future: Py<PyAny>,
    call_soon: Py<PyAny>,
    pub(super) mark: usize,
    pub(super) size_limit: usize,
    pub(super) policy: Policy,
    traffic: Option<Py<Traffic>>,
    slice_time: Duration,
    dirty: Mutex<VecDeque<Py<Outbox>>>,
    armed: AtomicBool,
    congested: AtomicUsize,
}

impl Flusher {
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, VecDeque<Py<Outbox>>> {
        self.dirty
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Flush an outbox with the next flush.
    pub(super) fn add(&self, py: Python<'_>, outbox: Py<Outbox>) {
        self.lock(py).push_back(outbox);
    }

    /// Let the loop call `flush` at the end of this iteration.
    pub(super) fn arm(slf: &Bound<'_, Self>) -> PyResult<()> {
        let flusher = slf.get();
        if !flusher.armed.swap(true, Ordering::Relaxed) {
            let flush = slf.getattr("flush")?;
            flusher.call_soon.call1(slf.py(), (flush,))?;
        }
        Ok(())
    }

    pub(super) fn note_congested(&self, congested: bool) {
        if congested {
            self.congested.fetch_add(1, Ordering::Relaxed);
        } else {
            self.congested.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Count a packet of Socket.IO that waits in an outbox now.
    pub(super) fn note_queued(&self, size: usize, is_event: bool) {
        if let Some(traffic) = &self.traffic {
            traffic.get().queued(size, is_event);
        }
    }

    pub(super) fn new_future(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.create_future.call0(py)
    }

    fn flush_all(&self, py: Python<'_>) -> PyResult<()> {
        let end = Instant::now() + self.slice_time;
        let mut joined = Joined::default();
        let mut count = 0_usize;
        // Emits of disconnect handlers that an overflow runs join the same queue and leave in this pass.
        loop {
            let Some(outbox) = self.lock(py).pop_front() else {
                return Ok(());
            };
            outbox.get().flush(py, &mut joined)?;
            count += 1;
            if (count.is_multiple_of(SLICE) || joined.is_tired()) && Instant::now() >= end {
                return Ok(());
            }
        }
    }
}

#[pymethods]
impl Flusher {
    #[new]
    #[pyo3(signature = (r#loop, mark, size_limit, policy, slice_time, /, *, traffic=None))]
    fn new(
        r#loop: &Bound<'_, PyAny>,
        mark: usize,
        size_limit: usize,
        policy: &str,
        slice_time: f64,
        traffic: Option<Py<Traffic>>,
    ) -> PyResult<Self> {
        Ok(Self {
            create_future: r#loop.getattr("create_future")?.unbind(),
            call_soon: r#loop.getattr("call_soon")?.unbind(),
            mark,
            size_limit,
            policy: Policy::new(policy)?,
            traffic,
            slice_time: Duration::try_from_secs_f64(slice_time)
                .map_err(|error| PyValueError::new_err(error.to_string()))?,
            dirty: Mutex::default(),
            armed: AtomicBool::new(false),
            congested: AtomicUsize::new(0),
        })
    }

    fn flush(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, flusher) = (slf.py(), slf.get());
        let flushed = flusher.flush_all(py);
        flusher.armed.store(false, Ordering::Relaxed);
        if !flusher.lock(py).is_empty() {
            Self::arm(slf)?;
        }
        flushed
    }

    #[getter]
    fn congested(&self) -> usize {
        self.congested.load(Ordering::Relaxed)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.create_future)?;
        visit.call(&self.call_soon)?;
        let dirty = match self.dirty.try_lock() {
            Ok(dirty) => dirty,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return Ok(()),
        };
        dirty.iter().try_for_each(|outbox| visit.call(outbox))
    }

    fn __clear__(&self, py: Python<'_>) {
        let dirty = std::mem::take(&mut *self.lock(py));
        drop(dirty);
    }
}

/// The frames of the last queues that were flushed: where many outboxes of one tick hold the same packets, they are put
/// together once, and so they are compressed.
#[derive(Default)]
pub(super) struct Joined {
    /// Without compression first, then for each of its windows.
    last: [Last; 1 + WINDOWS],
    /// Bytes that were compressed since somebody looked.
    compressed: usize,
    /// The frames of a client: nobody else has the same.
    masked: Vec<u8>,
}

/// A queue and its frames.
#[derive(Default)]
struct Last {
    queue: Vec<Item>,
    bytes: Vec<u8>,
}

/// The frames of a queue.
pub(super) enum Frames<'a> {
    /// Those of one packet, which keeps them.
    Packet(Py<PyBytes>),
    /// Those of several.
    Joined(&'a [u8]),
}

impl Frames<'_> {
    pub(super) fn as_slice<'a>(&'a self, py: Python<'a>) -> &'a [u8] {
        match self {
            Self::Packet(bytes) => bytes.as_bytes(py),
            Self::Joined(bytes) => bytes,
        }
    }
}

impl Joined {
    /// Return the frames of packets, without the first messages of the first one.
    pub(super) fn frames(
        &mut self,
        py: Python<'_>,
        queue: &VecDeque<Item>,
        skip: usize,
        agreement: Option<&Agreement>,
    ) -> PyResult<Frames<'_>> {
        if skip == 0
            && queue.len() == 1
            && let Some(Item::Packet(packet)) = queue.front()
        {
            let frames = packet
                .get()
                .frames_for(py, agreement, &mut self.compressed)?;
            return Ok(Frames::Packet(frames));
        }
        let place = agreement.map_or(0, |agreement| 1 + agreement.window());
        let Some(last) = self.last.get_mut(place) else {
            return Ok(Frames::Joined(&[])); // there is a place for each window
        };
        if skip > 0 || !last.is(queue) {
            last.queue.clear();
            last.bytes.clear();
            last.write(py, queue, skip, agreement, &mut self.compressed)?;
            if skip == 0 {
                last.queue
                    .extend(queue.iter().map(|item| item.clone_ref(py)));
            }
        }
        Ok(Frames::Joined(&last.bytes))
    }

    /// Return the frames of a client.
    pub(super) fn masked_frames(
        &mut self,
        py: Python<'_>,
        queue: &VecDeque<Item>,
        skip: usize,
        agreement: Option<&Agreement>,
        masking: &mut Masking,
    ) -> PyResult<Frames<'_>> {
        self.masked.clear();
        let mut skip = skip;
        for item in queue {
            masking.write(py, &mut self.masked, item, skip, agreement)?;
            skip = 0;
        }
        Ok(Frames::Joined(&self.masked))
    }

    /// Say whether compressing has taken so long that it is time to look at the clock.
    fn is_tired(&mut self) -> bool {
        let tired = self.compressed >= COMPRESSED_SLICE;
        if tired {
            self.compressed = 0;
        }
        tired
    }
}

impl Last {
    fn is(&self, queue: &VecDeque<Item>) -> bool {
        self.queue.len() == queue.len()
            && self
                .queue
                .iter()
                .zip(queue)
                .all(|(one, other)| one.is(other))
    }

    fn write(
        &mut self,
        py: Python<'_>,
        queue: &VecDeque<Item>,
        mut skip: usize,
        agreement: Option<&Agreement>,
        compressed: &mut usize,
    ) -> PyResult<()> {
        for item in queue {
            match item {
                // The rest of a packet that is in pieces is not compressed: nobody else has the same.
                Item::Packet(packet) if skip > 0 || agreement.is_none() => {
                    packet.get().write_frames(py, &mut self.bytes, skip)?;
                }
                Item::Packet(packet) => {
                    let frames = packet.get().frames_for(py, agreement, compressed)?;
                    self.bytes.extend_from_slice(frames.as_bytes(py));
                }
                Item::Text(text) => {
                    let text = text.bind(py).to_str()?;
                    write_frame(&mut self.bytes, Opcode::Text, text.as_bytes());
                }
            }
            skip = 0;
        }
        Ok(())
    }
}
