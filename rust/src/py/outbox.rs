//! `Outbox`: the packets that wait for one connection.
//!
//! A packet enters whole, as one item: nothing can come between its header and its attachments. What the transport has not
//! taken yet counts towards the size, the packet that it is taking included:
//!
//! | size | what happens |
//! | --- | --- |
//! | above the mark | the outbox is congested; awaiting an emit to it waits |
//! | at the end | [`Policy`] decides. One packet that is larger than that may enter an empty outbox. |
//!
//! No lock is held while anything of Python runs that could come back here: a flush first takes out what it needs.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PySlice, PyString};

use super::deflate::Agreement;
use super::encoded::EncodedPacket;
use super::flusher::{Flusher, Frames, Joined, Policy};
use super::masking::Masking;
use super::{buffers, payload};
use crate::socket::send_some;

/// Items that an empty queue keeps room for: what a tick usually brings, without making idle connections larger.
const KEPT: usize = 8;

/// What is sent as one.
pub(super) enum Item {
    /// A packet of Socket.IO.
    Packet(Py<EncodedPacket>),
    /// A packet of Engine.IO's own, in ASCII.
    Text(Py<PyString>),
}

impl Item {
    fn size(&self, py: Python<'_>) -> usize {
        match self {
            Self::Packet(packet) => packet.get().size,
            Self::Text(text) => text.bind(py).len().unwrap_or_default(),
        }
    }

    fn object(&self, py: Python<'_>) -> Py<PyAny> {
        match self {
            Self::Packet(packet) => packet.clone_ref(py).into_any(),
            Self::Text(text) => text.clone_ref(py).into_any(),
        }
    }

    pub(super) fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Packet(packet) => Self::Packet(packet.clone_ref(py)),
            Self::Text(text) => Self::Text(text.clone_ref(py)),
        }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Packet(one), Self::Packet(other)) => one.as_ptr() == other.as_ptr(),
            (Self::Text(one), Self::Text(other)) => one.as_ptr() == other.as_ptr(),
            _ => false,
        }
    }

    fn may_be_compressed(&self) -> bool {
        match self {
            Self::Packet(packet) => packet.get().compress,
            Self::Text(_) => true,
        }
    }

    fn is_droppable(&self) -> bool {
        matches!(self, Self::Packet(packet) if packet.get().is_event)
    }
}

/// Where the packets go.
enum Carrier {
    /// Nowhere yet.
    None,
    /// A transport that takes them itself when it is told to flush.
    Transport(Py<PyAny>),
    /// A transport of asyncio that is written to.
    Line(Line),
}

/// A transport of asyncio behind a finished handshake of a WebSocket.
struct Line {
    target: Target,
    /// How messages are compressed.
    agreement: Option<Py<Agreement>>,
    /// How a client masks them; a server does not.
    masking: Option<Masking>,
}

impl Line {
    /// The frames of a queue, without the first messages of its first packet.
    fn frames<'a>(
        &mut self,
        py: Python<'_>,
        joined: &'a mut Joined,
        queue: &VecDeque<Item>,
        skip: usize,
    ) -> PyResult<Frames<'a>> {
        let agreement = self.agreement.as_ref().map(Py::get);
        match &mut self.masking {
            None => joined.frames(py, queue, skip, agreement),
            Some(masking) => joined.masked_frames(py, queue, skip, agreement, masking),
        }
    }
}

/// Where bytes are written to.
struct Target {
    transport: Py<PyAny>,
    /// The socket below it; -1 where bytes have to go through the transport.
    fd: i32,
}

impl Target {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            transport: self.transport.clone_ref(py),
            fd: self.fd,
        }
    }

    /// Write frames; return how many bytes wait in the transport after that.
    fn write(&self, py: Python<'_>, frames: &Frames<'_>) -> PyResult<usize> {
        // Nothing waits in the transport, or it would have paused the outbox.
        let bytes = frames.as_slice(py);
        let sent = send_some(self.fd, bytes);
        let rest = bytes.get(sent..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(0);
        }
        let transport = self.transport.bind(py);
        match frames {
            // Those of one packet are shared by all of its recipients: a slow crowd does not hold a copy each.
            Frames::Packet(bytes) if sent == 0 => transport.call_method1("write", (bytes,))?,
            Frames::Packet(bytes) => {
                let view = PyMemoryView::from(bytes.bind(py))?;
                let rest = view.get_item(PySlice::new(py, sent.try_into()?, isize::MAX, 1))?;
                transport.call_method1("write", (rest,))?
            }
            Frames::Joined(_) => transport.call_method1("write", (PyBytes::new(py, rest),))?,
        };
        transport.call_method0("get_write_buffer_size")?.extract()
    }
}

/// Whether packets are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Intake {
    Open,
    /// The policy closes the connection with the next flush.
    Overflown,
    Closed,
}

struct State {
    queue: VecDeque<Item>,
    size: usize,
    /// Messages of the first packet that went with a polling payload already.
    skip: usize,
    carrier: Carrier,
    owner: Option<Py<PyAny>>,
    waiter: Option<Py<PyAny>>,
    intake: Intake,
    dirty: bool,
    congested: bool,
    writable: bool,
    /// Packets that the policy has dropped since the last flush.
    dropped: usize,
}

/// What became of a packet.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Pushed {
    /// It waits.
    Queued,
    /// It waits, or the policy struck, and the flusher is to be armed.
    Dirtied,
    /// It was dropped, as it may be.
    Dropped,
    /// The outbox takes nothing more.
    Refused,
}

#[pyclass(frozen, weakref, module = "roomcast._core")]
pub(super) struct Outbox {
    pub(super) flusher: Py<Flusher>,
    state: Mutex<State>,
}

impl Outbox {
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, State> {
        // A panic leaves the state usable: the worst it loses is the change it interrupted.
        self.state
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Queue a packet; the flusher is not armed yet, so nothing of Python runs.
    pub(super) fn push_unarmed(
        slf: &Py<Self>,
        py: Python<'_>,
        item: Item,
        volatile: bool,
    ) -> Pushed {
        let outbox = slf.get();
        let flusher = outbox.flusher.get();
        let size = item.size(py);
        let mut state = outbox.lock(py);
        if state.intake != Intake::Open {
            return Pushed::Refused;
        }
        if volatile && !state.writable {
            return Pushed::Dropped;
        }
        if state.size.saturating_add(size) <= flusher.size_limit
            || state.size == 0
            || state.make_room(py, flusher, &item, size)
        {
            state.size += size;
            if let Item::Packet(packet) = &item {
                flusher.note_queued(size, packet.get().is_event);
            }
            state.queue.push_back(item);
            state.mark(flusher);
        }
        if std::mem::replace(&mut state.dirty, true) {
            return Pushed::Queued;
        }
        drop(state);
        flusher.add(py, slf.clone_ref(py));
        Pushed::Dirtied
    }

    /// Hand over to the transport.
    pub(super) fn flush(&self, py: Python<'_>, joined: &mut Joined) -> PyResult<()> {
        let mut state = self.lock(py);
        state.dirty = false;
        let overflown = state.intake == Intake::Overflown;
        if (overflown || state.dropped > 0)
            && let Some(owner) = state.owner.as_ref().map(|owner| owner.clone_ref(py))
        {
            let dropped = std::mem::take(&mut state.dropped);
            drop(state);
            if overflown {
                owner.call_method0(py, "on_overflow")?;
                return Ok(());
            }
            owner.call_method1(py, "on_drop", (dropped,))?;
            state = self.lock(py);
        }
        let held = &mut *state;
        match &mut held.carrier {
            Carrier::None => Ok(()),
            Carrier::Transport(transport) => {
                let transport = transport.clone_ref(py);
                drop(state);
                transport.call_method0(py, "flush").map(drop)
            }
            Carrier::Line(line) => {
                if !held.writable || held.queue.is_empty() {
                    return Ok(());
                }
                let frames = line.frames(py, joined, &held.queue, held.skip)?;
                let target = line.target.clone_ref(py);
                held.empty();
                let waiter = held.relax(self.flusher.get());
                drop(state);
                release(py, waiter)?;
                let left = target.write(py, &frames)?;
                if left > 0 {
                    self.drained_to(py, left)?;
                }
                Ok(())
            }
        }
    }
}

impl State {
    /// Make room for a packet that passes the limit; return whether there is some now.
    fn make_room(&mut self, py: Python<'_>, flusher: &Flusher, item: &Item, size: usize) -> bool {
        match flusher.policy {
            Policy::Close => {}
            Policy::DropNewest => {
                if item.is_droppable() {
                    self.dropped += 1;
                    return false;
                }
            }
            Policy::DropOldest => {
                // A packet that has partly gone with a payload stays.
                let mut at = usize::from(self.skip > 0);
                while self.size.saturating_add(size) > flusher.size_limit
                    && let Some(oldest) = self.queue.get(at)
                {
                    if oldest.is_droppable() {
                        self.size = self.size.saturating_sub(oldest.size(py));
                        self.queue.remove(at);
                        self.dropped += 1;
                    } else {
                        at += 1;
                    }
                }
                if self.size.saturating_add(size) <= flusher.size_limit {
                    return true;
                }
                if item.is_droppable() {
                    self.dropped += 1;
                    return false;
                }
            }
        }
        // Closing runs user code (disconnect handlers); the sender must not meet it in the middle of its broadcast.
        self.intake = Intake::Overflown;
        false
    }

    /// Note whether it is above the mark.
    fn mark(&mut self, flusher: &Flusher) {
        let congested = self.size > flusher.mark && self.intake != Intake::Closed;
        if congested != self.congested {
            self.congested = congested;
            flusher.note_congested(congested);
        }
    }

    /// Note that it may be below the mark; return who waits for that.
    fn relax(&mut self, flusher: &Flusher) -> Option<Py<PyAny>> {
        self.mark(flusher);
        if self.congested {
            return None;
        }
        self.waiter.take()
    }

    fn empty(&mut self) {
        self.queue.clear();
        self.queue.shrink_to(KEPT);
        self.size = 0;
        self.skip = 0;
    }
}

/// Let those who wait go on.
fn release(py: Python<'_>, waiter: Option<Py<PyAny>>) -> PyResult<()> {
    if let Some(waiter) = waiter
        && !waiter.call_method0(py, "done")?.is_truthy(py)?
    {
        waiter.call_method1(py, "set_result", (py.None(),))?;
    }
    Ok(())
}

#[pymethods]
impl Outbox {
    #[new]
    #[pyo3(signature = (flusher, /))]
    fn new(flusher: Py<Flusher>) -> Self {
        Self {
            flusher,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                size: 0,
                skip: 0,
                carrier: Carrier::None,
                owner: None,
                waiter: None,
                intake: Intake::Open,
                dirty: false,
                congested: false,
                writable: true,
                dropped: 0,
            }),
        }
    }

    #[pyo3(signature = (carrier, /))]
    fn carry(&self, py: Python<'_>, carrier: Py<PyAny>) {
        let new = Carrier::Transport(carrier);
        let old = std::mem::replace(&mut self.lock(py).carrier, new);
        drop(old);
    }

    #[pyo3(signature = (transport, fd, agreement=None, /, *, masked=false, base64=false))]
    fn write_to(
        &self,
        py: Python<'_>,
        transport: Py<PyAny>,
        fd: i32,
        agreement: Option<Py<Agreement>>,
        masked: bool,
        base64: bool,
    ) {
        let new = Carrier::Line(Line {
            target: Target { transport, fd },
            agreement,
            masking: masked.then(|| Masking::new(base64)),
        });
        let old = std::mem::replace(&mut self.lock(py).carrier, new);
        drop(old);
    }

    #[pyo3(signature = (owner, /))]
    fn attach(&self, py: Python<'_>, owner: Py<PyAny>) {
        let old = self.lock(py).owner.replace(owner);
        drop(old);
    }

    #[pyo3(signature = (packet, volatile=false, /))]
    fn push(slf: &Bound<'_, Self>, packet: Py<EncodedPacket>, volatile: bool) -> PyResult<bool> {
        Self::push_item(slf, Item::Packet(packet), volatile)
    }

    #[pyo3(signature = (text, /))]
    fn push_text(slf: &Bound<'_, Self>, text: Py<PyString>) -> PyResult<bool> {
        Self::push_item(slf, Item::Text(text), false)
    }

    fn schedule(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let mut state = slf.get().lock(py);
        if state.queue.is_empty() || std::mem::replace(&mut state.dirty, true) {
            return Ok(());
        }
        drop(state);
        let flusher = &slf.get().flusher;
        flusher.get().add(py, slf.clone().unbind());
        Flusher::arm(flusher.bind(py))
    }

    #[getter]
    fn size(&self, py: Python<'_>) -> usize {
        self.lock(py).size
    }

    #[getter]
    fn empty(&self, py: Python<'_>) -> bool {
        self.lock(py).queue.is_empty()
    }

    #[getter]
    fn congested(&self, py: Python<'_>) -> bool {
        self.lock(py).congested
    }

    #[getter]
    fn writable(&self, py: Python<'_>) -> bool {
        self.lock(py).writable
    }

    #[setter]
    fn set_writable(&self, py: Python<'_>, writable: bool) {
        self.lock(py).writable = writable;
    }

    #[getter]
    fn packets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let packets: Vec<_> = {
            let state = self.lock(py);
            state.queue.iter().map(|item| item.object(py)).collect()
        };
        buffers::new_list(py, packets.into_iter().map(|packet| packet.into_bound(py)))
    }

    #[pyo3(signature = ())]
    fn pop(&self, py: Python<'_>) -> Option<(Py<PyAny>, usize)> {
        let mut state = self.lock(py);
        let item = state.queue.pop_front()?;
        let skip = std::mem::take(&mut state.skip);
        Some((item.object(py), skip))
    }

    #[pyo3(signature = (size, /))]
    fn sent(&self, py: Python<'_>, size: usize) -> PyResult<()> {
        let mut state = self.lock(py);
        state.size = state.size.saturating_sub(size);
        let waiter = state.relax(self.flusher.get());
        drop(state);
        release(py, waiter)
    }

    #[pyo3(signature = (limit, /))]
    fn take_payload<'py>(
        &self,
        py: Python<'py>,
        limit: usize,
    ) -> PyResult<(Bound<'py, PyBytes>, bool)> {
        let mut state = self.lock(py);
        let packets = state
            .queue
            .iter()
            .map(|item| Ok(item.object(py).into_bound(py)));
        let (payload, whole, skip) = payload::write_payload(py, packets, state.skip, limit)?;
        let begun = whole.saturating_add(usize::from(skip > 0));
        let compress = state.queue.iter().take(begun).any(Item::may_be_compressed);
        for item in state.queue.drain(..whole).collect::<Vec<_>>() {
            state.size = state.size.saturating_sub(item.size(py));
        }
        state.skip = skip;
        let waiter = state.relax(self.flusher.get());
        drop(state);
        release(py, waiter)?;
        Ok((payload, compress))
    }

    fn take_frames<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut state = self.lock(py);
        let mut joined = Joined::default();
        let held = &mut *state;
        let frames = match &mut held.carrier {
            Carrier::Line(line) => line.frames(py, &mut joined, &held.queue, held.skip)?,
            Carrier::None | Carrier::Transport(_) => {
                joined.frames(py, &held.queue, held.skip, None)?
            }
        };
        let frames = PyBytes::new(py, frames.as_slice(py));
        state.empty();
        let waiter = state.relax(self.flusher.get());
        drop(state);
        release(py, waiter)?;
        Ok(frames)
    }

    #[pyo3(signature = (left, /))]
    fn drained_to(&self, py: Python<'_>, left: usize) -> PyResult<()> {
        let mut state = self.lock(py);
        let queued: usize = state.queue.iter().map(|item| item.size(py)).sum();
        state.size = left.saturating_add(queued);
        let waiter = state.relax(self.flusher.get());
        drop(state);
        release(py, waiter)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut state = self.lock(py);
        state.intake = Intake::Closed;
        let owner = state.owner.take();
        let waiter = state.relax(self.flusher.get());
        drop(state);
        drop(owner);
        release(py, waiter)
    }

    fn discard(&self, py: Python<'_>) -> PyResult<()> {
        self.close(py)?;
        let mut state = self.lock(py);
        state.size = 0;
        state.skip = 0;
        let dropped = std::mem::take(&mut state.queue);
        // What is closed next may be the socket that it wrote to.
        let carrier = std::mem::replace(&mut state.carrier, Carrier::None);
        drop(state);
        drop((dropped, carrier));
        Ok(())
    }

    fn drained(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(waiter) = &self.lock(py).waiter {
            return Ok(waiter.clone_ref(py));
        }
        let made = self.flusher.get().new_future(py)?;
        let mut state = self.lock(py);
        let waiter = state.waiter.get_or_insert(made);
        Ok(waiter.clone_ref(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Locked means in use by another thread: what is not visited counts as reachable from outside, which it is.
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return Ok(()),
        };
        visit.call(&self.flusher)?;
        match &state.carrier {
            Carrier::None => {}
            Carrier::Transport(transport) => visit.call(transport)?,
            Carrier::Line(line) => {
                visit.call(&line.target.transport)?;
                visit.call(&line.agreement)?;
            }
        }
        visit.call(&state.owner)?;
        visit.call(&state.waiter)
    }

    fn __clear__(&self, py: Python<'_>) {
        let mut state = self.lock(py);
        let carrier = std::mem::replace(&mut state.carrier, Carrier::None);
        let (owner, waiter) = (state.owner.take(), state.waiter.take());
        drop(state);
        drop((carrier, owner, waiter));
    }
}

impl Outbox {
    fn push_item(slf: &Bound<'_, Self>, item: Item, volatile: bool) -> PyResult<bool> {
        let pushed = Self::push_unarmed(slf.as_unbound(), slf.py(), item, volatile);
        if pushed == Pushed::Dirtied {
            Flusher::arm(slf.get().flusher.bind(slf.py()))?;
        }
        Ok(pushed != Pushed::Dropped)
    }
}
