//! Why a load, or one connection of it, did not get what it wants.

use std::io;

/// What went wrong. The words for people are the command's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureKind {
    /// The server could not be reached.
    Connect,
    /// There was no address left to connect from.
    NoPort,
    /// There was no answer in time while a connection was made.
    ConnectTimeout,
    /// The request for a WebSocket got another answer.
    Upgrade,
    /// What came over the WebSocket was not Engine.IO.
    Open,
    /// The namespace refused the client.
    Refused,
    /// A connection ended.
    Lost,
    /// What came was no WebSocket frame.
    Frame,
    /// Not one reply came in time.
    NoReply,
    /// Replies ceased.
    Stalled,
    /// The process of the server cannot be looked at.
    Process,
    /// The system did not give what the load needs.
    System,
}

impl FailureKind {
    /// A word for it, the same in both languages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::NoPort => "no port",
            Self::ConnectTimeout => "connect timeout",
            Self::Upgrade => "upgrade",
            Self::Open => "open",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Frame => "frame",
            Self::NoReply => "no reply",
            Self::Stalled => "stalled",
            Self::Process => "process",
            Self::System => "system",
        }
    }
}

/// What went wrong, and with what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// What the server or the system said about it.
    pub detail: String,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { kind, detail }
    }

    /// A connection could not be made.
    pub(super) fn connect(error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => FailureKind::NoPort,
            _ => FailureKind::Connect,
        };
        Self::new(kind, error.to_string())
    }

    /// A connection ended.
    pub(super) fn lost(error: &io::Error) -> Self {
        Self::new(FailureKind::Lost, error.to_string())
    }

    /// The system did not give what the load needs.
    pub(super) fn system(error: &io::Error) -> Self {
        Self::new(FailureKind::System, error.to_string())
    }
}
