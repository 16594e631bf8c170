//! Strings that come again and again (keys, event names, namespaces, short values) are made once.
//!
//! A direct-mapped table per process: a newcomer takes the place of whoever was there. Its size is fixed, so peers can
//! only push each other's strings out. A value is kept when it comes for the second time, so that those which never come again
//! leave keys their places. It is taken with `try_lock`: whoever finds it busy (another thread, or a finaliser that runs while a
//! string is made) makes a new string.

use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::buffers::{self, Chars};
use crate::json::scan;

/// Places in the table, a power of two. 2 048 is what orjson has; it takes 64 kB and at most 2 048 short strings.
const PLACES: usize = 2_048;
/// Longer keys are not kept.
const MAX_LENGTH: usize = 64;
/// Longer values are not kept: few of them come again, and tokens are longer than that, which should not stay in memory.
const MAX_VALUE_LENGTH: usize = 15;
/// Bytes that are compared without looking at the string.
const HEAD: usize = 16;

#[derive(Default)]
struct Place {
    /// The first bytes, as UTF-8, zeros behind them.
    head: [u64; 2],
    /// How many bytes there are.
    length: u32,
    /// A part of the hash of the value that has come last and is not kept.
    seen: u32,
    string: Option<Py<PyString>>,
}

impl Place {
    /// What is kept here, if it is the string of these bytes.
    #[inline]
    fn get<'a>(&'a self, bytes: &[u8], head: [u64; 2], py: Python<'_>) -> Option<&'a Py<PyString>> {
        if self.head != head || self.length as usize != bytes.len() {
            return None;
        }
        let string = self.string.as_ref()?;
        let same = bytes.len() <= HEAD
            || matches!(buffers::chars(string.bind(py)), Chars::Ascii(same) if same == bytes);
        same.then_some(string)
    }
}

struct Table {
    /// Peers choose strings, so where they land is not theirs to know.
    seed: u64,
    places: Box<[Place]>,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(|| {
    Mutex::new(Table {
        seed: RandomState::new().hash_one(0),
        places: (0..PLACES).map(|_| Place::default()).collect(),
    })
});

/// The first sixteen bytes as two words, zeros behind them.
#[inline]
fn head(bytes: &[u8]) -> [u64; 2] {
    match bytes.split_first_chunk::<8>() {
        None => [scan::tail_word(bytes), 0],
        Some((first, rest)) => [
            u64::from_le_bytes(*first),
            match rest.first_chunk::<8>() {
                Some(second) => u64::from_le_bytes(*second),
                None => scan::tail_word(rest),
            },
        ],
    }
}

/// A short multiplicative hash over eight bytes at a time, its seed first.
#[inline]
fn hash(seed: u64, bytes: &[u8], head: [u64; 2]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word).wrapping_mul(u128::from(FACTOR));
        (product as u64) ^ ((product >> 64) as u64)
    };
    let [first, second] = head;
    // Most are shorter than eight bytes: one multiplication.
    let mut hash = mix(seed ^ bytes.len() as u64, first);
    if bytes.len() > 8 {
        hash = mix(hash, second);
    }
    let mut rest = bytes.get(HEAD..).unwrap_or_default();
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        hash = mix(hash, u64::from_le_bytes(*chunk));
        rest = tail;
    }
    if rest.is_empty() {
        hash
    } else {
        mix(hash, scan::tail_word(rest))
    }
}

/// The table, for as long as one packet is decoded.
///
/// Held while strings and containers are made, which may run finalisers: should one decode a packet of its own, it finds
/// the table taken and goes without.
pub(super) struct Keys<'py> {
    py: Python<'py>,
    table: Option<MutexGuard<'static, Table>>,
}

impl<'py> Keys<'py> {
    pub(super) fn new(py: Python<'py>) -> Self {
        Self {
            py,
            table: TABLE.try_lock().ok(),
        }
    }

    /// The string of a key, kept for the next time if it is short.
    #[inline]
    pub(super) fn get(&mut self, text: &str, ascii: bool) -> PyResult<Bound<'py, PyString>> {
        if ascii {
            return self.get_ascii(text.as_bytes());
        }
        let py = self.py;
        let make = || buffers::new_text(py, text, false);
        self.find::<HEAD, true>(text.as_bytes(), make)
    }

    /// The same for bytes that are ASCII.
    #[inline]
    pub(super) fn get_ascii(&mut self, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
        let py = self.py;
        let make = || buffers::new_ascii_string(py, bytes);
        self.find::<MAX_LENGTH, true>(bytes, make)
    }

    /// The string of a value, kept for the next time if it is short and has come before.
    #[inline]
    pub(super) fn value(&mut self, text: &str, ascii: bool) -> PyResult<Bound<'py, PyString>> {
        let py = self.py;
        let make = || buffers::new_text(py, text, ascii);
        self.find::<MAX_VALUE_LENGTH, false>(text.as_bytes(), make)
    }

    /// The same for bytes that are ASCII.
    #[inline]
    pub(super) fn ascii_value(&mut self, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
        let py = self.py;
        let make = || buffers::new_ascii_string(py, bytes);
        self.find::<MAX_VALUE_LENGTH, false>(bytes, make)
    }

    /// The string of UTF-8: kept or made, and kept then, `AT_ONCE` or when it comes again. Up to `MOST` bytes; more than
    /// `HEAD` have to be ASCII.
    #[inline]
    fn find<const MOST: usize, const AT_ONCE: bool>(
        &mut self,
        bytes: &[u8],
        make: impl FnOnce() -> PyResult<Bound<'py, PyString>>,
    ) -> PyResult<Bound<'py, PyString>> {
        if bytes.len() > MOST || bytes.len() < 2 {
            return make();
        }
        let Some(table) = &mut self.table else {
            return make();
        };
        let head = head(bytes);
        let hash = hash(table.seed, bytes, head);
        let Some(place) = table.places.get_mut(hash as usize & (PLACES - 1)) else {
            return make();
        };
        if let Some(kept) = place.get(bytes, head, self.py) {
            return Ok(kept.bind(self.py).clone());
        }
        let string = make()?;
        let seen = (hash >> 32) as u32;
        if AT_ONCE {
            // Computed once here, it is there for every dict that gets this key.
            string.hash()?;
        } else if place.seen != seen {
            place.seen = seen;
            return Ok(string);
        }
        place.head = head;
        place.length = bytes.len() as u32;
        // Dropping the old string runs no code: it is an exact `str`.
        place.string = Some(string.clone().unbind());
        Ok(string)
    }
}
