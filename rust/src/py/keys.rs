//! Strings that come again and again (keys, event names, namespaces) are made once.
//!
//! A direct-mapped table per process: a newcomer takes the place of whoever was there. Its size is fixed, so peers can
//! only push each other's keys out. It is taken with `try_lock`: whoever finds it busy (another thread, or a finaliser that
//! runs while a string is made) makes a new string.

use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::buffers::{self, Chars};
use crate::json::scan;

/// Places in the table, a power of two. 2 048 is what orjson has; it takes 16 kB and at most 2 048 short strings.
const PLACES: usize = 2_048;
/// Longer strings are not kept.
const MAX_LENGTH: usize = 64;

struct Table {
    /// Peers choose keys, so where they land is not theirs to know.
    seed: u64,
    places: Box<[Option<Py<PyString>>]>,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(|| {
    Mutex::new(Table {
        seed: RandomState::new().hash_one(0),
        places: (0..PLACES).map(|_| None).collect(),
    })
});

/// A short multiplicative hash over eight bytes at a time, its seed first.
#[inline]
fn place(seed: u64, bytes: &[u8]) -> usize {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word).wrapping_mul(u128::from(FACTOR));
        (product as u64) ^ ((product >> 64) as u64)
    };
    // Most keys are shorter than eight bytes: one multiplication.
    let mut hash = seed ^ bytes.len() as u64;
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        hash = mix(hash, u64::from_le_bytes(*chunk));
        rest = tail;
    }
    let tail = scan::tail_word(rest);
    mix(hash, tail) as usize & (PLACES - 1)
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

    /// The string of a text, kept for the next time if it is short and ASCII.
    #[inline]
    pub(super) fn get(&mut self, text: &str, ascii: bool) -> PyResult<Bound<'py, PyString>> {
        if ascii {
            self.get_ascii(text.as_bytes())
        } else {
            buffers::new_text(self.py, text, ascii)
        }
    }

    /// The same for bytes that are ASCII.
    #[inline]
    pub(super) fn get_ascii(&mut self, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
        if bytes.len() > MAX_LENGTH || bytes.len() < 2 {
            return buffers::new_ascii_string(self.py, bytes);
        }
        let Some(table) = &mut self.table else {
            return buffers::new_ascii_string(self.py, bytes);
        };
        let index = place(table.seed, bytes);
        let Some(kept) = table.places.get_mut(index) else {
            return buffers::new_ascii_string(self.py, bytes);
        };
        if let Some(kept) = kept
            && let Chars::Ascii(same) = buffers::chars(kept.bind(self.py))
            && same == bytes
        {
            return Ok(kept.bind(self.py).clone());
        }
        let string = buffers::new_ascii_string(self.py, bytes)?;
        // Computed once here, it is there for every dict that gets this key.
        string.hash()?;
        // Dropping the old string runs no code: it is an exact `str`.
        *kept = Some(string.clone().unbind());
        Ok(string)
    }
}
