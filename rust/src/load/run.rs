//! The sockets of a load, and its course: connect, warm up, measure, close.
//!
//! All in one thread around one selector. Sockets are registered once, for reading and writing, edge-triggered: what is not
//! taken at once is asked for no second time, so each is read until it is empty.
//!
//! A connection that fails while connections are made ends the load, as what follows would not be what was asked for. Later
//! it is counted, and the others go on.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use super::client::{Client, State, Turn};
use super::failure::{Failure, FailureKind};
use super::histogram::Counts;
use super::line::{Line, connect};
use super::plan::{Plan, Workload};
use super::progress::{Phase, Progress};
use super::script::{Script, client_frame};
use super::usage::{self, Usage};
use crate::websocket::{Opcode, close_payload};

/// Bytes that are read at a time: more than a socket buffer usually holds.
const BUFFER: usize = 1 << 18;

/// Events that are taken from the selector at a time.
const EVENTS: usize = 1_024;

/// How often a load that waits looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// How long late deliveries are waited for, so that those that nobody asked for are seen.
const SETTLING: Duration = Duration::from_millis(50);

/// How long the server has to close connections in turn.
const CLOSING: Duration = Duration::from_secs(2);

/// How things stood at some moment.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Since the start of the load.
    pub at: Duration,
    /// Deliveries or answers so far.
    pub received: u64,
    /// Bytes read so far.
    pub bytes_in: u64,
    /// Bytes written so far.
    pub bytes_out: u64,
    /// Processor time of the load itself, where the system tells.
    pub own_cpu: Option<Duration>,
    /// What the server has used, if its process is known.
    pub server: Option<Usage>,
    /// Latencies so far.
    pub latency: Counts,
    /// Times of whole broadcasts so far.
    pub finish: Counts,
}

/// What a load has come to. Marks are missing that were not reached.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Before the first connection.
    pub start: Option<Mark>,
    /// When all connections were made.
    pub connected: Option<Mark>,
    /// When what counts began.
    pub begin: Option<Mark>,
    /// When it ended.
    pub end: Option<Mark>,
    /// Why the load ended early.
    pub failure: Option<Failure>,
    /// Why the first of the connections that were lost was lost.
    pub loss: Option<Failure>,
}

/// Run a load to its end; returns early if it cannot go on, or is asked to stop.
pub fn run(plan: &Plan, progress: &Progress) -> Report {
    let mut report = Report::default();
    match Runner::new(plan, progress) {
        Ok(mut runner) => {
            report.failure = runner.course(&mut report).err();
            runner.close();
            report.loss = runner.loss;
        }
        Err(error) => report.failure = Some(Failure::system(&error)),
    }
    report
}

struct Runner<'a> {
    plan: &'a Plan,
    progress: &'a Progress,
    script: Script,
    poll: Poll,
    events: Events,
    /// In the order in which they were made; `None` for those that have ended.
    lines: Vec<Option<Line>>,
    turn: Turn,
    buffer: Vec<u8>,
    started: Instant,
    /// When something last came that was waited for, in nanoseconds from the start.
    progressed: u64,
    /// Deliveries of the broadcast in flight that have not come.
    missing: u64,
    /// Whether answers are followed by new requests.
    requesting: bool,
    loss: Option<Failure>,
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<'a> Runner<'a> {
    fn new(plan: &'a Plan, progress: &'a Progress) -> io::Result<Self> {
        Ok(Self {
            plan,
            progress,
            script: Script::new(plan),
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            lines: Vec::with_capacity(plan.connections),
            turn: Turn::default(),
            buffer: vec![0; BUFFER],
            started: Instant::now(),
            progressed: 0,
            missing: 0,
            requesting: false,
            loss: None,
        })
    }

    /// Nanoseconds from the start, never 0.
    fn now(&self) -> u64 {
        nanoseconds(self.started.elapsed()).max(1)
    }

    fn mark(&self) -> Result<Mark, Failure> {
        let server = self.plan.pid.map(usage::of_process).transpose();
        Ok(Mark {
            at: self.started.elapsed(),
            received: self.progress.received.get(),
            bytes_in: self.progress.bytes_in.get(),
            bytes_out: self.progress.bytes_out.get(),
            own_cpu: usage::of_this_thread(),
            server: server
                .map_err(|error| Failure::new(FailureKind::Process, error.to_string()))?,
            latency: self.progress.latency.counts(),
            finish: self.progress.finish.counts(),
        })
    }

    fn course(&mut self, report: &mut Report) -> Result<(), Failure> {
        report.start = Some(self.mark()?);
        self.connect_all()?;
        if self.progress.is_stopping() {
            return Ok(());
        }
        report.connected = Some(self.mark()?);
        self.progress.enter(Phase::Warming);
        self.settle(SETTLING)?;
        self.requesting = true;
        self.progressed = self.now();
        for index in 0..self.lines.len() {
            if let Err(failure) = self.first_requests(index) {
                self.lose(index, failure)?;
            }
        }
        self.work(self.plan.warming)?;
        report.begin = Some(self.mark()?);
        self.progress.enter(Phase::Measuring);
        self.work(self.plan.measuring)?;
        report.end = Some(self.mark()?);
        self.progress.enter(Phase::Closing);
        self.requesting = false;
        self.settle(SETTLING)
    }

    fn connect_all(&mut self) -> Result<(), Failure> {
        self.progressed = self.now();
        loop {
            let ready = usize::try_from(self.progress.ready.get()).unwrap_or(usize::MAX);
            if ready >= self.plan.connections || self.progress.is_stopping() {
                return Ok(());
            }
            let most = ready.saturating_add(self.plan.connecting);
            while self.lines.len() < self.plan.connections.min(most) {
                self.open().map_err(|error| Failure::connect(&error))?;
            }
            self.pump(LOOK)?;
            if self.is_overdue() {
                return Err(self.connects_too_slowly());
            }
        }
    }

    /// Begin a connection.
    fn open(&mut self) -> io::Result<()> {
        let index = self.lines.len();
        let mut stream = connect(self.plan, index)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(index), both)?;
        self.lines.push(Some(Line {
            stream,
            client: Client::new(self.plan.workload),
            connected: false,
            unsent: Vec::new(),
        }));
        Ok(())
    }

    fn connects_too_slowly(&self) -> Failure {
        let waiting = self
            .lines
            .iter()
            .flatten()
            .find(|line| line.client.state() != State::Ready);
        let waits_for = match waiting.map(|line| (line.connected, line.client.state())) {
            Some((false, _)) | None => "the TCP connection",
            Some((true, State::Upgrading)) => "the answer to the upgrade",
            Some((true, State::Opening)) => "the open packet of Engine.IO",
            Some((true, _)) => "the answer to CONNECT",
        };
        Failure::new(FailureKind::ConnectTimeout, waits_for)
    }

    /// Fill the window of a client.
    fn first_requests(&mut self, index: usize) -> Result<(), Failure> {
        let depth = self.plan.workload.depth();
        self.turn.due.extend(0..depth);
        self.answer(index)
    }

    /// Do what the load does, for some time; a broadcast is brought to its end, and one reply is waited for at least.
    fn work(&mut self, duration: Duration) -> Result<(), Failure> {
        let end = self.now().saturating_add(nanoseconds(duration));
        if let Workload::Broadcast { burst } = self.plan.workload {
            while !self.progress.is_stopping() {
                self.broadcast(burst)?;
                if self.turn.now >= end {
                    break;
                }
            }
            return Ok(());
        }
        let waits = self.plan.workload != Workload::Idle;
        let before = self.progress.received.get();
        loop {
            let left = Duration::from_nanos(end.saturating_sub(self.now()));
            let is_over = left.is_zero() && (!waits || self.progress.received.get() > before);
            if is_over || self.progress.is_stopping() {
                return Ok(());
            }
            self.pump(if left.is_zero() { LOOK } else { LOOK.min(left) })?;
            if waits && self.is_overdue() {
                return Err(self.silence(None));
            }
        }
    }

    /// Ask for a broadcast, and wait until all its deliveries have come.
    fn broadcast(&mut self, burst: u32) -> Result<(), Failure> {
        self.missing = 0;
        let mut asker = None;
        for (index, line) in self.lines.iter_mut().enumerate() {
            if let Some(line) = line {
                line.client.expect(burst);
                self.missing += u64::from(burst);
                asker = asker.or(Some(index));
            }
        }
        let Some(asker) = asker else {
            return Err(self.all_lost());
        };
        let all = self.missing;
        let at = self.now();
        self.turn.burst_at = at;
        self.progressed = at;
        self.turn.out.extend_from_slice(self.script.request(0));
        if let Err(failure) = self.answer(asker) {
            self.lose(asker, failure)?;
        }
        while self.missing > 0 {
            self.pump(LOOK)?;
            if self.progress.is_stopping() {
                return Ok(());
            }
            if self.is_overdue() {
                return Err(self.silence(Some((self.missing, all))));
            }
        }
        self.turn.now = self.now();
        self.progress.finish.record(self.turn.now - at, 1);
        Ok(())
    }

    /// Let come what comes.
    fn settle(&mut self, duration: Duration) -> Result<(), Failure> {
        let end = self.now().saturating_add(nanoseconds(duration));
        while let Some(left) = end.checked_sub(self.now()).filter(|left| *left > 0) {
            if self.progress.is_stopping() {
                break;
            }
            self.pump(LOOK.min(Duration::from_nanos(left)))?;
        }
        Ok(())
    }

    fn is_overdue(&self) -> bool {
        self.now().saturating_sub(self.progressed) > nanoseconds(self.plan.patience)
    }

    /// Why nothing comes any more; of a broadcast, so many deliveries of so many are missing.
    fn silence(&self, missing: Option<(u64, u64)>) -> Failure {
        if self.progress.received.get() == 0 {
            return Failure::new(FailureKind::NoReply, "");
        }
        let detail = missing.map_or_else(String::new, |(missing, all)| {
            format!("{missing} of {all} deliveries are missing")
        });
        Failure::new(FailureKind::Stalled, detail)
    }

    fn all_lost(&self) -> Failure {
        self.loss
            .clone()
            .unwrap_or_else(|| Failure::new(FailureKind::Lost, "no connection is left"))
    }

    /// Wait for events, at most so long, and act on them.
    fn pump(&mut self, longest: Duration) -> Result<(), Failure> {
        match self.poll.poll(&mut self.events, Some(longest)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(|error| Failure::system(&error))?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let mut result = Ok(());
        for event in &events {
            result = self.act(event);
            if result.is_err() {
                break;
            }
        }
        self.events = events;
        result
    }

    fn act(&mut self, event: &Event) -> Result<(), Failure> {
        let Token(index) = event.token();
        match self.transfer(index, event) {
            Ok(()) => Ok(()),
            Err(failure) => self.lose(index, failure),
        }
    }

    fn line(&mut self, index: usize) -> Option<&mut Line> {
        self.lines.get_mut(index)?.as_mut()
    }

    /// Write and read what a socket is ready for.
    fn transfer(&mut self, index: usize, event: &Event) -> Result<(), Failure> {
        let Some(line) = self.line(index) else {
            return Ok(());
        };
        if !line.connected {
            if !line
                .is_connected()
                .map_err(|error| Failure::connect(&error))?
            {
                return Ok(());
            }
            self.turn.out.extend_from_slice(&self.plan.request);
            self.answer(index)?;
        } else if event.is_writable() && !line.unsent.is_empty() {
            let sent = line.flush().map_err(|error| Failure::lost(&error))?;
            self.progress.bytes_out.add(sent as u64);
        }
        if event.is_readable() {
            self.read(index, event.is_read_closed())?;
        }
        Ok(())
    }

    /// Read until the socket is empty.
    fn read(&mut self, index: usize, closed: bool) -> Result<(), Failure> {
        loop {
            let Some(Some(line)) = self.lines.get_mut(index) else {
                return Ok(());
            };
            let length = match line.stream.read(&mut self.buffer) {
                Ok(0) => return Err(line.client.ended()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::lost(&error)),
            };
            self.turn.now = nanoseconds(self.started.elapsed()).max(1);
            self.progress.bytes_in.add(length as u64);
            let chunk = self.buffer.get(..length).unwrap_or_default();
            let taken = line
                .client
                .receive(chunk, &self.script, self.progress, &mut self.turn);
            self.settle_turn();
            taken?;
            self.answer(index)?;
            // Less than there was room for: the socket is empty (epoll(7), question 9), and a call is saved. Not so where
            // the end may be next, nor on Windows, where only a read that finds nothing asks for the next event.
            if cfg!(unix) && length < self.buffer.len() && !closed {
                return Ok(());
            }
        }
    }

    /// Take what a turn has brought into the account of the load.
    fn settle_turn(&mut self) {
        if self.turn.delivered > 0 || self.turn.joined || !self.turn.due.is_empty() {
            self.progressed = self.turn.now;
        }
        self.missing = self.missing.saturating_sub(self.turn.delivered);
        self.turn.delivered = 0;
        self.turn.joined = false;
    }

    /// Send what is to be sent, and for each answered request the next one.
    fn answer(&mut self, index: usize) -> Result<(), Failure> {
        let Some(Some(line)) = self.lines.get_mut(index) else {
            self.turn.due.clear();
            self.turn.out.clear();
            return Ok(());
        };
        if self.requesting && !self.turn.due.is_empty() {
            let now = nanoseconds(self.started.elapsed()).max(1);
            for slot in self.turn.due.iter().copied() {
                line.client.sends(slot, now);
                self.turn.out.extend_from_slice(self.script.request(slot));
            }
        }
        self.turn.due.clear();
        if self.turn.out.is_empty() {
            return Ok(());
        }
        let sent = line.send(&self.turn.out);
        self.turn.out.clear();
        let sent = sent.map_err(|error| Failure::lost(&error))?;
        self.progress.bytes_out.add(sent as u64);
        Ok(())
    }

    /// A connection is of no more use.
    fn lose(&mut self, index: usize, failure: Failure) -> Result<(), Failure> {
        self.turn.out.clear();
        self.turn.due.clear();
        if self.progress.phase() == Phase::Connecting {
            return Err(failure);
        }
        if let Some(mut line) = self.lines.get_mut(index).and_then(Option::take) {
            let missing = line.client.expect(0);
            self.missing = self.missing.saturating_sub(missing.into());
            self.progress.lost.add(1);
            self.loss.get_or_insert(failure);
        }
        if self.progress.lost.get() == self.lines.len() as u64 {
            return Err(self.all_lost());
        }
        Ok(())
    }

    /// Close the connections as a WebSocket is closed, so that servers see clients that leave and none that break off.
    fn close(&mut self) {
        self.progress.enter(Phase::Closing);
        let close = client_frame(Opcode::Close, &close_payload(Some(1000)));
        for line in &mut self.lines {
            // In front of its WebSocket a server would take the close for another request.
            let is_open = line.as_mut().is_some_and(|line| {
                line.client.state() != State::Upgrading && line.send(&close).is_ok()
            });
            if !is_open {
                *line = None;
            }
        }
        let end = self.now().saturating_add(nanoseconds(CLOSING));
        let mut left = self.lines.iter().flatten().count();
        while left > 0 && self.now() < end {
            if self.poll.poll(&mut self.events, Some(LOOK)).is_err() {
                return;
            }
            for event in &self.events {
                let Token(index) = event.token();
                let Some(place) = self.lines.get_mut(index) else {
                    continue;
                };
                let open = place
                    .as_mut()
                    .map(|line| line.is_open(&mut self.buffer, event.is_writable()));
                if open == Some(false) {
                    *place = None;
                    left -= 1;
                }
            }
        }
    }
}
