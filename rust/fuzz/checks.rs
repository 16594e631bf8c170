//! What holds for any bytes. The fuzz targets and their proptest twins (`tests/proptests.rs`) run the same functions.

use std::io::{self, Read, Write};
use std::vec::Drain;

use _core::engineio::{Packet, Packets, Payload, SEPARATOR, base64, binary_length, binary_message};
use _core::error::{PacketError, PacketErrorKind};
use _core::json::read::{Builder, Text, Validator, read};
use _core::json::{scan, write};
use _core::limits::Limits;
use _core::socketio::header::{Header, read_header};
use _core::websocket::deflate::{Inflater, compress_message};
use _core::websocket::{
    CloseCode, Message, Opcode, Reader, ReaderLimits, Role, frame_header, write_frame,
    write_masked_frame,
};
use tungstenite::protocol::{self as oracle, WebSocket, WebSocketConfig, frame};

/// Small enough to be reached, so that the fuzzer sees both sides of each limit.
const LIMITS: Limits = Limits {
    max_attachments: 12,
    max_packet_size: 1 << 20,
    max_depth: 8,
    max_values: 16,
    max_int_digits: 24,
    max_ack_id: 1_000_000,
    max_namespace_length: 16,
};

/// A JSON value, kept as it was read.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    LongInt(String),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<Self>),
}

/// Makes trees, and looks at what the reader promises of each piece.
struct TreeBuilder {
    max_int_digits: usize,
}

fn builder() -> TreeBuilder {
    TreeBuilder {
        max_int_digits: LIMITS.max_int_digits,
    }
}

impl Builder for TreeBuilder {
    type Value = Tree;
    type Error = PacketError;

    fn null(&mut self) -> Tree {
        Tree::Null
    }
    fn boolean(&mut self, value: bool) -> Tree {
        Tree::Bool(value)
    }
    fn integer(&mut self, value: i64) -> Result<Tree, PacketError> {
        Ok(Tree::Int(value))
    }
    fn long_integer(&mut self, digits: &str) -> Result<Tree, PacketError> {
        let number = digits.strip_prefix('-').unwrap_or(digits);
        assert!(
            number.len() <= self.max_int_digits,
            "{digits} passes the limit"
        );
        assert!(
            number.bytes().all(|byte| byte.is_ascii_digit()),
            "{digits} is no integer"
        );
        assert!(digits.parse::<i64>().is_err(), "{digits} is not long");
        Ok(Tree::LongInt(digits.to_owned()))
    }
    fn float(&mut self, value: f64) -> Result<Tree, PacketError> {
        assert!(!value.is_nan(), "JSON has no NaN");
        Ok(Tree::Float(value))
    }
    fn string(&mut self, text: Text<'_>) -> Result<Tree, PacketError> {
        assert_eq!(text.ascii, text.text.is_ascii(), "{:?}", text.text);
        Ok(Tree::Text(text.text.to_owned()))
    }
    fn key(&mut self, text: Text<'_>) -> Result<Tree, PacketError> {
        self.string(text)
    }
    fn array(&mut self, items: Drain<'_, Tree>) -> Result<Tree, PacketError> {
        Ok(Tree::List(items.collect()))
    }
    fn object(&mut self, entries: Drain<'_, Tree>, _: usize) -> Result<Tree, PacketError> {
        assert_eq!(entries.len() % 2, 0, "keys and values take turns");
        Ok(Tree::Object(entries.collect()))
    }
}

fn text_of(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

fn write_tree(out: &mut Vec<u8>, tree: &Tree) {
    match tree {
        Tree::Null => out.extend_from_slice(b"null"),
        Tree::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Tree::Int(value) => write::integer(out, *value),
        Tree::LongInt(digits) => out.extend_from_slice(digits.as_bytes()),
        // What 1e400 has become is `null` out, so it takes the long way round here.
        Tree::Float(value) if value.is_infinite() => {
            out.extend_from_slice(if *value > 0.0 { b"1e999" } else { b"-1e999" });
        }
        Tree::Float(value) => write::float(out, *value),
        Tree::Text(text) => write_text(out, text),
        Tree::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_tree(out, item);
            }
            out.push(b']');
        }
        Tree::Object(entries) => {
            out.push(b'{');
            for (index, part) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(if index % 2 == 0 { b',' } else { b':' });
                }
                write_tree(out, part);
            }
            out.push(b'}');
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write::string(out, text.as_bytes());
}

fn depth(tree: &Tree) -> u32 {
    match tree {
        Tree::List(items) | Tree::Object(items) => {
            1 + items.iter().map(depth).max().unwrap_or_default()
        }
        _ => 0,
    }
}

/// Values of a tree; keys are none.
fn count(tree: &Tree) -> usize {
    match tree {
        Tree::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Tree::Object(entries) => 1 + entries.iter().skip(1).step_by(2).map(count).sum::<usize>(),
        _ => 1,
    }
}

/// A header that is read can be written again from its parts, and stays within the limits; one that is not says where.
pub(crate) fn header(data: &[u8]) {
    let text = text_of(data);
    let Header {
        packet_type,
        attachments,
        nsp,
        id,
        payload,
    } = match read_header(&text, &LIMITS) {
        Ok(header) => header,
        Err(error) => {
            assert!(error.offset <= text.len(), "{text:?}: {error}");
            return;
        }
    };
    assert!(text.is_char_boundary(payload), "{text:?}");
    assert_eq!(attachments > 0, packet_type.is_binary());
    assert!(attachments <= LIMITS.max_attachments);
    assert!(nsp.starts_with('/') && nsp.len() <= LIMITS.max_namespace_length);
    assert!(id.is_none_or(|id| id <= LIMITS.max_ack_id));

    // Leading zeros and the comma at the end of a text are the only freedom of the spelling.
    let mut rest = text.split_at(payload).0;
    rest = rest
        .strip_prefix(char::from(b'0' + packet_type as u8))
        .expect("the type comes first");
    if attachments > 0 {
        let (count, tail) = rest.split_once('-').expect("a dash ends the attachments");
        assert_eq!(count.parse(), Ok(attachments), "{text:?}");
        rest = tail;
    }
    if rest.starts_with('/') {
        let tail = rest.strip_prefix(nsp).expect("the namespace comes next");
        rest = tail.strip_prefix(',').unwrap_or(tail);
    } else {
        assert_eq!(nsp, "/");
    }
    assert_eq!(rest.is_empty(), id.is_none(), "{text:?}");
    if let Some(id) = id {
        assert_eq!(rest.parse(), Ok(id), "{text:?}");
    }
}

/// What is read can be written and read again, and is the same; what is refused says where; two builders see the same text.
pub(crate) fn json_read(data: &[u8]) {
    let text = text_of(data);
    let validated = read(&text, 0, &LIMITS, &mut Validator);
    let tree = match read(&text, 0, &LIMITS, &mut builder()) {
        Ok(tree) => tree,
        Err(error) => {
            assert!(error.offset <= text.len(), "{text:?}: {error}");
            assert_eq!(validated, Err(error));
            return;
        }
    };
    assert_eq!(validated, Ok(()));
    assert!(depth(&tree) <= LIMITS.max_depth);
    let mut out = Vec::new();
    write_tree(&mut out, &tree);
    let written = String::from_utf8(out).expect("the writer writes UTF-8");
    assert_eq!(
        read(&written, 0, &LIMITS, &mut builder()),
        Ok(tree),
        "{text:?} as {written:?}"
    );

    // The start is a matter of offsets only, and no text that is cut short is JSON, a number excepted.
    let shifted = format!("42/é,{text}");
    assert!(read(&shifted, "42/é,".len(), &LIMITS, &mut Validator).is_ok());
    if written.ends_with([']', '}', '"', 'e', 'l']) {
        let cut = written.split_at(written.len() - 1).0;
        let error = read(cut, 0, &LIMITS, &mut Validator).expect_err("cut short");
        assert_eq!(error.kind, PacketErrorKind::InvalidJson, "{cut:?}");
    }
}

/// Any text and any number can be written, and comes back.
pub(crate) fn json_write(data: &[u8]) {
    let text = text_of(data);
    // A buffer without room to spare; and now and then a text that is longer than what is written in one piece.
    let long = if data.first() == Some(&b'~') {
        5_000 / (text.len() + 1)
    } else {
        0
    };
    for repeat in [1, 1 + long] {
        let text = text.repeat(repeat);
        let mut out = Vec::with_capacity(1);
        out.push(b'{');
        write::key(&mut out, text.as_bytes(), true);
        write_text(&mut out, &text);
        write::key(&mut out, text.as_bytes(), false);
        write::short(&mut out, b"null");
        out.shrink_to_fit();
        out.push(b'}');
        let written = String::from_utf8(out).expect("the writer writes UTF-8");
        assert!(written.bytes().all(|byte| byte >= 0x20), "{written:?}");
        let text = Tree::Text(text);
        let expected = Tree::Object(vec![text.clone(), text.clone(), text, Tree::Null]);
        assert_eq!(read(&written, 0, &LIMITS, &mut builder()), Ok(expected));
    }

    for chunk in data.chunks_exact(8) {
        let bits = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        let integer = bits.cast_signed();
        let mut out = Vec::new();
        write::integer(&mut out, integer);
        assert_eq!(String::from_utf8_lossy(&out), integer.to_string());

        let value = f64::from_bits(bits);
        let mut out = Vec::new();
        write::float(&mut out, value);
        let written = String::from_utf8(out).expect("the writer writes UTF-8");
        let expected = if value.is_finite() {
            Tree::Float(value)
        } else {
            Tree::Null
        };
        assert_eq!(
            read(&written, 0, &LIMITS, &mut builder()),
            Ok(expected),
            "{value:e}"
        );
        let key = write::float_key(value);
        let back: f64 = key
            .replace("Infinity", "inf")
            .parse()
            .expect("a key is a number");
        assert!(
            back.partial_cmp(&value) == value.partial_cmp(&value),
            "{value:e} as {key}"
        );
    }
}

/// The count of values in front of the reader is that of the reader.
pub(crate) fn values(data: &[u8]) {
    let text = text_of(data);
    let limits = Limits {
        max_depth: 200,
        max_int_digits: usize::MAX,
        ..LIMITS
    };
    let mut builder = TreeBuilder {
        max_int_digits: usize::MAX,
    };
    let tree = read(&text, 0, &limits, &mut builder).ok();
    for limit in [0, 1, 2, 3, LIMITS.max_values] {
        let more = scan::has_more_values(text.as_bytes(), limit);
        if let Some(tree) = &tree {
            assert_eq!(
                more,
                count(tree) > limit as usize,
                "{text:?} against {limit}"
            );
        }
    }
}

/// Any bytes are split as the plain splitting does it; what they hold can be written, and comes back; payloads keep to
/// their limit; base64 is read and written as the plain reading and writing do it.
pub(crate) fn payload(data: &[u8]) {
    let packets: Vec<_> = Packets::new(data).collect();
    assert_eq!(packets, plain_packets(data), "{data:?}");

    let bytes = base64::decode(data);
    assert_eq!(bytes, plain_base64(data), "{data:?}");
    assert!(bytes.len() <= base64::clean_length(data));
    let message = binary_message(data);
    assert_eq!(message.len(), binary_length(data.len()));
    let (mark, written) = message
        .split_first()
        .expect("a binary message begins with b");
    assert_eq!((*mark, written), (b'b', &*plain_base64_of(data)));
    let mut bytes = vec![0; base64::clean_length(written)];
    assert!(base64::decode_clean(written, &mut bytes), "{data:?}");
    assert_eq!(bytes, data);

    let messages: Vec<Vec<u8>> = packets
        .iter()
        .filter_map(|packet| match *packet {
            Packet::Ascii(text) => Some(text.to_vec()),
            Packet::Text(text) => Some(text.as_bytes().to_vec()),
            Packet::Binary(text) => Some(binary_message(&base64::decode(text)).into_vec()),
            Packet::Malformed(_) => None,
        })
        .collect();
    let limit = data.first().copied().map_or(0, usize::from);
    let mut payloads = vec![Payload::new(data.to_vec(), limit)];
    for message in &messages {
        if payloads
            .last()
            .is_some_and(|payload| !payload.has_room(message.len()))
        {
            payloads.push(Payload::new(Vec::new(), limit));
        }
        payloads
            .last_mut()
            .expect("there is always one")
            .push(message);
    }
    let mut back = Vec::new();
    for payload in payloads {
        let bytes = payload.as_bytes();
        let pieces: Vec<_> = bytes.split(|&byte| byte == SEPARATOR).collect();
        assert!(bytes.len() <= limit || pieces.len() == 1, "{bytes:?}");
        if !bytes.is_empty() {
            back.extend(pieces.iter().map(|piece| piece.to_vec()));
            assert!(!Packets::new(bytes).any(|packet| matches!(packet, Packet::Malformed(_))));
        }
    }
    assert_eq!(back, messages, "{data:?}");
}

/// The plain twin of [`Packets`].
fn plain_packets(body: &[u8]) -> Vec<Packet<'_>> {
    let mut packets = Vec::new();
    for piece in body.split(|&byte| byte == SEPARATOR) {
        let text = str::from_utf8(piece).unwrap_or_default();
        let packet = match text.chars().next() {
            Some('0'..='6') if text.is_ascii() => Packet::Ascii(piece),
            Some('0'..='6') => Packet::Text(text),
            Some('b') => Packet::Binary(text.split_at(1).1.as_bytes()),
            _ => Packet::Malformed(text),
        };
        packets.push(packet);
        if matches!(packet, Packet::Malformed(_)) {
            break;
        }
    }
    packets
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The plain twin of [`base64::decode`].
fn plain_base64(text: &[u8]) -> Vec<u8> {
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for &byte in text {
        let character = match char::from(byte) {
            '=' => break,
            '-' => '+',
            '_' => '/',
            other => other,
        };
        let Some(value) = ALPHABET.find(character) else {
            continue;
        };
        bits = (bits << 6 | value as u32) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

/// The plain twin of [`base64::encode`].
fn plain_base64_of(data: &[u8]) -> Vec<u8> {
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for &byte in data {
        bits = (bits << 8 | u32::from(byte)) & 0xffff;
        held += 8;
        while held >= 6 {
            held -= 6;
            out.push(character(bits >> held));
        }
    }
    if held > 0 {
        out.push(character(bits << (6 - held)));
    }
    while out.len() % 4 > 0 {
        out.push(b'=');
    }
    out
}

fn character(bits: u32) -> u8 {
    let characters = ALPHABET.as_bytes();
    *characters
        .get((bits & 0x3f) as usize)
        .expect("six bits have a character")
}

/// A message of the reader or of its oracle.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Received {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

impl From<Message<'_>> for Received {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Message::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Message::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Message::Close(code) => Self::Close(code),
        }
    }
}

/// Larger than a control frame, which counts as a message in the oracle.
const MAX_MESSAGE: usize = 300;

const LIMITS_OF_MESSAGES: ReaderLimits = ReaderLimits {
    max_message: MAX_MESSAGE,
    max_fragments: usize::MAX,
};

/// Feed a stream in chunks; return the messages, and the fault if there is one.
fn receive<'a>(
    mut reader: Reader,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Received>, Option<CloseCode>) {
    let mut messages = Vec::new();
    let mut fault = None;
    // What another connection has left in it is of no matter.
    let mut scratch = vec![b'?'; 5];
    for chunk in chunks {
        let before = messages.len();
        let result = reader.feed(chunk, &mut scratch, &mut |message| {
            messages.push(message.into());
            true
        });
        assert!(
            fault.is_none() || before == messages.len() && result.is_ok(),
            "a reader goes on behind a fault"
        );
        fault = fault.or(result.err());
    }
    (messages, fault)
}

/// A stream that is there from the beginning; what is written to it is lost.
struct Stream<'a>(&'a [u8]);

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of a stream: the messages, and whether there is no fault.
fn receive_by_oracle(role: Role, stream: &[u8], limit: usize) -> (Vec<Received>, bool) {
    let role = match role {
        Role::Server => oracle::Role::Server,
        Role::Client => oracle::Role::Client,
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit))
        .read_buffer_size(64);
    let mut socket = WebSocket::from_raw_socket(Stream(stream), role, Some(config));
    let mut messages = Vec::new();
    loop {
        messages.push(match socket.read() {
            Ok(tungstenite::Message::Text(text)) => Received::Text(text.as_str().to_owned()),
            Ok(tungstenite::Message::Binary(bytes)) => Received::Binary(bytes.to_vec()),
            Ok(tungstenite::Message::Ping(bytes)) => Received::Ping(bytes.to_vec()),
            Ok(tungstenite::Message::Pong(bytes)) => Received::Pong(bytes.to_vec()),
            Ok(tungstenite::Message::Close(close)) => {
                // This is how it says that the code is not allowed.
                let violation = close.as_ref().is_some_and(|close| {
                    close.code == frame::coding::CloseCode::Protocol
                        && close.reason.as_str() == "Protocol violation"
                });
                if !violation {
                    messages.push(Received::Close(close.map(|close| close.code.into())));
                }
                return (messages, !violation);
            }
            Ok(tungstenite::Message::Frame(_)) => continue,
            Err(tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => return (messages, true),
            Err(_) => return (messages, false),
        });
    }
}

/// Chunks of every size, small ones most of all.
fn chunks(mut stream: &[u8], seed: u32) -> impl Iterator<Item = &[u8]> {
    let mut state = seed | 1;
    std::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let most = match state & 3 {
            0 => 1,
            1 => 3,
            2 => 20,
            _ => 200,
        };
        let size = 1 + (state >> 8) as usize % most;
        let (chunk, rest) = stream.split_at(size.min(stream.len()));
        stream = rest;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Any stream holds the same messages for the reader, however it is cut, and for tungstenite; and what is written is read.
pub(crate) fn websocket(data: &[u8]) {
    let Some((head, stream)) = data.split_first_chunk::<4>() else {
        return;
    };
    let role = if head[0] & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let seed = u32::from_le_bytes(*head);
    deflate(role, stream, seed);
    let reader = || Reader::new(role, LIMITS_OF_MESSAGES);
    let (messages, fault) = receive(reader(), std::iter::once(stream));
    assert_eq!(
        receive(reader(), chunks(stream, seed)),
        (messages.clone(), fault),
        "{role:?} {stream:?}"
    );

    let mut padded = stream.to_vec();
    if fault.is_some() {
        // The oracle looks at whole frames only, so the last one may have to be made whole.
        padded.resize(stream.len() + 2 * MAX_MESSAGE, 0);
    }
    let expected = receive_by_oracle(role, &padded, MAX_MESSAGE);
    if messages.last() == Some(&Received::Close(Some(1014))) {
        // "Bad gateway" stands in the registry, and the oracle does not know it.
        assert!(!expected.1, "{role:?} {stream:?}");
    } else if fault.is_some_and(|fault| fault.1.starts_with("control frame longer")) {
        // The oracle takes a short control frame whose length stands in the bytes for long ones.
        assert!(expected.0.starts_with(&messages), "{role:?} {stream:?}");
    } else {
        assert_eq!((messages, fault.is_none()), expected, "{role:?} {stream:?}");
    }

    let mut written = Vec::new();
    let mut expected = Vec::new();
    for (index, piece) in chunks(stream, !seed).enumerate() {
        let (opcode, message) = match (index % 4, str::from_utf8(piece)) {
            (0, _) => (
                Opcode::Ping,
                Received::Ping(piece.iter().take(125).copied().collect()),
            ),
            (_, Ok(text)) => (Opcode::Text, Received::Text(text.to_owned())),
            (_, Err(_)) => (Opcode::Binary, Received::Binary(piece.to_vec())),
        };
        let length = piece.len().min(if opcode == Opcode::Ping {
            125
        } else {
            usize::MAX
        });
        let (payload, _) = piece.split_at(length);
        match role {
            Role::Server => write_masked_frame(&mut written, opcode, payload, false, *head),
            Role::Client => write_frame(&mut written, opcode, payload),
        }
        expected.push(message);
    }
    assert_eq!(
        receive(reader(), chunks(&written, seed)),
        (expected.clone(), None)
    );
    assert_eq!(
        receive_by_oracle(role, &written, MAX_MESSAGE),
        (expected, true)
    );
}

/// However a stream is cut that may be compressed, it holds the same messages, none of them beyond the limit; and what is
/// compressed comes back.
fn deflate(role: Role, stream: &[u8], seed: u32) {
    for takeover in [false, true] {
        let reader = || Reader::with_deflate(role, LIMITS_OF_MESSAGES, Inflater::new(takeover));
        let (messages, fault) = receive(reader(), std::iter::once(stream));
        let (cut, cut_fault) = receive(reader(), chunks(stream, seed));
        // The fault may be another one: what is wrong in two ways is found wrong in the first that shows.
        assert_eq!(messages, cut, "{role:?} {stream:?}");
        assert_eq!(fault.is_some(), cut_fault.is_some(), "{role:?} {stream:?}");
        for message in messages {
            let length = match message {
                Received::Text(text) => text.len(),
                Received::Binary(bytes) | Received::Ping(bytes) | Received::Pong(bytes) => {
                    bytes.len()
                }
                Received::Close(_) => 0,
            };
            assert!(length <= MAX_MESSAGE, "{role:?} {stream:?}");
        }
    }
    let Some(compressed) = compress_message(stream) else {
        return;
    };
    assert!(compressed.len() < stream.len(), "{stream:?}");
    let mut written = Vec::new();
    frame_header(&mut written, Opcode::Binary, compressed.len(), true);
    written.extend_from_slice(&compressed);
    let limits = ReaderLimits {
        max_message: stream.len(),
        ..LIMITS_OF_MESSAGES
    };
    let reader = Reader::with_deflate(Role::Client, limits, Inflater::new(false));
    let expected = (vec![Received::Binary(stream.to_vec())], None);
    assert_eq!(receive(reader, chunks(&written, seed)), expected);
}
