//! `Rooms` for Python: the index together with the sockets' own objects.
//!
//! Nothing of Python runs while the state is locked. Names are taken out of the arguments before; objects are released,
//! and lists and sets are made, after: both may start the garbage collector, and that any destructor.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::sync::MutexExt;
use pyo3::types::{PyList, PySet, PyString};
use smallvec::SmallVec;

use super::encoded::EncodedPacket;
use super::flusher::Flusher;
use super::outbox::{Item, Outbox, Pushed};
use crate::rooms;

/// Names that a call brings along, taken out of any iterable of `str`.
#[derive(Default)]
struct Names(SmallVec<[PyBackedStr; 4]>);

impl<'py> FromPyObject<'_, 'py> for Names {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        // A lone string would pass as the rooms of its characters.
        if object.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err("expected several str, not one"));
        }
        let names: PyResult<_> = object.try_iter()?.map(|name| name?.extract()).collect();
        Ok(Self(names?))
    }
}

/// A socket, and where its packets wait.
struct Member {
    socket: Py<PyAny>,
    outbox: Option<Py<Outbox>>,
}

#[derive(Default)]
struct State {
    index: rooms::Rooms,
    /// By slot.
    members: Vec<Option<Member>>,
}

impl State {
    fn member(&self, slot: u32) -> Option<&Member> {
        self.members.get(slot as usize)?.as_ref()
    }
}

#[pyclass(frozen, generic, module = "roomcast._core")]
pub(super) struct Rooms {
    state: Mutex<State>,
}

impl Rooms {
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, State> {
        // A panic leaves the state usable: the worst it loses is the change it interrupted.
        self.state
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Rooms {
    #[new]
    fn new() -> Self {
        Self {
            state: Mutex::default(),
        }
    }

    #[pyo3(signature = (id, socket, outbox=None, /))]
    fn add(
        &self,
        py: Python<'_>,
        id: PyBackedStr,
        socket: Py<PyAny>,
        outbox: Option<Py<Outbox>>,
    ) -> PyResult<()> {
        let member = Some(Member { socket, outbox });
        let mut state = self.lock(py);
        let Some(added) = state.index.add(&id) else {
            drop(state);
            return Err(PyValueError::new_err(
                "a socket with this id is there already",
            ));
        };
        let slot = added.slot as usize;
        if slot == state.members.len() {
            state.members.push(member);
        } else if let Some(place) = state.members.get_mut(slot) {
            *place = member; // was None, so nothing is released here
        }
        Ok(())
    }

    #[pyo3(signature = (id, /))]
    fn remove<'py>(&self, py: Python<'py>, id: PyBackedStr) -> PyResult<Bound<'py, PyList>> {
        let mut state = self.lock(py);
        let removed = state.index.remove(&id);
        let member = removed.as_ref().and_then(|removed| {
            let place = state.members.get_mut(removed.slot as usize)?;
            place.take()
        });
        drop(state);
        let names = removed.map_or_else(Vec::new, |removed| removed.rooms);
        let names = PyList::new(py, names.iter().map(|name| &**name));
        drop(member);
        names
    }

    #[pyo3(signature = (id, rooms, /))]
    fn join<'py>(
        &self,
        py: Python<'py>,
        id: PyBackedStr,
        rooms: Names,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut names = rooms.0;
        let mut dropped = SmallVec::<[PyBackedStr; 4]>::new();
        {
            let index = &mut self.lock(py).index;
            let socket = index.find(&id);
            names = names
                .into_iter()
                .filter_map(|name| {
                    if socket.is_some_and(|socket| index.join(socket, &name)) {
                        return Some(name);
                    }
                    dropped.push(name);
                    None
                })
                .collect();
        }
        PyList::new(py, names)
    }

    #[pyo3(signature = (id, room, /))]
    fn leave(&self, py: Python<'_>, id: PyBackedStr, room: PyBackedStr) -> bool {
        let index = &mut self.lock(py).index;
        index
            .find(&id)
            .is_some_and(|socket| index.leave(socket, &room))
    }

    #[pyo3(signature = (id, /))]
    fn rooms_of<'py>(&self, py: Python<'py>, id: PyBackedStr) -> PyResult<Bound<'py, PySet>> {
        let names: Option<Vec<_>> = {
            let index = &self.lock(py).index;
            let socket = index.find(&id);
            socket.map(|socket| strings(py, index.rooms_of(socket)))
        };
        let rooms = PySet::empty(py)?;
        if let Some(names) = names {
            rooms.add(id)?;
            for name in names {
                rooms.add(name)?;
            }
        }
        Ok(rooms)
    }

    #[pyo3(signature = (id, /))]
    fn get(&self, py: Python<'_>, id: PyBackedStr) -> Option<Py<PyAny>> {
        let state = self.lock(py);
        let slot = state.index.find(&id)?.slot;
        state.member(slot).map(|member| member.socket.clone_ref(py))
    }

    #[pyo3(signature = (room, /))]
    fn members(&self, py: Python<'_>, room: PyBackedStr) -> usize {
        self.lock(py).index.members(&room)
    }

    #[pyo3(
        signature = (to = Names::default(), all_of = Names::default(), except_ = Names::default()),
        text_signature = "($self, to=(), all_of=(), except_=())"
    )]
    fn select<'py>(
        &self,
        py: Python<'py>,
        to: Names,
        all_of: Names,
        except_: Names,
    ) -> PyResult<Bound<'py, PyList>> {
        let selected = {
            let State { index, members } = &mut *self.lock(py);
            let selection = rooms::Selection {
                to: &to.0,
                all_of: &all_of.0,
                except: &except_.0,
            };
            index.select(selection, |slot| {
                let member = members.get(slot as usize)?.as_ref()?;
                Some(member.socket.clone_ref(py))
            })
        };
        // Every slot in the index has a socket, so that no item is None for want of one.
        PyList::new(py, selected)
    }

    #[pyo3(
        signature = (packet, to, all_of, except_, volatile, /),
        text_signature = "($self, packet, to, all_of, except_, volatile, /)"
    )]
    fn push(
        &self,
        py: Python<'_>,
        packet: Py<EncodedPacket>,
        to: Names,
        all_of: Names,
        except_: Names,
        volatile: bool,
    ) -> PyResult<usize> {
        let mut flushers = SmallVec::<[Py<Flusher>; 1]>::new();
        let mut dropped = 0;
        {
            let State { index, members } = &mut *self.lock(py);
            let selection = rooms::Selection {
                to: &to.0,
                all_of: &all_of.0,
                except: &except_.0,
            };
            index.select(selection, |slot| {
                let member = members.get(slot as usize).and_then(Option::as_ref);
                let Some(outbox) = member.and_then(|member| member.outbox.as_ref()) else {
                    return;
                };
                let item = Item::Packet(packet.clone_ref(py));
                match Outbox::push_unarmed(outbox, py, item, volatile) {
                    Pushed::Dirtied => {
                        let flusher = &outbox.get().flusher;
                        if flushers.last().is_none_or(|last| !last.is(flusher)) {
                            flushers.push(flusher.clone_ref(py));
                        }
                    }
                    Pushed::Dropped => dropped += 1,
                    Pushed::Queued | Pushed::Refused => {}
                }
            });
        }
        for flusher in &flushers {
            Flusher::arm(flusher.bind(py))?;
        }
        Ok(dropped)
    }

    fn room_names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let names = strings(py, self.lock(py).index.names());
        PyList::new(py, names)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.lock(py).index.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Locked means in use by another thread: what is not visited counts as reachable from outside, which it is.
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return Ok(()),
        };
        state.members.iter().flatten().try_for_each(|member| {
            visit.call(&member.socket)?;
            visit.call(&member.outbox)
        })
    }

    fn __clear__(&self, py: Python<'_>) {
        let state = std::mem::take(&mut *self.lock(py));
        drop(state);
    }
}

/// Make strings of names. It runs no code of the user's: a `str` is no object of the garbage collector.
fn strings<'py, 'a>(
    py: Python<'py>,
    names: impl Iterator<Item = &'a str>,
) -> Vec<Bound<'py, PyString>> {
    names.map(|name| PyString::new(py, name)).collect()
}
