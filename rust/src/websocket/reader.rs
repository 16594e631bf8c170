//! Chunks in, messages out.
//!
//! A chunk may end anywhere. What may be incomplete at its end, and what is kept of it:
//!
//! | incomplete | kept |
//! | --- | --- |
//! | a header, or a control frame with its header | its bytes as they came, at the end of `buffer`: `held` |
//! | the payload of a data frame | what has come of it without its mask, in `buffer`; `left` counts the rest |
//! | a message between two fragments | its payload so far, in `buffer` |
//!
//! The last two are the message that is `begun`; control frames may stand between its fragments, so `buffer` may hold the
//! message and, behind it, the bytes of a control frame. A message that lies in one frame and one chunk takes none of
//! this: it goes through the `scratch` that all connections share. Between messages a reader holds no memory.
//!
//! A compressed message is inflated into `buffer` as it comes.
//!
//! The end is one state, `closed`: after a close frame, after a fault, or when the sink has had enough. Bytes that come
//! later are not looked at. Not handled here: what to answer, and when to close the transport.
//!
//! Source: RFC 6455 section 5.

use std::mem;

use super::close::read_close;
use super::deflate::Inflater;
use super::header::{Header, MAX_CONTROL, MAX_HEADER, Opcode};
use super::mask::{mask_behind, mask_in_place, mask_into};
use super::{CloseCode, Role, utf8};

/// The bytes of a message, all fragments together; one more is answered by 1009. Source: `maxHttpBufferSize` of engine.io.
/// Others: ws 100 MB, websockets 1 MB, tungstenite 64 MB.
pub const MAX_MESSAGE: usize = 1_000_000;

/// The frames of a message; one more is answered by 1008. Without a limit a peer makes us work for ever on a message that
/// does not grow (CVE-2026-48779). Source: roomcast.
pub const MAX_FRAGMENTS: usize = 1_024;

/// The longest thing that is held back whole.
const MAX_HELD: usize = MAX_HEADER + MAX_CONTROL;

/// What a message may measure. Reaching a limit is allowed, passing it is not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReaderLimits {
    /// Bytes of a message, all fragments together.
    pub max_message: usize,
    /// Frames of a message.
    pub max_fragments: usize,
}

impl Default for ReaderLimits {
    fn default() -> Self {
        Self {
            max_message: MAX_MESSAGE,
            max_fragments: MAX_FRAGMENTS,
        }
    }
}

/// What has arrived. Valid until the sink returns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message<'a> {
    /// A text, whole.
    Text(&'a str),
    /// A binary message, whole.
    Binary(&'a [u8]),
    /// To be answered by a pong with the same bytes, the newest one at least.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong(&'a [u8]),
    /// The last message of the peer, with its code if it gave one.
    Close(Option<u16>),
}

/// Hears of each message; says whether it wants more.
type Sink<'a> = dyn FnMut(Message<'_>) -> bool + 'a;

/// The incoming side of one connection.
#[derive(Debug)]
pub struct Reader {
    limits: ReaderLimits,
    buffer: Vec<u8>,
    /// Where compression was agreed.
    inflater: Option<Box<Inflater>>,
    /// Bytes of the frame's payload that have not come.
    left: usize,
    /// Frames of the message, this one included.
    fragments: usize,
    /// For the next byte of the payload.
    mask: [u8; 4],
    role: Role,
    begun: Option<Opcode>,
    /// Whether the message that is begun is compressed.
    compressed: bool,
    /// Whether the message ends with the frame.
    fin: bool,
    /// Bytes at the end of `buffer` that are not of the message.
    held: u8,
    /// Bytes at the end of a text so far that begin a character.
    unfinished: u8,
    closed: bool,
}

/// What became of the front of some bytes.
enum Step {
    /// A frame is incomplete that must be whole, or its header is.
    Incomplete,
    /// So many bytes have been read.
    Took(usize),
    /// Nothing more is to be read.
    Closed,
}

impl Reader {
    /// A reader of a connection whose handshake is done.
    pub const fn new(role: Role, limits: ReaderLimits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            inflater: None,
            left: 0,
            fragments: 0,
            mask: [0; 4],
            role,
            begun: None,
            compressed: false,
            fin: false,
            held: 0,
            unfinished: 0,
            closed: false,
        }
    }

    /// A reader of a connection whose handshake has agreed on permessage-deflate.
    pub fn with_deflate(role: Role, limits: ReaderLimits, inflater: Inflater) -> Self {
        let mut reader = Self::new(role, limits);
        reader.inflater = Some(Box::new(inflater));
        reader
    }

    /// Hand every message that `chunk` completes to `sink`, in order; keep what is incomplete.
    ///
    /// `scratch` is overwritten; one is enough for all connections of a thread, and it grows up to the longest chunk. A sink
    /// that returns false stops the reading for good, as a close frame and a fault do: from then on every chunk is ignored.
    ///
    /// # Errors
    ///
    /// What the peer did wrong, once. The messages before the fault have been handed on.
    ///
    /// # Cost
    ///
    /// Linear in the chunk. Memory follows what has come, not what is announced: at most twice the bytes of a message.
    pub fn feed(
        &mut self,
        chunk: &[u8],
        scratch: &mut Vec<u8>,
        sink: &mut dyn FnMut(Message<'_>) -> bool,
    ) -> Result<(), CloseCode> {
        if self.closed {
            return Ok(());
        }
        let open = self.read(chunk, scratch, sink);
        self.closed = !matches!(open, Ok(true));
        if self.closed {
            self.inflater = None;
        }
        if self.closed || self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        open.map(|_| ())
    }

    /// Whether the next byte begins a message: nothing is incomplete, and the end has not come.
    pub const fn is_at_rest(&self) -> bool {
        self.begun.is_none() && self.held == 0 && !self.closed
    }

    /// Bytes that are missing of the frame that has begun; 0 where none has, or its header is incomplete.
    pub const fn missing(&self) -> usize {
        self.left
    }

    /// Read a chunk; say whether more may follow.
    fn read(
        &mut self,
        mut rest: &[u8],
        scratch: &mut Vec<u8>,
        sink: &mut Sink<'_>,
    ) -> Result<bool, CloseCode> {
        while !rest.is_empty() {
            if self.left > 0 {
                let (payload, tail) = rest.split_at_checked(self.left).unwrap_or((rest, &[]));
                rest = tail;
                if !self.payload(payload, scratch, sink)? {
                    return Ok(false);
                }
                continue;
            }
            let taken = if self.held > 0 {
                self.step_over_held(rest, scratch, sink)?
            } else {
                self.step(rest, scratch, sink)?
            };
            match taken {
                Step::Took(size) => rest = rest.get(size..).unwrap_or_default(),
                Step::Incomplete => {
                    self.hold(rest);
                    break;
                }
                Step::Closed => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Keep the bytes of what must be whole.
    fn hold(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        // At most `MAX_HELD`, or they would be whole.
        self.held = self.held.saturating_add(bytes.len() as u8);
    }

    /// As [`Self::step`], with the bytes that are held in front of the chunk.
    fn step_over_held(
        &mut self,
        rest: &[u8],
        scratch: &mut Vec<u8>,
        sink: &mut Sink<'_>,
    ) -> Result<Step, CloseCode> {
        let held = usize::from(self.held);
        let message = self.buffer.len().saturating_sub(held);
        let mut joined = [0; MAX_HELD];
        for (place, byte) in joined.iter_mut().zip(self.buffer.iter().skip(message)) {
            *place = *byte;
        }
        for (place, byte) in joined.iter_mut().skip(held).zip(rest) {
            *place = *byte;
        }
        let length = held.saturating_add(rest.len()).min(MAX_HELD);
        self.buffer.truncate(message);
        self.held = 0;
        let joined = joined.get(..length).unwrap_or_default();
        match self.step(joined, scratch, sink)? {
            // More than what was held, for that was incomplete.
            Step::Took(size) => Ok(Step::Took(size.saturating_sub(held))),
            Step::Incomplete => {
                self.hold(joined.get(..held).unwrap_or_default());
                Ok(Step::Incomplete)
            }
            Step::Closed => Ok(Step::Closed),
        }
    }

    /// Read a header, and the payload too where it is all there and the frame is the whole message.
    fn step(
        &mut self,
        bytes: &[u8],
        scratch: &mut Vec<u8>,
        sink: &mut Sink<'_>,
    ) -> Result<Step, CloseCode> {
        let Some(header) = Header::read(bytes, self.role)? else {
            return Ok(Step::Incomplete);
        };
        // Set on the first frame of a compressed message, and on no other.
        if header.rsv1 && (self.inflater.is_none() || header.opcode == Opcode::Continuation) {
            return Err(CloseCode::RESERVED_BITS);
        }
        let end = header.size.saturating_add(header.length);
        let whole = bytes.get(header.size..end);
        if header.opcode.is_control() {
            let Some(payload) = whole else {
                return Ok(Step::Incomplete);
            };
            let payload = unmasked(self.role, payload, header.mask, scratch);
            let close = header.opcode == Opcode::Close;
            let open = hand_on(header.opcode, payload, sink)? && !close;
            return Ok(if open { Step::Took(end) } else { Step::Closed });
        }

        self.begin(&header)?;
        match whole {
            Some(payload) if header.fin && self.fragments == 1 && !self.compressed => {
                self.begun = None;
                let payload = unmasked(self.role, payload, header.mask, scratch);
                let open = hand_on(header.opcode, payload, sink)?;
                Ok(if open { Step::Took(end) } else { Step::Closed })
            }
            _ => {
                self.left = header.length;
                self.mask = header.mask;
                self.fin = header.fin;
                // Nothing will come that could end an empty fragment.
                let open = header.length > 0 || self.payload(&[], scratch, sink)?;
                Ok(if open {
                    Step::Took(header.size)
                } else {
                    Step::Closed
                })
            }
        }
    }

    /// Begin a data frame, if it may stand here and its payload is not too long.
    fn begin(&mut self, header: &Header) -> Result<(), CloseCode> {
        match (self.begun, header.opcode) {
            (None, Opcode::Continuation) => return Err(CloseCode::NOTHING_TO_CONTINUE),
            (Some(_), Opcode::Continuation) => {}
            (Some(_), _) => return Err(CloseCode::MESSAGE_IN_MESSAGE),
            (None, opcode) => {
                self.begun = Some(opcode);
                self.compressed = header.rsv1;
                self.fragments = 0;
                self.unfinished = 0;
                if let Some(inflater) = &mut self.inflater {
                    inflater.begin();
                }
            }
        }
        let limit = self.limits.max_message;
        match &mut self.inflater {
            Some(inflater) if self.compressed => inflater.announce(header.length, limit)?,
            // Between frames the buffer holds the message and nothing else.
            _ if header.length > limit.saturating_sub(self.buffer.len()) => {
                return Err(CloseCode::TOO_BIG);
            }
            _ => {}
        }
        self.fragments = self.fragments.saturating_add(1);
        if self.fragments > self.limits.max_fragments {
            return Err(CloseCode::TOO_MANY_FRAGMENTS);
        }
        Ok(())
    }

    /// Append what has come of a data frame; hand the message on if that was the end of it. Says whether more may follow.
    fn payload(
        &mut self,
        payload: &[u8],
        scratch: &mut Vec<u8>,
        sink: &mut Sink<'_>,
    ) -> Result<bool, CloseCode> {
        let start = self.buffer.len();
        if self.compressed {
            self.inflate(payload, scratch)?;
        } else {
            self.append(payload);
        }
        self.mask = mask_behind(self.mask, payload.len());
        self.left = self.left.saturating_sub(payload.len());

        if self.left == 0 && self.fin {
            let limit = self.limits.max_message;
            if let (true, Some(inflater)) = (self.compressed, &mut self.inflater) {
                inflater.end(&mut self.buffer, limit)?;
            }
            let message = mem::take(&mut self.buffer);
            let opcode = self.begun.take().unwrap_or(Opcode::Binary);
            return hand_on(opcode, &message, sink);
        }
        // Looked at as it comes, so that a fault ends the message where it stands and not a megabyte later.
        if self.begun == Some(Opcode::Text) {
            let start = start.saturating_sub(self.unfinished.into());
            self.unfinished = utf8::unfinished(self.buffer.get(start..).unwrap_or_default())?;
        }
        Ok(true)
    }

    /// Append a payload as it is.
    fn append(&mut self, payload: &[u8]) {
        self.reserve(payload.len());
        let start = self.buffer.len();
        self.buffer.extend_from_slice(payload);
        if self.role == Role::Server {
            let new = self.buffer.get_mut(start..).unwrap_or_default();
            mask_in_place(new, self.mask);
        }
    }

    /// Append what a payload becomes.
    fn inflate(&mut self, payload: &[u8], scratch: &mut Vec<u8>) -> Result<(), CloseCode> {
        let payload = unmasked(self.role, payload, self.mask, scratch);
        match &mut self.inflater {
            Some(inflater) => inflater.inflate(payload, &mut self.buffer, self.limits.max_message),
            None => Ok(()),
        }
    }

    /// Make room for so many bytes, and for as many again as the message has: each byte is moved a few times at most. The
    /// last frame says where the message ends, so there is no room made behind that.
    fn reserve(&mut self, length: usize) {
        if self.buffer.capacity().saturating_sub(self.buffer.len()) < length {
            let room = length.max(self.buffer.len());
            let room = if self.fin { room.min(self.left) } else { room };
            self.buffer.reserve_exact(room);
        }
    }
}

/// The payload without its mask, in `scratch` where there is one.
fn unmasked<'a>(
    role: Role,
    payload: &'a [u8],
    mask: [u8; 4],
    scratch: &'a mut Vec<u8>,
) -> &'a [u8] {
    if role == Role::Client {
        return payload;
    }
    // Never made shorter, so that no byte is filled twice.
    if scratch.len() < payload.len() {
        scratch.resize(payload.len(), 0);
    }
    let out = scratch.get_mut(..payload.len()).unwrap_or_default();
    mask_into(out, payload, mask);
    out
}

/// Check what only the whole payload shows, and hand the message on; say whether the sink wants more.
fn hand_on(opcode: Opcode, payload: &[u8], sink: &mut Sink<'_>) -> Result<bool, CloseCode> {
    Ok(sink(match opcode {
        Opcode::Text => Message::Text(utf8::text(payload)?),
        Opcode::Close => Message::Close(read_close(payload)?),
        Opcode::Ping => Message::Ping(payload),
        Opcode::Pong => Message::Pong(payload),
        Opcode::Binary | Opcode::Continuation => Message::Binary(payload),
    }))
}

#[cfg(test)]
mod tests;
