//! The buffer that a thread writes its next packet or payload into, so that not each of them has to grow one of its own.

use std::cell::Cell;

/// The largest buffer that is kept; larger ones are given back to the system.
const KEPT: usize = 1 << 21;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Take the buffer, with anything in it. User code that comes back here while it is away gets a new one.
pub(super) fn take() -> Vec<u8> {
    BUFFER.take()
}

/// Put a buffer back.
pub(super) fn put(buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT {
        BUFFER.set(buffer);
    }
}
