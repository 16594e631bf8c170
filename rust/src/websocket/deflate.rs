//! permessage-deflate (RFC 7692): what is agreed in the handshake, messages made shorter, and what peers sent so.
//!
//! The server never keeps a context from one of its messages to the next (`server_no_context_takeover` is in every
//! response, as a server may do unasked). So a compressed message means the same to every client that agreed on the same
//! window, and a broadcast is compressed once for all of them.
//!
//! A client may keep one, unless it offered not to or was told not to; its connection then holds an inflater, 47 kB, from
//! its first compressed message on.

mod compress;
mod inflate;
mod offer;

pub use compress::{DEFAULT_LEVEL, Deflater, compress_message};
pub use inflate::Inflater;
pub use offer::{Agreement, MalformedOffer, OFFER, Terms, accept, negotiate};

/// The smallest window of a server's messages: zlib writes no raw stream with one of 256 bytes.
pub const MIN_SERVER_BITS: u8 = 9;

/// The largest window of a deflate stream, as the exponent of its bytes.
pub const MAX_BITS: u8 = 15;

/// What each message ends with before it is sent, and is left out. Source: RFC 7692 section 7.2.1.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

#[cfg(test)]
mod tests;
