//! The members of one room: a set of slots that is compact at every size.
//!
//! | members | form | bytes a member |
//! | --- | --- | --- |
//! | up to 4 | inline | none beside the room's own |
//! | up to [`FLAT_MAX`] | one sorted array of `u32` | 4 to 5, more below 20 |
//! | above | chunks of 65 536 slots, each a sorted array of `u16` or, above [`ARRAY_MAX`], a bitmap | 2 to 4, or down to 1/8 |
//!
//! The chunks are those of a roaring bitmap. They are written out here because a selection works on words of 64 slots
//! ([`Members::for_each_word`], [`Members::word`]), and the crate of that name keeps its words to itself. Joining and
//! leaving move at most 8 KiB, whatever the size of the room.

use smallvec::SmallVec;

/// Members of a room up to which they are one array. Above it a server with a million sockets has at least 64 of them in
/// each of its 16 chunks, so that the chunks' own 48 bytes do not count.
const FLAT_MAX: usize = 1024;

/// Members of a chunk up to which they are an array: there a bitmap is as large (8 KiB), as in roaring.
const ARRAY_MAX: usize = 4096;

/// Words of a chunk's bitmap.
const CHUNK_WORDS: usize = 65_536 / 64;

/// A set of slots.
#[derive(Debug)]
pub(super) enum Members {
    /// Sorted.
    Flat(List),
    Chunked(Box<Chunked>),
}

#[derive(Debug, Default)]
pub(super) struct Chunked {
    len: usize,
    /// Sorted by key; none is empty.
    chunks: Vec<Chunk>,
}

#[derive(Debug)]
struct Chunk {
    /// The upper 16 bits of its slots.
    key: u16,
    lower: Lower,
}

#[derive(Debug)]
enum Lower {
    /// Sorted.
    Array(Vec<u16>),
    Bitmap(Box<Bitmap>),
}

#[derive(Debug)]
struct Bitmap {
    len: usize,
    words: [u64; CHUNK_WORDS],
}

/// The index of the word that holds a slot, and the slot's bit there.
pub(super) const fn position(slot: u32) -> (u32, u64) {
    (slot / 64, 1 << (slot % 64))
}

/// Call for each slot of a word.
#[inline]
pub(super) fn for_each_bit(index: u32, mut word: u64, each: &mut impl FnMut(u32)) {
    while word != 0 {
        each(index * 64 + word.trailing_zeros());
        word &= word - 1;
    }
}

/// The part of a sorted array that falls into one word.
fn word_of<T: Copy + Into<u32>>(sorted: &[T], index: u32) -> u64 {
    let start = sorted.partition_point(|&slot| slot.into() / 64 < index);
    sorted
        .iter()
        .skip(start)
        .map(|&slot| position(slot.into()))
        .take_while(|&(at, _)| at == index)
        .fold(0, |word, (_, bit)| word | bit)
}

/// A short list of numbers, four of them inline.
pub(super) type List = SmallVec<[u32; 4]>;

/// Make place for one more. By a quarter: doubling would take up to 8 bytes for a number of 4.
pub(super) fn expand(list: &mut List) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 4).max(4));
    }
}

/// Give memory back when little of it is in use.
pub(super) fn contract(list: &mut List) {
    if list.spilled() && list.len() * 4 <= list.capacity() {
        list.shrink_to_fit();
    }
}

impl Members {
    pub(super) const fn new() -> Self {
        Self::Flat(List::new_const())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Flat(slots) => slots.len(),
            Self::Chunked(set) => set.len,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Put a slot in; return whether it is new.
    pub(super) fn insert(&mut self, slot: u32) -> bool {
        match self {
            Self::Flat(slots) => {
                let Err(at) = slots.binary_search(&slot) else {
                    return false;
                };
                if slots.len() == FLAT_MAX {
                    let mut set = Chunked::default();
                    for &member in slots.iter() {
                        set.insert(member);
                    }
                    set.insert(slot);
                    *self = Self::Chunked(Box::new(set));
                    return true;
                }
                expand(slots);
                slots.insert(at, slot);
                true
            }
            Self::Chunked(set) => set.insert(slot),
        }
    }

    /// Take a slot out; return whether it was in.
    pub(super) fn remove(&mut self, slot: u32) -> bool {
        match self {
            Self::Flat(slots) => {
                let Ok(at) = slots.binary_search(&slot) else {
                    return false;
                };
                slots.remove(at);
                contract(slots);
                true
            }
            Self::Chunked(set) => {
                let removed = set.remove(slot);
                // At half, so that a room at the limit does not change its form with every join and leave.
                if set.len <= FLAT_MAX / 2 {
                    let mut slots = List::with_capacity(set.len);
                    set.for_each_word(|index, word| {
                        for_each_bit(index, word, &mut |member| slots.push(member));
                    });
                    *self = Self::Flat(slots);
                }
                removed
            }
        }
    }

    /// Call with index and bits of words that together hold the members. A word may come in several parts.
    #[inline]
    pub(super) fn for_each_word(&self, mut each: impl FnMut(u32, u64)) {
        match self {
            Self::Flat(slots) => {
                for &slot in slots {
                    let (index, bit) = position(slot);
                    each(index, bit);
                }
            }
            Self::Chunked(set) => set.for_each_word(each),
        }
    }

    /// The members in the 64 slots of one word.
    pub(super) fn word(&self, index: u32) -> u64 {
        match self {
            Self::Flat(slots) => word_of(slots, index),
            Self::Chunked(set) => set.word(index),
        }
    }
}

impl Chunked {
    fn search(&self, slot: u32) -> Result<usize, usize> {
        let key = (slot >> 16) as u16;
        self.chunks.binary_search_by_key(&key, |chunk| chunk.key)
    }

    fn insert(&mut self, slot: u32) -> bool {
        let at = self.search(slot).unwrap_or_else(|at| {
            let chunk = Chunk {
                key: (slot >> 16) as u16,
                lower: Lower::Array(Vec::new()),
            };
            self.chunks.insert(at, chunk);
            at
        });
        let inserted = self
            .chunks
            .get_mut(at)
            .is_some_and(|chunk| chunk.lower.insert(slot as u16));
        self.len += usize::from(inserted);
        inserted
    }

    fn remove(&mut self, slot: u32) -> bool {
        let Ok(at) = self.search(slot) else {
            return false;
        };
        let Some(chunk) = self.chunks.get_mut(at) else {
            return false;
        };
        if !chunk.lower.remove(slot as u16) {
            return false;
        }
        if matches!(&chunk.lower, Lower::Array(slots) if slots.is_empty()) {
            self.chunks.remove(at);
        }
        self.len -= 1;
        true
    }

    #[inline]
    fn for_each_word(&self, mut each: impl FnMut(u32, u64)) {
        for chunk in &self.chunks {
            let first = u32::from(chunk.key) * CHUNK_WORDS as u32;
            match &chunk.lower {
                Lower::Array(slots) => {
                    for &slot in slots {
                        let (index, bit) = position(slot.into());
                        each(first + index, bit);
                    }
                }
                Lower::Bitmap(bitmap) => {
                    for (index, &word) in (first..).zip(&bitmap.words) {
                        if word != 0 {
                            each(index, word);
                        }
                    }
                }
            }
        }
    }

    fn word(&self, index: u32) -> u64 {
        let chunk = self
            .search(index * 64)
            .ok()
            .and_then(|at| self.chunks.get(at));
        let index = index % CHUNK_WORDS as u32;
        match chunk.map(|chunk| &chunk.lower) {
            Some(Lower::Array(slots)) => word_of(slots, index),
            Some(Lower::Bitmap(bitmap)) => bitmap.words.get(index as usize).copied().unwrap_or(0),
            None => 0,
        }
    }
}

impl Lower {
    fn insert(&mut self, slot: u16) -> bool {
        match self {
            Self::Array(slots) => {
                let Err(at) = slots.binary_search(&slot) else {
                    return false;
                };
                if slots.len() == ARRAY_MAX {
                    let mut bitmap = Box::new(Bitmap {
                        len: 0,
                        words: [0; CHUNK_WORDS],
                    });
                    for &member in slots.iter() {
                        bitmap.insert(member);
                    }
                    bitmap.insert(slot);
                    *self = Self::Bitmap(bitmap);
                } else {
                    slots.insert(at, slot);
                }
                true
            }
            Self::Bitmap(bitmap) => bitmap.insert(slot),
        }
    }

    fn remove(&mut self, slot: u16) -> bool {
        match self {
            Self::Array(slots) => {
                let Ok(at) = slots.binary_search(&slot) else {
                    return false;
                };
                slots.remove(at);
                if slots.len() * 4 <= slots.capacity() {
                    slots.shrink_to_fit();
                }
                true
            }
            Self::Bitmap(bitmap) => {
                let removed = bitmap.remove(slot);
                if bitmap.len <= ARRAY_MAX / 2 {
                    let mut slots = Vec::with_capacity(bitmap.len);
                    for (index, &word) in (0..).zip(&bitmap.words) {
                        for_each_bit(index, word, &mut |member| slots.push(member as u16));
                    }
                    *self = Self::Array(slots);
                }
                removed
            }
        }
    }
}

impl Bitmap {
    fn insert(&mut self, slot: u16) -> bool {
        let (index, bit) = position(slot.into());
        let Some(word) = self.words.get_mut(index as usize) else {
            return false;
        };
        let inserted = *word & bit == 0;
        *word |= bit;
        self.len += usize::from(inserted);
        inserted
    }

    fn remove(&mut self, slot: u16) -> bool {
        let (index, bit) = position(slot.into());
        let Some(word) = self.words.get_mut(index as usize) else {
            return false;
        };
        let removed = *word & bit != 0;
        *word &= !bit;
        self.len -= usize::from(removed);
        removed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn slots(members: &Members) -> Vec<u32> {
        let mut slots = Vec::new();
        members.for_each_word(|index, word| {
            for_each_bit(index, word, &mut |slot| slots.push(slot));
        });
        slots
    }

    fn check(members: &Members, model: &BTreeSet<u32>) {
        assert_eq!(members.len(), model.len());
        assert_eq!(slots(members), model.iter().copied().collect::<Vec<_>>());
        let words: BTreeSet<u32> = model.iter().map(|slot| slot / 64).collect();
        for index in words
            .iter()
            .flat_map(|&index| [index, index ^ 1, index ^ 1024])
        {
            let expected = model
                .range(index * 64..=index * 64 + 63)
                .fold(0, |word, slot| word | 1 << (slot % 64));
            assert_eq!(members.word(index), expected, "word {index}");
        }
    }

    /// Grow through every form and back, in steps whose order is neither up nor down.
    fn grow_and_shrink(count: u32, stride: u32) {
        let slot = |i: u32| (i * 7919 % count) * stride;
        let (mut members, mut model) = (Members::new(), BTreeSet::new());
        for i in 0..count {
            assert!(members.insert(slot(i)));
            assert!(!members.insert(slot(i)));
            model.insert(slot(i));
            if i.is_power_of_two() || i == FLAT_MAX as u32 || i == ARRAY_MAX as u32 {
                check(&members, &model);
            }
        }
        check(&members, &model);
        assert!(matches!(members, Members::Chunked(_)));
        for i in (0..count).rev() {
            assert!(members.remove(slot(i)));
            assert!(!members.remove(slot(i)));
            model.remove(&slot(i));
            if i.is_power_of_two() {
                check(&members, &model);
            }
        }
        assert!(members.is_empty());
        assert!(matches!(members, Members::Flat(_)));
    }

    #[test]
    fn members_are_kept_through_every_form_where_slots_are_dense() {
        grow_and_shrink(10_000, 1);
    }

    #[test]
    fn members_are_kept_through_every_form_where_slots_are_sparse() {
        grow_and_shrink(5_000, 1_000);
    }

    #[test]
    fn members_may_have_the_last_slot() {
        let (mut members, mut model) = (Members::new(), BTreeSet::new());
        for slot in (u32::MAX - 3_000..=u32::MAX).chain([0, 65_535, 65_536]) {
            members.insert(slot);
            model.insert(slot);
        }
        check(&members, &model);
    }

    #[test]
    fn members_release_memory_when_they_leave() {
        let mut members = Members::new();
        for slot in 0..FLAT_MAX as u32 {
            members.insert(slot);
        }
        for slot in 0..FLAT_MAX as u32 - 1 {
            members.remove(slot);
        }
        assert!(matches!(&members, Members::Flat(slots) if slots.capacity() <= 16));
    }

    proptest! {
        #[test]
        fn members_agree_with_a_set(
            start in 0u32..5_000, steps in prop::collection::vec((any::<bool>(), 0u32..200_000), 0..300)
        ) {
            let (mut members, mut model) = (Members::new(), BTreeSet::new());
            for slot in 0..start {
                members.insert(slot * 3);
                model.insert(slot * 3);
            }
            for (insert, slot) in steps {
                if insert {
                    prop_assert_eq!(members.insert(slot), model.insert(slot));
                } else {
                    prop_assert_eq!(members.remove(slot), model.remove(&slot));
                }
            }
            check(&members, &model);
        }
    }
}
