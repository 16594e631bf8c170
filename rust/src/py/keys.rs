//! Strings that come again and again (keys, event names, namespaces) are made once.
//!
//! A direct-mapped table per process: a newcomer takes the place of whoever was there. Its size is fixed, so peers can
//! only push each other's keys out. It is taken with `try_lock`: whoever finds it busy (another thread, or a finaliser that
//! runs while a string is made) makes a new string.

use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, Mutex};

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::buffers;

/// Places in the table, a power of two. 2 048 is what orjson has; it takes 16 kB and at most 2 048 short strings.
const PLACES: usize = 2_048;
/// Longer strings are not kept.
const MAX_LENGTH: usize = 64;

struct Keys {
    /// Peers choose keys, so where they land is not theirs to know.
    seed: u64,
    places: Mutex<Box<[Option<Py<PyString>>]>>,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    seed: RandomState::new().hash_one(0),
    places: Mutex::new((0..PLACES).map(|_| None).collect()),
});

/// A short multiplicative hash over eight bytes at a time, its seed first.
#[inline]
fn place(seed: u64, bytes: &[u8]) -> usize {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word).wrapping_mul(u128::from(FACTOR));
        (product as u64) ^ ((product >> 64) as u64)
    };
    let mut hash = mix(seed, bytes.len() as u64);
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        hash = mix(hash, u64::from_le_bytes(*chunk));
        rest = tail;
    }
    let tail = rest
        .iter()
        .fold(0, |word, &byte| word << 8 | u64::from(byte));
    mix(hash, tail) as usize & (PLACES - 1)
}

/// The string of a text, kept for the next time if it is short and ASCII.
#[inline]
pub(super) fn key<'py>(py: Python<'py>, text: &str, ascii: bool) -> PyResult<Bound<'py, PyString>> {
    if !ascii || text.len() > MAX_LENGTH || text.len() < 2 {
        return buffers::new_string(py, text.as_bytes(), ascii);
    }
    let keys = &*KEYS;
    let index = place(keys.seed, text.as_bytes());
    if let Ok(places) = keys.places.try_lock()
        && let Some(Some(kept)) = places.get(index)
        && buffers::ascii_str(kept.bind(py)) == Some(text)
    {
        return Ok(kept.bind(py).clone());
    }
    let string = buffers::new_string(py, text.as_bytes(), ascii)?;
    // Computed once here, it is there for every dict that gets this key.
    string.hash()?;
    let mut old = None;
    if let Ok(mut places) = keys.places.try_lock()
        && let Some(place) = places.get_mut(index)
    {
        old = place.replace(string.clone().unbind());
    }
    drop(old);
    Ok(string)
}
