//! One client, without its socket: bytes of the server go in, and what they mean and what to send comes out in a [`Turn`].
//!
//! | state | waits for | then |
//! | --- | --- | --- |
//! | `Upgrading` | HTTP 101 | `Opening` |
//! | `Opening` | Engine.IO's open packet | asks for the namespace: `Joining` |
//! | `Joining` | CONNECT | `Ready` |
//! | `Ready` | replies, and pings to answer | |
//!
//! Not looked at: the accept key of the handshake (who sends an open packet speaks WebSocket), and whether the pings come in
//! time.

use std::mem;

use super::failure::{Failure, FailureKind};
use super::plan::Workload;
use super::progress::Progress;
use super::script::{Heard, Script, client_frame};
use crate::websocket::{Message, Opcode, Reader, ReaderLimits, Role};

/// Bytes of the head of the answer to the upgrade. Source: as Node.js.
const MAX_HEAD: usize = 16_384;

/// Bytes of a refusal that are kept to be shown.
const MAX_SHOWN: usize = 1_000;

/// Bytes of the largest message: what servers send besides is not the load's to judge.
const MAX_MESSAGE: usize = 1 << 28;

/// Where a client is on its way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Upgrading,
    Opening,
    Joining,
    Ready,
}

/// What came of some bytes; one for all clients, cleared by whoever has acted on it.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Nanoseconds from the start of the load, never 0.
    pub(super) now: u64,
    /// When the broadcast in flight was asked for.
    pub(super) burst_at: u64,
    /// Deliveries of that broadcast that came.
    pub(super) delivered: u64,
    /// Slots whose requests are answered.
    pub(super) due: Vec<u32>,
    /// Bytes to send before anything else.
    pub(super) out: Vec<u8>,
    /// Whether the client has come into its namespace.
    pub(super) joined: bool,
    scratch: Vec<u8>,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    reader: Reader,
    talk: Talk,
}

/// All of a client but its frames.
#[derive(Debug)]
struct Talk {
    state: State,
    /// The answer to the upgrade, as far as it has come.
    head: Vec<u8>,
    /// When each request in flight was sent, by slot; 0 where there is none.
    sent: Box<[u64]>,
    /// The slot whose reply is the next one, if the server answers in order.
    next: u32,
    /// Deliveries of the broadcast in flight, and how many there will be.
    got: u32,
    burst: u32,
    /// Binary messages that belong to the last packet, and whether they are the reply.
    attachments: u32,
    is_reply: bool,
    failure: Option<Failure>,
}

impl Client {
    pub(super) fn new(workload: Workload) -> Self {
        let limits = ReaderLimits {
            max_message: MAX_MESSAGE,
            max_fragments: usize::MAX,
        };
        Self {
            reader: Reader::new(Role::Client, limits),
            talk: Talk {
                state: State::Upgrading,
                head: Vec::new(),
                sent: vec![0; workload.depth() as usize].into_boxed_slice(),
                next: 0,
                got: 0,
                burst: 0,
                attachments: 0,
                is_reply: false,
                failure: None,
            },
        }
    }

    pub(super) fn state(&self) -> State {
        self.talk.state
    }

    /// A broadcast of so many events is asked for; return how many of the last one are missing.
    pub(super) fn expect(&mut self, burst: u32) -> u32 {
        let missing = self.talk.burst.saturating_sub(self.talk.got);
        self.talk.got = 0;
        self.talk.burst = burst;
        missing
    }

    /// A request was sent.
    pub(super) fn sends(&mut self, slot: u32, now: u64) {
        if let Some(at) = self.talk.sent.get_mut(slot as usize) {
            *at = now;
        }
    }

    /// Take what the server has sent.
    ///
    /// # Errors
    ///
    /// Why the connection is of no more use.
    pub(super) fn receive(
        &mut self,
        chunk: &[u8],
        script: &Script,
        progress: &Progress,
        turn: &mut Turn,
    ) -> Result<(), Failure> {
        let head;
        let mut chunk = chunk;
        if self.talk.state == State::Upgrading {
            let Some((whole, end)) = self.talk.upgrade(chunk)? else {
                return Ok(());
            };
            head = whole;
            chunk = head.get(end..).unwrap_or_default();
        }
        // What belongs to a message that has begun goes in front, so that those behind it can be compared again.
        let begun = self.reader.missing().min(chunk.len());
        let (front, mut chunk) = chunk.split_at(begun);
        if !front.is_empty() {
            self.read(front, script, progress, turn)?;
        }
        let talk = &mut self.talk;
        if talk.state == State::Ready && self.reader.is_at_rest() && talk.attachments == 0 {
            chunk = talk.take_replies(chunk, script, progress, turn);
        }
        self.read(chunk, script, progress, turn)
    }

    /// Take bytes without a guess at what they are.
    fn read(
        &mut self,
        chunk: &[u8],
        script: &Script,
        progress: &Progress,
        turn: &mut Turn,
    ) -> Result<(), Failure> {
        let Self { reader, talk } = self;
        let mut scratch = mem::take(&mut turn.scratch);
        let end = reader.feed(chunk, &mut scratch, &mut |message| {
            talk.hear(message, script, progress, turn);
            talk.failure.is_none()
        });
        turn.scratch = scratch;
        if let Some(failure) = talk.failure.take() {
            return Err(failure);
        }
        end.map_err(|code| Failure::new(FailureKind::Frame, code.to_string()))
    }

    /// The server has closed the connection: what that means.
    pub(super) fn ended(&self) -> Failure {
        match self.talk.state {
            State::Upgrading if !self.talk.head.is_empty() => refusal(&self.talk.head),
            _ => Failure::new(FailureKind::Lost, "the server closed the connection"),
        }
    }
}

impl Talk {
    /// Take some of the answer to the upgrade. At its end, return all of it and where the frames begin.
    fn upgrade(&mut self, chunk: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Failure> {
        self.head.extend_from_slice(chunk);
        let head = self.head.as_slice();
        let front = head.get(..7).unwrap_or(head);
        if !b"HTTP/1.".starts_with(front) {
            return Err(refusal(head));
        }
        let end = head.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let Some(end) = end.map(|end| end.saturating_add(4)) else {
            return if head.len() > MAX_HEAD {
                Err(refusal(head))
            } else {
                Ok(None)
            };
        };
        if head.get(8..12) == Some(b" 101") {
            self.state = State::Opening;
            return Ok(Some((mem::take(&mut self.head), end)));
        }
        let body = head.len().saturating_sub(end);
        if body >= content_length(head.get(..end).unwrap_or_default()).min(MAX_SHOWN) {
            return Err(refusal(head));
        }
        Ok(None)
    }

    /// Take the replies at the front that are as expected to the byte; return what is behind them.
    #[inline]
    fn take_replies<'a>(
        &mut self,
        mut chunk: &'a [u8],
        script: &Script,
        progress: &Progress,
        turn: &mut Turn,
    ) -> &'a [u8] {
        let mut deliveries = 0;
        let is_broadcast = self.burst > 0;
        loop {
            let reply = script.reply(self.next);
            match chunk.strip_prefix(reply) {
                Some(rest) if !reply.is_empty() => chunk = rest,
                _ => break,
            }
            if is_broadcast {
                deliveries += 1;
            } else {
                self.answered(self.next, progress, turn);
            }
        }
        if deliveries > 0 {
            self.delivered(deliveries, progress, turn);
        }
        chunk
    }

    fn hear(
        &mut self,
        message: Message<'_>,
        script: &Script,
        progress: &Progress,
        turn: &mut Turn,
    ) {
        match message {
            Message::Text(text) => self.hear_text(text, script, progress, turn),
            Message::Binary(data) => self.hear_attachment(data, script, progress, turn),
            Message::Ping(data) => turn.out.extend(client_frame(Opcode::Pong, data)),
            Message::Pong(_) => {}
            Message::Close(code) => {
                let code = code.map_or_else(
                    || "no close code".to_owned(),
                    |code| format!("close code {code}"),
                );
                self.fail(
                    FailureKind::Lost,
                    format!("the server closed the connection ({code})"),
                );
            }
        }
    }

    fn hear_text(&mut self, text: &str, script: &Script, progress: &Progress, turn: &mut Turn) {
        let mut characters = text.chars();
        match (self.state, characters.next()) {
            (State::Opening, Some('0')) => {
                self.state = State::Joining;
                turn.out.extend_from_slice(&script.connect);
            }
            (State::Upgrading | State::Opening, _) => self.fail(FailureKind::Open, shown(text)),
            (_, Some('2')) if text.len() == 1 => {
                progress.pings.add(1);
                turn.out.extend_from_slice(&script.pong);
            }
            (_, Some('4')) => self.hear_packet(characters.as_str(), script, progress, turn),
            (_, Some('1')) => self.fail(FailureKind::Lost, "the server closed the connection"),
            _ => {}
        }
    }

    fn hear_packet(&mut self, text: &str, script: &Script, progress: &Progress, turn: &mut Turn) {
        match script.read(text) {
            Heard::Joined if self.state == State::Joining => {
                self.state = State::Ready;
                turn.joined = true;
                progress.ready.add(1);
            }
            Heard::Refused(payload) => {
                let payload = text.get(payload..).unwrap_or_default();
                self.fail(FailureKind::Refused, shown(payload));
            }
            Heard::Disconnected => {
                self.fail(FailureKind::Lost, "the server disconnected the socket");
            }
            Heard::Reply(id) => self.reply(id, progress, turn),
            Heard::WrongReply(id) => {
                progress.wrong.add(1);
                self.reply(id, progress, turn);
            }
            Heard::Attachments { count, reply } => {
                self.attachments = count;
                self.is_reply = reply;
            }
            Heard::Joined | Heard::Other => progress.other.add(1),
        }
    }

    fn hear_attachment(
        &mut self,
        data: &[u8],
        script: &Script,
        progress: &Progress,
        turn: &mut Turn,
    ) {
        self.attachments = self.attachments.saturating_sub(1);
        if self.is_reply {
            self.is_reply = false;
            if !script.is_attachment(data) {
                progress.wrong.add(1);
            }
            self.reply(None, progress, turn);
        } else if self.attachments == 0 {
            progress.other.add(1);
        }
    }

    fn reply(&mut self, id: Option<u64>, progress: &Progress, turn: &mut Turn) {
        if self.sent.is_empty() {
            self.delivered(1, progress, turn);
        } else {
            let slot = id.map_or(self.next, |id| u32::try_from(id).unwrap_or(u32::MAX));
            self.answered(slot, progress, turn);
        }
    }

    #[inline]
    fn delivered(&mut self, events: u32, progress: &Progress, turn: &mut Turn) {
        let counted = events.min(self.burst.saturating_sub(self.got));
        self.got += counted;
        if events > counted {
            progress.surplus.add((events - counted).into());
        }
        progress.received.add(counted.into());
        progress
            .latency
            .record(turn.now.saturating_sub(turn.burst_at), counted.into());
        turn.delivered += u64::from(counted);
    }

    #[inline]
    fn answered(&mut self, slot: u32, progress: &Progress, turn: &mut Turn) {
        match self.sent.get_mut(slot as usize) {
            Some(at) if *at != 0 => {
                progress.latency.record(turn.now.saturating_sub(*at), 1);
                progress.received.add(1);
                *at = 0;
                turn.due.push(slot);
                let next = slot + 1;
                self.next = if next as usize == self.sent.len() {
                    0
                } else {
                    next
                };
            }
            _ => progress.surplus.add(1),
        }
    }

    fn fail(&mut self, kind: FailureKind, detail: impl Into<String>) {
        self.failure = Some(Failure::new(kind, detail));
    }
}

/// The front of a text, as much of it as is worth showing.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// What the head of an answer says about the bytes behind it.
fn content_length(head: &[u8]) -> usize {
    String::from_utf8_lossy(head)
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

/// An answer that is no 101: its status and its body.
fn refusal(answer: &[u8]) -> Failure {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or((answer.as_ref(), ""));
    let status = head.lines().next().unwrap_or_default();
    let status = status
        .split_once(' ')
        .filter(|(version, _)| version.starts_with("HTTP/"))
        .map_or(status, |(_, status)| status);
    let detail = if body.is_empty() {
        shown(status)
    } else {
        format!("{}: {}", shown(status), shown(body))
    };
    Failure::new(FailureKind::Upgrade, detail)
}

#[cfg(test)]
mod tests;
