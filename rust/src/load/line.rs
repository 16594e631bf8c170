//! One client with its socket, which never waits: what the socket does not take is kept until it says that it takes more.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::client::Client;
use super::plan::Plan;

/// One client with its socket.
pub(super) struct Line {
    pub(super) stream: TcpStream,
    pub(super) client: Client,
    /// Whether the socket is connected.
    pub(super) connected: bool,
    /// What the socket has not taken yet.
    pub(super) unsent: Vec<u8>,
}

impl Line {
    /// Whether the connection is made; an error if it cannot be.
    pub(super) fn is_connected(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => self.connected = true,
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error),
        }
        self.stream.set_nodelay(true)?;
        Ok(true)
    }

    /// Send bytes behind those that wait; return how many the socket has taken.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(0);
        }
        let taken = write(&mut self.stream, bytes)?;
        self.unsent
            .extend_from_slice(bytes.get(taken..).unwrap_or_default());
        Ok(taken)
    }

    /// Send what waits; return how much of it the socket has taken.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        let taken = write(&mut self.stream, &self.unsent)?;
        self.unsent.drain(..taken);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Ok(taken)
    }

    /// After a close was sent: whether the server has not closed in turn yet.
    pub(super) fn is_open(&mut self, buffer: &mut [u8], writable: bool) -> bool {
        if writable && !self.unsent.is_empty() && self.flush().is_err() {
            return false;
        }
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // The end of the stream, and not a reset, also where something unread has come.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// Write as much as the socket takes.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(length) => taken += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

/// Begin a connection to the server, from the address whose turn it is.
pub(super) fn connect(plan: &Plan, index: usize) -> io::Result<TcpStream> {
    let source = index
        .checked_rem(plan.sources.len())
        .and_then(|turn| plan.sources.get(turn));
    let Some(source) = source else {
        return TcpStream::connect(plan.address);
    };
    let domain = Domain::for_address(plan.address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(*source, 0).into())?;
    match socket.connect(&plan.address.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// Whether a connection goes on being made: so it is with sockets that do not wait.
fn is_in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::INPROGRESS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}
