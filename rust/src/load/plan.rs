//! What a load consists of.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What the clients do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Workload {
    /// One client asks for so many events to everybody, and again when all have arrived.
    Broadcast {
        /// Events that are asked for at a time.
        burst: u32,
    },
    /// Each client keeps so many events in flight, which come back as events.
    Echo {
        /// Events in flight of each client.
        depth: u32,
    },
    /// The same, answered by acknowledgements.
    Ack {
        /// Events in flight of each client.
        depth: u32,
    },
    /// The same as echo, with the payload in an attachment.
    Binary {
        /// Events in flight of each client.
        depth: u32,
    },
    /// Connections are held.
    Idle,
}

impl Workload {
    /// Requests of one client that are unanswered at a time.
    pub(super) const fn depth(self) -> u32 {
        match self {
            Self::Broadcast { .. } | Self::Idle => 0,
            Self::Echo { depth } | Self::Ack { depth } | Self::Binary { depth } => depth,
        }
    }
}

/// What a load consists of. Times and numbers are taken as they are: whoever makes it says what is sensible.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Where connections come from, taken in turn; none leaves it to the system.
    pub sources: Vec<IpAddr>,
    /// The HTTP request that asks for the WebSocket, whole.
    pub request: Vec<u8>,
    /// The namespace, with its leading slash.
    pub nsp: String,
    /// What CONNECT brings along, as JSON; empty for nothing.
    pub auth: String,
    /// What the clients do.
    pub workload: Workload,
    /// The event that is sent.
    pub event: String,
    /// The event that comes back.
    pub reply: String,
    /// Characters or bytes of the payload.
    pub size: usize,
    /// Connections.
    pub connections: usize,
    /// Connections that are being made at a time.
    pub connecting: usize,
    /// How long the server may take for something that is waited for.
    pub patience: Duration,
    /// How long the load runs before it is measured.
    pub warming: Duration,
    /// How long it is measured.
    pub measuring: Duration,
    /// The process of the server, if it is on this machine and known.
    pub pid: Option<u32>,
}
