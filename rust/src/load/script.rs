//! What clients say and what they wait for, made once for all of them.
//!
//! A packet of the server is first held against the very bytes that are waited for, frame and all: that is one comparison, and
//! nothing is parsed. Only what differs is looked at in earnest, and may then be the same with spaces between its parts.

use super::plan::{Plan, Workload};
use crate::json::write;
use crate::limits::Limits;
use crate::socketio::PacketType;
use crate::socketio::header::{Header, read_header};
use crate::websocket::{Opcode, write_frame, write_masked_frame};

/// The mask of all frames. It is there to keep web pages from choosing bytes on the wire, and these bytes no page chooses; one
/// for all lets frames be made once.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

/// The character, and the byte, that payloads consist of.
const FILLING: u8 = b'x';

/// What a packet of the server is to a load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    /// What was waited for; by its ack id, where it has one.
    Reply(Option<u64>),
    /// The same, with another payload.
    WrongReply(Option<u64>),
    /// So many binary messages will follow; they are the payload that was waited for, or nothing to us.
    Attachments { count: u32, reply: bool },
    /// The client is in its namespace.
    Joined,
    /// The namespace refuses the client: with this, as JSON at this offset.
    Refused(usize),
    /// The server lets the client go.
    Disconnected,
    /// Something else of the application.
    Other,
}

/// What clients say and what they wait for.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) workload: Workload,
    nsp: String,
    /// The frame that asks for the namespace.
    pub(super) connect: Vec<u8>,
    /// The frame that answers a ping.
    pub(super) pong: Vec<u8>,
    /// The frames of each request, by its slot; all slots share one where requests have no id.
    requests: Vec<Vec<u8>>,
    /// The very frames of the reply to each of them.
    replies: Vec<Vec<u8>>,
    /// The payload of a reply, as it is expected to the byte.
    exact_payload: Vec<u8>,
    /// The same, and the front of it that names the event (empty for an ack), both without spaces.
    reply_payload: Vec<u8>,
    reply_name: Vec<u8>,
    attachment: Vec<u8>,
}

fn text_frame(text: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_frame(&mut frame, Opcode::Text, text);
    frame
}

/// A frame of a client.
pub(super) fn client_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_masked_frame(&mut frame, opcode, payload, false, MASK);
    frame
}

/// JSON without the spaces of its author. Those within strings go too: it is only compared with what was treated alike.
fn without_spaces(text: &[u8]) -> Vec<u8> {
    text.iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect()
}

/// The payload of an event, or of an acknowledgement where it has no name.
fn payload(name: Option<&str>, argument: &[u8]) -> Vec<u8> {
    let mut out = vec![b'['];
    if let Some(name) = name {
        write::string(&mut out, name.as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(argument);
    out.push(b']');
    out
}

/// The text of an Engine.IO message that holds a packet.
fn packet(front: &str, nsp: &str, id: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let mut out = front.as_bytes().to_vec();
    if nsp != "/" {
        out.extend_from_slice(nsp.as_bytes());
        out.push(b',');
    }
    if let Some(id) = id {
        out.extend_from_slice(id.to_string().as_bytes());
    }
    out.extend_from_slice(payload);
    out
}

impl Script {
    pub(super) fn new(plan: &Plan) -> Self {
        let filling = vec![FILLING; plan.size];
        let mut text = Vec::new();
        write::string(&mut text, &filling);
        let nsp = plan.nsp.as_str();
        let (event, reply) = (Some(plan.event.as_str()), Some(plan.reply.as_str()));

        let mut requests = Vec::new();
        let mut replies = Vec::new();
        let mut reply_name = payload(reply, b"");
        // Without the comma and the bracket behind the name.
        reply_name.truncate(reply_name.len().saturating_sub(2));
        let reply_payload;
        match plan.workload {
            Workload::Broadcast { burst } => {
                let go = payload(event, format!("{burst},{}", plan.size).as_bytes());
                requests.push(client_frame(Opcode::Text, &packet("42", nsp, None, &go)));
                reply_payload = payload(reply, &text);
                replies.push(text_frame(&packet("42", nsp, None, &reply_payload)));
            }
            Workload::Echo { .. } => {
                let request = packet("42", nsp, None, &payload(event, &text));
                requests.push(client_frame(Opcode::Text, &request));
                reply_payload = payload(reply, &text);
                replies.push(text_frame(&packet("42", nsp, None, &reply_payload)));
            }
            Workload::Ack { depth } => {
                reply_payload = payload(None, &text);
                reply_name.clear();
                for id in 0..depth {
                    let request = packet("42", nsp, Some(id), &payload(event, &text));
                    requests.push(client_frame(Opcode::Text, &request));
                    replies.push(text_frame(&packet("43", nsp, Some(id), &reply_payload)));
                }
            }
            Workload::Binary { .. } => {
                let front = payload(event, PLACEHOLDER.as_bytes());
                let mut request = client_frame(Opcode::Text, &packet("451-", nsp, None, &front));
                request.extend(client_frame(Opcode::Binary, &filling));
                requests.push(request);
                reply_payload = payload(reply, PLACEHOLDER.as_bytes());
                let mut reply = text_frame(&packet("451-", nsp, None, &reply_payload));
                write_frame(&mut reply, Opcode::Binary, &filling);
                replies.push(reply);
            }
            Workload::Idle => reply_payload = Vec::new(),
        }
        Self {
            workload: plan.workload,
            connect: client_frame(Opcode::Text, &packet("40", nsp, None, plan.auth.as_bytes())),
            pong: client_frame(Opcode::Text, b"3"),
            requests,
            replies,
            reply_payload: without_spaces(&reply_payload),
            exact_payload: reply_payload,
            reply_name: without_spaces(&reply_name),
            attachment: filling,
            nsp: plan.nsp.clone(),
        }
    }

    fn of_slot(frames: &[Vec<u8>], slot: u32) -> &[u8] {
        let frame = frames.get(slot as usize).or_else(|| frames.first());
        frame.map_or(&[], Vec::as_slice)
    }

    /// The frames of the request in a slot.
    pub(super) fn request(&self, slot: u32) -> &[u8] {
        Self::of_slot(&self.requests, slot)
    }

    /// The frames of the reply to the request in a slot; empty where nothing is waited for.
    pub(super) fn reply(&self, slot: u32) -> &[u8] {
        Self::of_slot(&self.replies, slot)
    }

    /// Whether an attachment is the payload that was sent.
    pub(super) fn is_attachment(&self, data: &[u8]) -> bool {
        data == self.attachment
    }

    /// What a packet is to this load. What is no packet is none of its business.
    pub(super) fn read(&self, text: &str) -> Heard {
        let limits = Limits {
            max_attachments: u32::MAX / 10,
            ..Limits::default()
        };
        let Ok(header) = read_header(text, &limits) else {
            return Heard::Other;
        };
        let payload = text.get(header.payload..).unwrap_or_default();
        let ours = header.nsp == self.nsp;
        match header.packet_type {
            PacketType::Connect if ours => Heard::Joined,
            PacketType::ConnectError if ours => Heard::Refused(header.payload),
            PacketType::Disconnect if ours => Heard::Disconnected,
            PacketType::Event | PacketType::Ack if ours => self.read_reply(&header, payload),
            PacketType::BinaryEvent | PacketType::BinaryAck => Heard::Attachments {
                count: header.attachments,
                reply: ours
                    && matches!(self.workload, Workload::Binary { .. })
                    && (payload.as_bytes() == self.exact_payload
                        || without_spaces(payload.as_bytes()) == self.reply_payload),
            },
            _ => Heard::Other,
        }
    }

    fn read_reply(&self, header: &Header<'_>, payload: &str) -> Heard {
        let is_ack = header.packet_type == PacketType::Ack;
        if is_ack != matches!(self.workload, Workload::Ack { .. })
            || matches!(self.workload, Workload::Idle | Workload::Binary { .. })
        {
            return Heard::Other;
        }
        let id = header.id.filter(|_| is_ack);
        if payload.as_bytes() == self.exact_payload {
            return Heard::Reply(id);
        }
        let payload = without_spaces(payload.as_bytes());
        if payload == self.reply_payload {
            return Heard::Reply(id);
        }
        let behind_name = payload
            .strip_prefix(self.reply_name.as_slice())
            .and_then(<[u8]>::first);
        if is_ack || matches!(behind_name, Some(b',' | b']')) {
            Heard::WrongReply(id)
        } else {
            Heard::Other
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    /// A plan for tests, of payloads with three characters.
    pub(in crate::load) fn plan(workload: Workload, nsp: &str) -> Plan {
        let (event, reply) = match workload {
            Workload::Broadcast { .. } => ("go", "b"),
            _ => ("echo", "echo"),
        };
        Plan {
            address: ([127, 0, 0, 1], 1).into(),
            sources: Vec::new(),
            request: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            nsp: nsp.to_owned(),
            auth: String::new(),
            workload,
            event: event.to_owned(),
            reply: reply.to_owned(),
            size: 3,
            connections: 1,
            connecting: 1,
            patience: Duration::from_secs(1),
            warming: Duration::ZERO,
            measuring: Duration::ZERO,
            pid: None,
        }
    }

    fn script(workload: Workload, nsp: &str) -> Script {
        Script::new(&plan(workload, nsp))
    }

    fn sent(text: &str) -> Vec<u8> {
        client_frame(Opcode::Text, text.as_bytes())
    }

    #[test]
    fn requests_are_those_of_the_protocol() {
        let broadcast = script(Workload::Broadcast { burst: 7 }, "/");
        assert_eq!(broadcast.request(0), sent(r#"42["go",7,3]"#));
        assert_eq!(broadcast.reply(0), text_frame(br#"42["b","xxx"]"#));
        let echo = script(Workload::Echo { depth: 2 }, "/n");
        assert_eq!(echo.request(1), sent(r#"42/n,["echo","xxx"]"#));
        assert_eq!(echo.reply(1), text_frame(br#"42/n,["echo","xxx"]"#));
        let ack = script(Workload::Ack { depth: 2 }, "/n");
        assert_eq!(ack.request(1), sent(r#"42/n,1["echo","xxx"]"#));
        assert_eq!(ack.reply(1), text_frame(br#"43/n,1["xxx"]"#));
        let binary = script(Workload::Binary { depth: 2 }, "/");
        let header = r#"451-["echo",{"_placeholder":true,"num":0}]"#;
        let attachment = client_frame(Opcode::Binary, b"xxx");
        assert_eq!(binary.request(0), [sent(header), attachment].concat());
        assert!(binary.reply(0).ends_with(b"\x82\x03xxx"));
        assert_eq!(script(Workload::Idle, "/").request(0), b"");
    }

    #[test]
    fn connect_brings_what_it_was_given() {
        let mut plan = plan(Workload::Idle, "/n");
        assert_eq!(Script::new(&plan).connect, sent("40/n,"));
        plan.auth = r#"{"token":"é"}"#.to_owned();
        assert_eq!(Script::new(&plan).connect, sent("40/n,{\"token\":\"é\"}"));
        plan.nsp = "/".to_owned();
        assert_eq!(Script::new(&plan).connect, sent("40{\"token\":\"é\"}"));
    }

    #[test]
    fn packets_are_told_apart() {
        let echo = script(Workload::Echo { depth: 1 }, "/");
        let ack = script(Workload::Ack { depth: 1 }, "/");
        for (script, text, heard) in [
            (&echo, r#"2["echo","xxx"]"#, Heard::Reply(None)),
            (&echo, r#"2["echo", "xxx"]"#, Heard::Reply(None)),
            (&echo, r#"2["echo","xx"]"#, Heard::WrongReply(None)),
            (&echo, r#"2["echo"]"#, Heard::WrongReply(None)),
            (&echo, r#"2["echoes","xxx"]"#, Heard::Other),
            (&echo, r#"2/n,["echo","xxx"]"#, Heard::Other),
            (&echo, r#"30["xxx"]"#, Heard::Other),
            (&echo, r#"0{"sid":"a"}"#, Heard::Joined),
            (&echo, r#"0/n,{"sid":"a"}"#, Heard::Other),
            (&echo, r#"4{"message":"no"}"#, Heard::Refused(1)),
            (&echo, "1", Heard::Disconnected),
            (&echo, "9", Heard::Other),
            (&ack, r#"30["xxx"]"#, Heard::Reply(Some(0))),
            (&ack, r#"312[ "xxx" ]"#, Heard::Reply(Some(12))),
            (&ack, "30[]", Heard::WrongReply(Some(0))),
            (&ack, r#"2["echo","xxx"]"#, Heard::Other),
        ] {
            assert_eq!(script.read(text), heard, "{text}");
        }
    }

    #[test]
    fn attachments_are_ours_or_not() {
        let binary = script(Workload::Binary { depth: 1 }, "/");
        let ours = r#"51-["echo",{"_placeholder": true, "num": 0}]"#;
        let expected = |count, reply| Heard::Attachments { count, reply };
        assert_eq!(binary.read(ours), expected(1, true));
        assert_eq!(binary.read(&ours.replace("echo", "b")), expected(1, false));
        assert_eq!(binary.read("52-[]"), expected(2, false));
        assert!(binary.is_attachment(b"xxx") && !binary.is_attachment(b"xx"));
        let echo = script(Workload::Echo { depth: 1 }, "/");
        assert_eq!(echo.read(ours), expected(1, false));
    }
}
