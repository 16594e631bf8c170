//! What can be wrong with the bytes of a peer: a kind and a place.

use std::fmt;

/// What is wrong with the bytes of a peer. The Python enumeration of the same name mirrors it by [`PacketErrorKind::as_str`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PacketErrorKind {
    /// The first character is not a packet type.
    UnknownPacketType,
    /// The number of attachments is missing, malformed or zero.
    IllegalAttachments,
    /// More attachments are announced than the limit allows.
    TooManyAttachments,
    /// The name of the namespace passes the limit.
    NamespaceTooLong,
    /// The acknowledgement id passes the limit.
    IdTooLarge,
    /// An EVENT without a payload.
    MissingEventName,
    /// The payload does not fit the packet type.
    InvalidPayload,
    /// An EVENT whose name belongs to the library.
    ReservedEvent,
    /// The payload is not JSON.
    InvalidJson,
    /// The packet is not MessagePack, or no map.
    InvalidMsgpack,
    /// The namespace of a packet in MessagePack is missing or no name.
    InvalidNamespace,
    /// The acknowledgement id of a packet in MessagePack is no whole number.
    InvalidId,
    /// Lists and objects are nested deeper than the limit.
    TooDeep,
    /// More values than the limit allows.
    TooManyValues,
    /// An integer has more digits than the limit allows.
    IntegerTooLong,
    /// A placeholder does not name one of the packet's attachments.
    IllegalPlaceholder,
    /// A text arrived while attachments are missing.
    UnexpectedText,
    /// An attachment arrived that no header announced.
    UnexpectedBinary,
    /// The packet with its attachments passes the limit.
    PacketTooLarge,
    /// An earlier error has closed the decoder.
    DecoderClosed,
}

impl PacketErrorKind {
    /// The words of this kind, the same in both languages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownPacketType => "unknown packet type",
            Self::IllegalAttachments => "illegal attachments",
            Self::TooManyAttachments => "too many attachments",
            Self::NamespaceTooLong => "namespace too long",
            Self::IdTooLarge => "ack id too large",
            Self::MissingEventName => "missing event name",
            Self::InvalidPayload => "invalid payload",
            Self::ReservedEvent => "reserved event name",
            Self::InvalidJson => "invalid JSON",
            Self::InvalidMsgpack => "invalid MessagePack",
            Self::InvalidNamespace => "invalid namespace",
            Self::InvalidId => "invalid packet id",
            Self::TooDeep => "nested too deep",
            Self::TooManyValues => "too many values",
            Self::IntegerTooLong => "integer too long",
            Self::IllegalPlaceholder => "illegal placeholder",
            Self::UnexpectedText => "text while attachments are missing",
            Self::UnexpectedBinary => "attachment without a header",
            Self::PacketTooLarge => "packet too large",
            Self::DecoderClosed => "decoder closed by an earlier error",
        }
    }
}

/// A peer sent bytes that are not a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PacketError {
    /// What is wrong.
    pub kind: PacketErrorKind,
    /// Where, in bytes from the start of the text.
    pub offset: usize,
}

impl PacketError {
    /// An error at a place.
    pub const fn new(kind: PacketErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }
}

impl fmt::Display for PacketError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at byte {}", self.kind.as_str(), self.offset)
    }
}

impl std::error::Error for PacketError {}
