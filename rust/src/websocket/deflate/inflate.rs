//! Messages of a peer, inflated as they arrive and never beyond a limit.
//!
//! Source: RFC 7692 section 7.2.2.

use flate2::{Decompress, FlushDecompress, Status};

use super::TAIL;
use crate::websocket::CloseCode;

/// Room for what a message begins with, in bytes; it doubles from there.
const FIRST_ROOM: usize = 1_024;

/// Deflate streams that may end within one message. A sender has no reason to end any, some end one in each message
/// (RFC 7692 section 7.2.3.5), and each costs us a new beginning. Source: roomcast.
const MAX_STREAM_ENDS: u8 = 8;

/// What a connection inflates with. Holds no memory before the first compressed message, and between messages only where
/// the peer keeps its context.
#[derive(Debug)]
pub struct Inflater {
    decompress: Option<Decompress>,
    context_takeover: bool,
    /// Streams that have ended in this message.
    stream_ends: u8,
    /// Bytes of this message that were announced.
    announced: usize,
}

impl Inflater {
    /// An inflater for a peer that keeps its context from message to message, or does not.
    pub const fn new(context_takeover: bool) -> Self {
        Self {
            decompress: None,
            context_takeover,
            stream_ends: 0,
            announced: 0,
        }
    }

    #[cfg(test)]
    pub(super) const fn holds_memory(&self) -> bool {
        self.decompress.is_some()
    }

    /// Begin a message.
    pub(in crate::websocket) const fn begin(&mut self) {
        self.stream_ends = 0;
        self.announced = 0;
    }

    /// Hear of so many compressed bytes more. They may be a little more than what they become: noise gets longer.
    pub(in crate::websocket) const fn announce(
        &mut self,
        length: usize,
        limit: usize,
    ) -> Result<(), CloseCode> {
        self.announced = self.announced.saturating_add(length);
        if self.announced > limit.saturating_add(limit / 16).saturating_add(64) {
            return Err(CloseCode::TOO_BIG);
        }
        Ok(())
    }

    /// Inflate what has come, behind what is already in `out`.
    ///
    /// # Errors
    ///
    /// 1009 when there is one byte more in `out` than the limit, which is all that is ever inflated; 1007 where the bytes are
    /// not deflated (as ws answers).
    pub(in crate::websocket) fn inflate(
        &mut self,
        mut input: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), CloseCode> {
        let most = limit.saturating_add(1);
        loop {
            if out.len() == out.capacity() {
                let room = out
                    .len()
                    .max(FIRST_ROOM)
                    .min(most.saturating_sub(out.len()));
                out.reserve_exact(room);
            }
            let decompress = self
                .decompress
                .get_or_insert_with(|| Decompress::new(false));
            let before = decompress.total_in();
            let status = decompress
                .decompress_vec(input, out, FlushDecompress::Sync)
                .map_err(|_| CloseCode::NOT_DEFLATED)?;
            let read = decompress.total_in().saturating_sub(before);
            input = usize::try_from(read)
                .ok()
                .and_then(|read| input.get(read..))
                .unwrap_or_default();
            if out.len() > limit {
                return Err(CloseCode::TOO_BIG);
            }
            if status == Status::StreamEnd {
                self.stream_ends = self.stream_ends.saturating_add(1);
                if self.stream_ends > MAX_STREAM_ENDS {
                    return Err(CloseCode::NOT_DEFLATED);
                }
                // What follows is a new stream. Differs from the specification: it begins without the context of the
                // one that has ended, as in ws.
                self.decompress = None;
            } else if out.len() < out.capacity() {
                // With room left there is nothing more to come of this.
                return if input.is_empty() {
                    Ok(())
                } else {
                    Err(CloseCode::NOT_DEFLATED)
                };
            }
        }
    }

    /// End the message: inflate what the sender has left out.
    ///
    /// # Errors
    ///
    /// As [`Self::inflate`].
    pub(in crate::websocket) fn end(
        &mut self,
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), CloseCode> {
        self.inflate(&TAIL, out, limit)?;
        if !self.context_takeover {
            self.decompress = None;
        }
        Ok(())
    }
}
