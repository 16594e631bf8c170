//! Messages made shorter, each of them alone.
//!
//! Source: RFC 7692 section 7.2.1.

use flate2::{Compress, Compression, FlushCompress};

use super::{MAX_BITS, MIN_SERVER_BITS, TAIL};

/// The level of zlib and of Node.js. Source: `Z_DEFAULT_COMPRESSION`.
pub const DEFAULT_LEVEL: u8 = 6;

/// Compresses messages, one after the other and each without the others: for all connections of one window.
#[derive(Debug)]
pub struct Deflater {
    compress: Compress,
}

impl Deflater {
    /// A compressor for `server_max_window_bits`; what is below 9 counts as 9, what is above 15 as 15. Its level is one of
    /// zlib's, from 1 (fast) to 9 (small), and what lies outside counts as the nearest.
    ///
    /// Cost: 380 kB and 8 µs, so one is kept for all messages.
    pub fn new(window_bits: u8, level: u8) -> Self {
        let bits = window_bits.clamp(MIN_SERVER_BITS, MAX_BITS);
        let level = Compression::new(level.clamp(1, 9).into());
        Self {
            compress: Compress::new_with_window_bits(level, false, bits),
        }
    }

    /// The payload for a frame with RSV1; `None` where that is not shorter, and the message is sent as it is.
    pub fn compress(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        self.compress.reset();
        // No room for what would not be shorter, nor for the flush that ends it, which is cut off.
        let mut out = Vec::with_capacity(payload.len().saturating_add(TAIL.len()));
        let status = self
            .compress
            .compress_vec(payload, &mut out, FlushCompress::Sync);
        let all = self.compress.total_in() == payload.len() as u64;
        // A full buffer may have cut the end off, and is not shorter anyway.
        if status.is_err() || !all || out.len() == out.capacity() || !out.ends_with(&TAIL) {
            return None;
        }
        out.truncate(out.len().saturating_sub(TAIL.len()));
        Some(out)
    }
}

/// [`Deflater::compress`] for the largest window, which is what clients agree on that ask for none.
pub fn compress_message(payload: &[u8]) -> Option<Vec<u8>> {
    Deflater::new(MAX_BITS, DEFAULT_LEVEL).compress(payload)
}
