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
        let Self { reader, talk } = self;
        if talk.state == State::Ready && reader.is_at_rest() && talk.attachments == 0 {
            chunk = talk.take_replies(chunk, script, progress, turn);
        }
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
mod tests {
    use super::*;
    use crate::load::script::tests::plan;
    use crate::websocket::write_frame;

    const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    struct Alone {
        client: Client,
        script: Script,
        progress: Progress,
        turn: Turn,
    }

    impl Alone {
        fn new(workload: Workload) -> Self {
            let turn = Turn {
                now: 1_000,
                burst_at: 900,
                ..Turn::default()
            };
            Self {
                client: Client::new(workload),
                script: Script::new(&plan(workload, "/")),
                progress: Progress::default(),
                turn,
            }
        }

        fn ready(workload: Workload) -> Self {
            let mut alone = Self::new(workload);
            alone.feed(SWITCH).unwrap();
            alone.text("0{}").unwrap();
            alone.text("40{}").unwrap();
            assert_eq!(alone.client.state(), State::Ready);
            alone
        }

        fn feed(&mut self, bytes: &[u8]) -> Result<(), Failure> {
            let Self {
                client,
                script,
                progress,
                turn,
            } = self;
            client.receive(bytes, script, progress, turn)
        }

        fn text(&mut self, text: &str) -> Result<(), Failure> {
            self.feed(&frame(Opcode::Text, text.as_bytes()))
        }
    }

    fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(&mut out, opcode, payload);
        out
    }

    fn failure(result: Result<(), Failure>) -> (FailureKind, String) {
        let failure = result.unwrap_err();
        (failure.kind, failure.detail)
    }

    #[test]
    fn a_client_joins_however_the_bytes_are_cut() {
        let all = [
            SWITCH,
            &frame(Opcode::Text, b"0{\"sid\":\"a\"}"),
            &frame(Opcode::Text, b"40{\"sid\":\"b\"}"),
            &frame(Opcode::Text, b"2"),
            &frame(Opcode::Ping, b"p"),
        ]
        .concat();
        for size in [1, 3, 10, all.len()] {
            let mut alone = Alone::new(Workload::Idle);
            for chunk in all.chunks(size) {
                alone.feed(chunk).unwrap();
            }
            assert_eq!(alone.client.state(), State::Ready);
            assert!(alone.turn.joined);
            let expected = [
                client_frame(Opcode::Text, b"40"),
                client_frame(Opcode::Text, b"3"),
                client_frame(Opcode::Pong, b"p"),
            ];
            assert_eq!(alone.turn.out, expected.concat());
            assert_eq!(alone.progress.pings.get(), 1);
        }
    }

    #[test]
    fn refusals_say_what_the_server_said() {
        use FailureKind::{Frame, Lost, Open, Refused, Upgrade};
        let mut alone = Alone::new(Workload::Idle);
        alone
            .feed(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 12\r\n\r\n")
            .unwrap();
        let expected = (Upgrade, "400 Bad Request: {\"code\":\"0\"}".to_owned());
        assert_eq!(failure(alone.feed(b"{\"code\":\"0\"}")), expected);

        let mut alone = Alone::new(Workload::Idle);
        alone
            .feed(b"HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\n")
            .unwrap();
        assert_eq!(alone.client.ended().detail, "404 Not Found");

        let other = Alone::new(Workload::Idle).feed(b"SSH-2.0-OpenSSH\r\n");
        assert_eq!(failure(other).0, Upgrade);

        let mut alone = Alone::new(Workload::Idle);
        alone.feed(SWITCH).unwrap();
        assert_eq!(failure(alone.text("hello")), (Open, "hello".to_owned()));

        let mut alone = Alone::new(Workload::Idle);
        alone.feed(SWITCH).unwrap();
        alone.text("0{}").unwrap();
        let message = r#"{"message":"no"}"#;
        let answer = alone.text(&format!("44{message}"));
        assert_eq!(failure(answer), (Refused, message.to_owned()));

        let close = Alone::ready(Workload::Idle).feed(&frame(Opcode::Close, b"\x03\xe9"));
        assert!(failure(close).1.contains("1001"));
        assert_eq!(failure(Alone::ready(Workload::Idle).text("41")).0, Lost);
        assert_eq!(
            failure(Alone::ready(Workload::Idle).feed(b"\xff\xff")).0,
            Frame
        );
    }

    #[test]
    fn deliveries_are_counted_whole_cut_and_spaced() {
        let mut alone = Alone::ready(Workload::Broadcast { burst: 5 });
        assert_eq!(alone.client.expect(5), 0);
        let one = frame(Opcode::Text, br#"42["b","xxx"]"#);
        let spaced = frame(Opcode::Text, br#"42["b", "xxx"]"#);
        let other = frame(Opcode::Text, br#"42["c"]"#);
        let all = [&one[..], &one, &other, &spaced, &one[..4]].concat();
        alone.feed(&all).unwrap();
        assert_eq!(
            (alone.turn.delivered, alone.progress.received.get()),
            (3, 3)
        );
        alone.feed(&one[4..]).unwrap();
        assert_eq!(alone.client.expect(5), 1);
        alone.feed(&one.repeat(6)).unwrap();
        assert_eq!(alone.progress.received.get(), 9);
        assert_eq!(alone.progress.surplus.get(), 1);
        assert_eq!(alone.progress.other.get(), 1);
        assert_eq!(alone.progress.wrong.get(), 0);
        assert_eq!(alone.progress.latency.counts().quantile(1_000), Some(100));
    }

    #[test]
    fn answers_free_their_slots() {
        let mut alone = Alone::ready(Workload::Ack { depth: 3 });
        for slot in 0..3 {
            alone.client.sends(slot, 500 + u64::from(slot));
        }
        for id in [0, 2, 1] {
            alone.text(&format!(r#"43{id}["xxx"]"#)).unwrap();
        }
        assert_eq!(alone.turn.due, [0, 2, 1]);
        alone.text(r#"431["xxx"]"#).unwrap();
        alone.text(r#"4399["xxx"]"#).unwrap();
        assert_eq!(alone.progress.surplus.get(), 2);
        alone.client.sends(1, 900);
        alone.text("431[]").unwrap();
        assert_eq!(alone.progress.wrong.get(), 1);
        assert_eq!(alone.progress.received.get(), 4);
    }

    #[test]
    fn attachments_are_the_answers_of_binary_events() {
        let mut alone = Alone::ready(Workload::Binary { depth: 4 });
        for slot in 0..4 {
            alone.client.sends(slot, 1);
        }
        let whole = alone.script.reply(0).to_vec();
        let header = whole[..whole.len() - 5].to_vec();
        for size in [whole.len(), 7] {
            for chunk in whole.chunks(size) {
                alone.feed(chunk).unwrap();
            }
        }
        alone.feed(&header).unwrap();
        alone.feed(&frame(Opcode::Binary, b"yyy")).unwrap();
        alone
            .text(r#"451-["c",{"_placeholder":true,"num":0}]"#)
            .unwrap();
        alone.feed(&frame(Opcode::Binary, b"xxx")).unwrap();
        assert_eq!(alone.turn.due, [0, 1, 2]);
        assert_eq!(alone.progress.wrong.get(), 1);
        assert_eq!(alone.progress.other.get(), 1);
    }

    /// Whatever bytes come, they are messages or a failure.
    #[test]
    fn no_bytes_are_too_strange() {
        let all = [
            SWITCH,
            &frame(Opcode::Text, b"0{}"),
            &frame(Opcode::Text, b"40{}"),
            &frame(Opcode::Text, br#"43999["xxx"]"#),
            &frame(
                Opcode::Text,
                br#"451-["echo",{"_placeholder":true,"num":0}]"#,
            ),
            &frame(Opcode::Binary, b"xxx"),
            &frame(Opcode::Text, br#"42["b","xxx"]"#),
        ]
        .concat();
        let broadcast = Workload::Broadcast { burst: 1 };
        for workload in [
            broadcast,
            Workload::Binary { depth: 1 },
            Workload::Ack { depth: 1 },
        ] {
            for at in 0..all.len() {
                for byte in [0, b'0', b'4', b'9', 0x7f, 0x80, 0xff] {
                    let mut bytes = all.clone();
                    bytes[at] = byte;
                    let mut alone = Alone::new(workload);
                    let (front, back) = bytes.split_at(at);
                    let _ = alone.feed(front).and_then(|()| alone.feed(back));
                }
            }
        }
    }
}
