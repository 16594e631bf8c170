//! Who is in which room, over small integers.
//!
//! A socket has a *slot*, a dense `u32` that is reused when the socket is gone; a room has a number of the same kind. Each
//! room knows its members' slots, each socket its rooms' numbers, and two tables lead from ids and names to them. A
//! selection is then arithmetic on sets of integers. What a socket is, this module does not know: its user keeps the
//! sockets by slot.
//!
//! A socket's own room is no room here: a name that is the id of a socket stands for that socket alone, whatever room has
//! the same name. The tables are seeded per process, because peers choose the names.

mod members;
mod scratch;

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use smallvec::SmallVec;

use members::{List, Members, contract, expand, position};
use scratch::Scratch;

/// Numbers of rooms that an index without rooms keeps the memory of.
const KEPT_ROOMS: usize = 1024;

/// A socket in the index. The slot is used again when the socket is gone, with the next generation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SlotId {
    /// The place of the socket; at most as many are in use as there were sockets at one time.
    pub slot: u32,
    /// How many sockets had this slot before.
    pub generation: u32,
}

/// Whom a broadcast reaches: `(∪ to) ∩ (∩ all_of) ∖ (∪ except)`. Names are rooms or ids; repeats are harmless.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a, N> {
    /// Empty: every socket.
    pub to: &'a [N],
    /// Empty: no such condition.
    pub all_of: &'a [N],
    /// Left out, even if another part names them.
    pub except: &'a [N],
}

/// What is gone with a socket.
#[derive(Debug, Eq, PartialEq)]
pub struct Removed {
    /// The slot that is free now.
    pub slot: u32,
    /// The rooms of which it was the last member.
    pub rooms: Vec<Box<str>>,
}

/// The index of rooms and sockets.
///
/// Source: socket.io-adapter, `Adapter.rooms` and `Adapter.sids`. Differs from socket.io-adapter: own rooms cannot be
/// joined by others, because a peer that chooses room names must not be able to read what is sent to an id.
#[derive(Debug, Default)]
pub struct Rooms {
    seed: RandomState,
    slots_by_id: HashTable<u32>,
    /// By slot.
    sockets: Vec<Socket>,
    free_slots: Vec<u32>,
    /// A bit for each slot in use.
    in_use: Vec<u64>,
    numbers_by_name: HashTable<u32>,
    by_number: Vec<Room>,
    free_numbers: Vec<u32>,
    picked: Scratch,
    other: Scratch,
}

/// What a slot holds.
#[derive(Debug)]
struct Socket {
    /// `None` while the slot is free.
    id: Option<Box<str>>,
    generation: u32,
    /// Numbers of rooms.
    rooms: List,
}

/// What the number of a room stands for; without members while the number is free.
#[derive(Debug)]
struct Room {
    name: Box<str>,
    members: Members,
}

/// What a name stands for.
#[derive(Clone, Copy)]
enum Named<'a> {
    Socket(u32),
    Room(&'a Members),
}

impl Named<'_> {
    fn len(self) -> usize {
        match self {
            Self::Socket(_) => 1,
            Self::Room(members) => members.len(),
        }
    }

    fn add_to(self, picked: &mut Scratch) {
        match self {
            Self::Socket(slot) => {
                let (index, bit) = position(slot);
                picked.add_word(index, bit);
            }
            Self::Room(members) => picked.add(members),
        }
    }

    fn intersect_with(self, picked: &mut Scratch, other: &mut Scratch) {
        match self {
            Self::Socket(slot) => {
                let (index, bit) = position(slot);
                picked.intersect_word(index, bit);
            }
            Self::Room(members) => picked.intersect(members, other),
        }
    }

    fn subtract_from(self, picked: &mut Scratch) {
        match self {
            Self::Socket(slot) => {
                let (index, bit) = position(slot);
                picked.subtract_word(index, bit);
            }
            Self::Room(members) => picked.subtract(members),
        }
    }
}

impl Rooms {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of sockets.
    pub fn len(&self) -> usize {
        self.slots_by_id.len()
    }

    /// Whether there are no sockets.
    pub fn is_empty(&self) -> bool {
        self.slots_by_id.is_empty()
    }

    /// Add a socket that is in no room; `None` if the id is there already, or 2^32 slots are taken.
    pub fn add(&mut self, id: &str) -> Option<SlotId> {
        if self.find(id).is_some() {
            return None;
        }
        let slot = if let Some(slot) = self.free_slots.pop() {
            slot
        } else {
            let slot = u32::try_from(self.sockets.len()).ok()?;
            self.sockets.push(Socket {
                id: None,
                generation: 0,
                rooms: List::new(),
            });
            slot
        };
        let socket = self.sockets.get_mut(slot as usize)?;
        socket.id = Some(id.into());
        let generation = socket.generation;
        let (seed, sockets) = (&self.seed, &self.sockets);
        self.slots_by_id
            .insert_unique(seed.hash_one(id), slot, |&slot| {
                seed.hash_one(id_of(sockets, slot).unwrap_or_default())
            });
        let (index, bit) = position(slot);
        if self.in_use.len() <= index as usize {
            self.in_use.resize(index as usize + 1, 0);
        }
        if let Some(word) = self.in_use.get_mut(index as usize) {
            *word |= bit;
        }
        Some(SlotId { slot, generation })
    }

    /// The socket of an id.
    pub fn find(&self, id: &str) -> Option<SlotId> {
        let slot = self.slot(id)?;
        let generation = self.sockets.get(slot as usize)?.generation;
        Some(SlotId { slot, generation })
    }

    /// The id of a socket, unless it is gone.
    pub fn id(&self, socket: SlotId) -> Option<&str> {
        self.socket(socket)?.id.as_deref()
    }

    /// Remove a socket from its rooms and from the index.
    pub fn remove(&mut self, id: &str) -> Option<Removed> {
        let entry = self
            .slots_by_id
            .find_entry(self.seed.hash_one(id), |&slot| {
                id_of(&self.sockets, slot) == Some(id)
            });
        let (slot, _) = entry.ok()?.remove();
        let socket = self.sockets.get_mut(slot as usize)?;
        socket.id = None;
        let numbers = std::mem::take(&mut socket.rooms);
        // A slot whose generations are used up stays free for ever, so that no two sockets have the same `SlotId`.
        if let Some(generation) = socket.generation.checked_add(1) {
            socket.generation = generation;
            self.free_slots.push(slot);
        }
        let (index, bit) = position(slot);
        if let Some(word) = self.in_use.get_mut(index as usize) {
            *word &= !bit;
        }
        let rooms = numbers
            .into_iter()
            .filter_map(|number| {
                let room = self.by_number.get_mut(number as usize)?;
                room.members.remove(slot);
                room.members.is_empty().then(|| self.delete(number))?
            })
            .collect();
        Some(Removed { slot, rooms })
    }

    /// Put a socket into a room; return whether the room is new to it.
    ///
    /// It never is if the socket is gone, or if the name is its own id.
    pub fn join(&mut self, socket: SlotId, room: &str) -> bool {
        if self.id(socket).is_none_or(|id| id == room) {
            return false;
        }
        let hash = self.seed.hash_one(room);
        let known = self
            .numbers_by_name
            .find(hash, |&number| name_of(&self.by_number, number) == room);
        let number = match known {
            Some(&number) => number,
            None => match self.create(hash, room) {
                Some(number) => number,
                None => return false,
            },
        };
        let joined = self
            .by_number
            .get_mut(number as usize)
            .is_some_and(|room| room.members.insert(socket.slot));
        if joined && let Some(entry) = self.sockets.get_mut(socket.slot as usize) {
            expand(&mut entry.rooms);
            entry.rooms.push(number);
        }
        joined
    }

    /// Take a socket out of a room; return whether it was in it. Its own room it cannot leave.
    pub fn leave(&mut self, socket: SlotId, room: &str) -> bool {
        if self.socket(socket).is_none() {
            return false;
        }
        let Some(number) = self.number(room) else {
            return false;
        };
        let Some(room) = self.by_number.get_mut(number as usize) else {
            return false;
        };
        if !room.members.remove(socket.slot) {
            return false;
        }
        if room.members.is_empty() {
            self.delete(number);
        }
        if let Some(entry) = self.sockets.get_mut(socket.slot as usize)
            && let Some(at) = entry.rooms.iter().position(|&other| other == number)
        {
            entry.rooms.swap_remove(at);
            contract(&mut entry.rooms);
        }
        true
    }

    /// The rooms of a socket without its own; none if it is gone.
    pub fn rooms_of(&self, socket: SlotId) -> impl Iterator<Item = &str> {
        self.socket(socket)
            .into_iter()
            .flat_map(|socket| &socket.rooms)
            .map(|&number| name_of(&self.by_number, number))
    }

    /// The number of sockets that a name stands for.
    pub fn members(&self, name: &str) -> usize {
        self.named(name).map_or(0, Named::len)
    }

    /// The names of all rooms, own rooms not included.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.numbers_by_name
            .iter()
            .map(|&number| name_of(&self.by_number, number))
    }

    /// What `pick` makes of the slots of the sockets that a broadcast reaches, each once, in any order.
    ///
    /// Linear in the members of the rooms named; without `to` and `all_of`, in the sockets.
    ///
    /// Source: socket.io-adapter, `Adapter.apply` and `computeExceptSids`; `all_of` is roomcast's own.
    pub fn select<N: AsRef<str>, T>(
        &mut self,
        selection: Selection<'_, N>,
        mut pick: impl FnMut(u32) -> T,
    ) -> Vec<T> {
        // Out of `self`, which the rooms stay borrowed from.
        let mut picked = std::mem::take(&mut self.picked);
        let mut other = std::mem::take(&mut self.other);
        picked.reset(self.sockets.len());
        other.reset(self.sockets.len());
        let bound = self.mark(selection, &mut picked, &mut other);
        let mut selected = Vec::with_capacity(bound);
        picked.drain(|slot| selected.push(pick(slot)));
        (self.picked, self.other) = (picked, other);
        selected
    }

    /// Leave the slots of a selection in `picked`; return how many there are at most.
    fn mark<N: AsRef<str>>(
        &self,
        selection: Selection<'_, N>,
        picked: &mut Scratch,
        other: &mut Scratch,
    ) -> usize {
        let mut all_of = SmallVec::<[Named<'_>; 4]>::new();
        for name in selection.all_of {
            let Some(named) = self.named(name.as_ref()) else {
                return 0;
            };
            all_of.push(named);
        }
        all_of.sort_unstable_by_key(|named| named.len());
        let mut all_of = all_of.into_iter();
        let mut bound = 0;
        if !selection.to.is_empty() {
            for name in selection.to {
                if let Some(named) = self.named(name.as_ref()) {
                    bound += named.len();
                    named.add_to(picked);
                }
            }
        } else if let Some(smallest) = all_of.next() {
            bound = smallest.len();
            smallest.add_to(picked);
        } else {
            bound = self.len();
            for (index, &word) in (0..).zip(&self.in_use) {
                if word != 0 {
                    picked.add_word(index, word);
                }
            }
        }
        for named in all_of {
            bound = bound.min(named.len());
            named.intersect_with(picked, other);
        }
        for name in selection.except {
            if let Some(named) = self.named(name.as_ref()) {
                named.subtract_from(picked);
            }
        }
        bound.min(self.len())
    }

    fn socket(&self, socket: SlotId) -> Option<&Socket> {
        self.sockets
            .get(socket.slot as usize)
            .filter(|entry| entry.generation == socket.generation && entry.id.is_some())
    }

    fn slot(&self, id: &str) -> Option<u32> {
        let hash = self.seed.hash_one(id);
        self.slots_by_id
            .find(hash, |&slot| id_of(&self.sockets, slot) == Some(id))
            .copied()
    }

    fn number(&self, name: &str) -> Option<u32> {
        let hash = self.seed.hash_one(name);
        self.numbers_by_name
            .find(hash, |&number| name_of(&self.by_number, number) == name)
            .copied()
    }

    fn named(&self, name: &str) -> Option<Named<'_>> {
        if let Some(slot) = self.slot(name) {
            return Some(Named::Socket(slot));
        }
        let room = self.by_number.get(self.number(name)? as usize)?;
        Some(Named::Room(&room.members))
    }

    /// Make a room that has no members yet; `None` if 2^32 exist.
    fn create(&mut self, hash: u64, name: &str) -> Option<u32> {
        let room = Room {
            name: name.into(),
            members: Members::new(),
        };
        let number = if let Some(number) = self.free_numbers.pop() {
            *self.by_number.get_mut(number as usize)? = room;
            number
        } else {
            let number = u32::try_from(self.by_number.len()).ok()?;
            self.by_number.push(room);
            number
        };
        let (seed, rooms) = (&self.seed, &self.by_number);
        self.numbers_by_name.insert_unique(hash, number, |&number| {
            seed.hash_one(name_of(rooms, number))
        });
        Some(number)
    }

    /// Forget a room that has no members any more; return its name.
    fn delete(&mut self, number: u32) -> Option<Box<str>> {
        let hash = self.seed.hash_one(name_of(&self.by_number, number));
        let entry = self
            .numbers_by_name
            .find_entry(hash, |&other| other == number);
        entry.ok()?.remove();
        let room = self.by_number.get_mut(number as usize)?;
        room.members = Members::new();
        let name = std::mem::take(&mut room.name);
        self.free_numbers.push(number);
        if self.numbers_by_name.is_empty() && self.by_number.len() > KEPT_ROOMS {
            self.numbers_by_name = HashTable::new();
            self.by_number = Vec::new();
            self.free_numbers = Vec::new();
        }
        Some(name)
    }
}

fn id_of(sockets: &[Socket], slot: u32) -> Option<&str> {
    sockets.get(slot as usize)?.id.as_deref()
}

fn name_of(rooms: &[Room], number: u32) -> &str {
    rooms.get(number as usize).map_or("", |room| &room.name)
}

#[cfg(test)]
mod tests;
