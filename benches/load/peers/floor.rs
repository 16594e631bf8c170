//! The floor of the loads: the least that a server can do for them. `floor send|coalesce` prints its port, and serves.
//!
//! A broadcast is one frame, made once, and one call of the system for each delivery; with `coalesce`, one call for each
//! client and all the events of a broadcast. Echoes and acknowledgements are one call for each read. It knows the texts of the
//! load and no protocol: no rooms, no ids, no pings, no JSON, no limits. It keeps what a socket does not take.

#![expect(clippy::print_stdout, reason = "the port is for who has started it")]

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use _core::websocket::{Message, Opcode, Reader, ReaderLimits, Role, write_frame};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// Of a read: the load reads as many.
const BUFFER: usize = 1 << 18;
const LISTENER: Token = Token(usize::MAX);
const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const OPEN: &[u8] =
    br#"0{"sid":"0123456789abcdefghij","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const CONNECTED: &[u8] = br#"40{"sid":"0123456789abcdefghij"}"#;

struct Client {
    stream: TcpStream,
    reader: Reader,
    upgraded: bool,
    joined: bool,
    /// What the socket has not taken, and up to where it has.
    unsent: VecDeque<(Rc<[u8]>, usize)>,
}

impl Client {
    /// Send bytes that others get too.
    fn share(&mut self, bytes: &Rc<[u8]>) -> io::Result<()> {
        let taken = self.write_unless_full(bytes)?;
        if taken < bytes.len() {
            self.unsent.push_back((Rc::clone(bytes), taken));
        }
        Ok(())
    }

    /// Send bytes that nobody else gets.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let taken = self.write_unless_full(bytes)?;
        if let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            self.unsent.push_back((rest.into(), 0));
        }
        Ok(())
    }

    fn write_unless_full(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unsent.is_empty() {
            write(&mut self.stream, bytes)
        } else {
            Ok(0)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some((bytes, taken)) = self.unsent.front_mut() {
            *taken += write(&mut self.stream, bytes.get(*taken..).unwrap_or_default())?;
            if *taken < bytes.len() {
                break;
            }
            self.unsent.pop_front();
        }
        Ok(())
    }

    /// Take what has come: write the answers into `out`, and return the broadcast that is asked for.
    fn hear(
        &mut self,
        chunk: &[u8],
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> io::Result<Option<(usize, usize)>> {
        if !self.upgraded {
            // A request of the load comes in one piece.
            self.upgraded = true;
            out.extend_from_slice(SWITCH);
            write_frame(out, Opcode::Text, OPEN);
            return Ok(None);
        }
        let (mut asked, mut closed) = (None, false);
        let joined = &mut self.joined;
        let end = self.reader.feed(chunk, scratch, &mut |message| {
            match message {
                Message::Text(text) if !*joined => {
                    *joined = text == "40";
                    write_frame(out, Opcode::Text, CONNECTED);
                }
                Message::Text(text) => match (broadcast(text), acknowledgement(text)) {
                    (Some(numbers), _) => asked = Some(numbers),
                    (None, Some(answer)) => write_frame(out, Opcode::Text, answer.as_bytes()),
                    (None, None) => write_frame(out, Opcode::Text, text.as_bytes()),
                },
                Message::Binary(bytes) => write_frame(out, Opcode::Binary, bytes),
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(_) => closed = true,
            }
            !closed
        });
        if closed || end.is_err() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(asked)
    }
}

/// Read `42["go",NUMBER,SIZE]`.
fn broadcast(text: &str) -> Option<(usize, usize)> {
    let numbers = text.strip_prefix("42[\"go\",")?.strip_suffix(']')?;
    let (number, size) = numbers.split_once(',')?;
    Some((number.parse().ok()?, size.parse().ok()?))
}

/// Make `43ID[VALUE]` of `42ID["ack",VALUE]`.
fn acknowledgement(text: &str) -> Option<String> {
    let (id, value) = text.strip_prefix("42")?.split_once("[\"ack\",")?;
    Some(format!("43{id}[{value}"))
}

/// Write what the socket takes at once. If that is not all of it, the socket is full, and says when it is not.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

struct Floor {
    poll: Poll,
    listener: TcpListener,
    clients: Vec<Option<Client>>,
    coalesces: bool,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    out: Vec<u8>,
}

impl Floor {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            let token = Token(self.clients.len());
            self.poll.registry().register(&mut stream, token, both)?;
            self.clients.push(Some(Client {
                stream,
                reader: Reader::new(Role::Server, ReaderLimits::default()),
                upgraded: false,
                joined: false,
                unsent: VecDeque::new(),
            }));
        }
    }

    /// Write and read what a client is ready for; an error ends it.
    fn serve(&mut self, index: usize, event: &Event) -> io::Result<()> {
        let Some(Some(client)) = self.clients.get_mut(index) else {
            return Ok(());
        };
        if event.is_writable() && !client.unsent.is_empty() {
            client.flush()?;
        }
        if !event.is_readable() {
            return Ok(());
        }
        loop {
            let Some(Some(client)) = self.clients.get_mut(index) else {
                return Ok(());
            };
            let length = match client.stream.read(&mut self.buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let chunk = self.buffer.get(..length).unwrap_or_default();
            self.out.clear();
            let asked = client.hear(chunk, &mut self.scratch, &mut self.out)?;
            if !self.out.is_empty() {
                client.send(&self.out)?;
            }
            if let Some((number, size)) = asked {
                self.broadcast(number, size);
            }
            if length < self.buffer.len() && !event.is_read_closed() {
                return Ok(());
            }
        }
    }

    fn broadcast(&mut self, number: usize, size: usize) {
        let text = format!("42[\"b\",\"{}\"]", "x".repeat(size));
        let mut frame = Vec::new();
        write_frame(&mut frame, Opcode::Text, text.as_bytes());
        let (number, bytes) = if self.coalesces {
            (1, Rc::from(frame.repeat(number)))
        } else {
            (number, Rc::from(frame))
        };
        for _ in 0..number {
            for place in &mut self.clients {
                if let Some(client) = place.as_mut().filter(|client| client.joined)
                    && client.share(&bytes).is_err()
                {
                    *place = None;
                }
            }
        }
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                } else if self.serve(event.token().0, event).is_err()
                    && let Some(place) = self.clients.get_mut(event.token().0)
                {
                    *place = None;
                }
            }
        }
    }
}

fn main() -> io::Result<()> {
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    println!("{}", listener.local_addr()?.port());
    let poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut floor = Floor {
        poll,
        listener,
        clients: Vec::new(),
        coalesces: std::env::args().nth(1).is_some_and(|how| how == "coalesce"),
        buffer: vec![0; BUFFER],
        scratch: Vec::new(),
        out: Vec::new(),
    };
    floor.run()
}
