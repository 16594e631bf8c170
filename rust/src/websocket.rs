//! WebSocket frames and messages (RFC 6455), as bytes: neither the handshake, nor the replies to pings and closes, nor
//! sockets. Knows nothing of what messages mean, nor of Python.
//!
//! [`Reader`] turns the chunks that arrive into messages; the functions of [`writer`] put messages into frames; [`deflate`]
//! makes them shorter where that was agreed.

mod close;
pub mod deflate;
mod header;
mod mask;
mod masks;
mod reader;
mod utf8;
pub mod writer;

pub use close::CloseCode;
pub use header::Opcode;
pub use masks::Masks;
pub use reader::{MAX_FRAGMENTS, MAX_MESSAGE, Message, Reader, ReaderLimits};
pub use writer::{close_payload, frame_header, write_frame, write_masked_frame};

/// Which end of the connection this is: a client masks its frames and a server does not, and each refuses the other's way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Reads masked frames.
    Server,
    /// Reads frames without a mask.
    Client,
}
