//! Who has been picked so far in one selection: a bitmap over all slots that remembers which of its words are in use.
//!
//! It is kept between selections, and only the words that were touched are read and cleared, so that a selection among a
//! few sockets costs nothing for the millions that exist.

use super::members::{Members, for_each_bit};

/// One probe of a word in a room costs about as much as that many members that are written one by one.
const PROBE: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Scratch {
    words: Vec<u64>,
    /// The words that have been written to, each once; all others are 0.
    touched: Vec<u32>,
}

impl Scratch {
    /// Start afresh, with room for so many slots.
    pub(super) fn reset(&mut self, slots: usize) {
        self.clear();
        let words = slots.div_ceil(64);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    fn clear(&mut self) {
        for index in self.touched.drain(..) {
            if let Some(word) = self.words.get_mut(index as usize) {
                *word = 0;
            }
        }
    }

    /// Add the slots of a word. Only while nothing has been taken out: a word that is 0 again would be touched twice.
    #[inline]
    pub(super) fn add_word(&mut self, index: u32, bits: u64) {
        if let Some(word) = self.words.get_mut(index as usize) {
            if *word == 0 {
                self.touched.push(index);
            }
            *word |= bits;
        }
    }

    pub(super) fn add(&mut self, members: &Members) {
        members.for_each_word(|index, bits| self.add_word(index, bits));
    }

    /// Keep only what is in these members; `other` is free before and after.
    pub(super) fn intersect(&mut self, members: &Members, other: &mut Self) {
        if self.prefers_probing(members) {
            self.map(|index, word| word & members.word(index));
        } else {
            other.add(members);
            self.map(|index, word| word & other.word(index));
            other.clear();
        }
    }

    /// Keep only what is in the slots of one word.
    pub(super) fn intersect_word(&mut self, index: u32, bits: u64) {
        self.map(|at, word| if at == index { word & bits } else { 0 });
    }

    pub(super) fn subtract(&mut self, members: &Members) {
        if self.prefers_probing(members) {
            self.map(|index, word| word & !members.word(index));
        } else {
            members.for_each_word(|index, bits| self.subtract_word(index, bits));
        }
    }

    #[inline]
    pub(super) fn subtract_word(&mut self, index: u32, bits: u64) {
        if let Some(word) = self.words.get_mut(index as usize) {
            *word &= !bits;
        }
    }

    /// Call for each slot that is left, and start afresh.
    #[inline]
    pub(super) fn drain(&mut self, mut each: impl FnMut(u32)) {
        for &index in &self.touched {
            if let Some(word) = self.words.get(index as usize) {
                for_each_bit(index, *word, &mut each);
            }
        }
        self.clear();
    }

    fn prefers_probing(&self, members: &Members) -> bool {
        self.touched.len().saturating_mul(PROBE) <= members.len()
    }

    fn word(&self, index: u32) -> u64 {
        self.words.get(index as usize).copied().unwrap_or(0)
    }

    fn map(&mut self, change: impl Fn(u32, u64) -> u64) {
        for &index in &self.touched {
            if let Some(word) = self.words.get_mut(index as usize) {
                *word = change(index, *word);
            }
        }
    }
}
