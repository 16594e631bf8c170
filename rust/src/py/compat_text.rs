//! The text that a packet of python-socketio is: writing and reading it the short way.

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyString};

use super::buffers::{self, Chars, Kind, Shape};
use super::decode::PyBuilder;
use super::decoder::SMALL_PAYLOAD;
use super::encode::Walker;
use super::scratch;
use crate::json::{read, write};
use crate::limits::Limits;

/// Room in front of namespace, id and payload: the type, ten digits of attachments, `-`.
pub(super) const MARGIN: usize = 12;

/// Digits of attachments that python-socketio reads.
const MAX_COUNT_DIGITS: usize = 10;

/// Digits of an id that fit 64 bits for certain.
const MAX_ID_DIGITS: usize = 18;

/// What the short way takes. Integers of more than 100 characters, sign included, are an error in python-socketio.
pub(super) static LIMITS: Limits = Limits {
    max_attachments: u32::MAX,
    max_packet_size: usize::MAX,
    max_depth: 200,
    max_values: u32::MAX,
    max_int_digits: 99,
    max_ack_id: u64::MAX,
    max_namespace_length: usize::MAX,
};

pub(super) const EVENT: i64 = 2;
pub(super) const ACK: i64 = 3;
pub(super) const BINARY_EVENT: i64 = 5;
pub(super) const BINARY_ACK: i64 = 6;

/// The value of an exact `int` of 64 bits.
fn small_number(value: &Bound<'_, PyAny>) -> Option<i64> {
    if buffers::kind(value) == Kind::Int {
        value.cast::<PyInt>().ok().and_then(buffers::small_integer)
    } else {
        None
    }
}

/// The type of a packet, if one digit says it.
pub(super) fn type_digit(packet_type: &Bound<'_, PyAny>) -> Option<u8> {
    let number = u8::try_from(small_number(packet_type)?).ok()?;
    (number <= 9).then_some(number)
}

/// Whether a packet of a type has attachments.
pub(super) fn is_binary(packet_type: u8) -> bool {
    matches!(i64::from(packet_type), BINARY_EVENT | BINARY_ACK)
}

/// Write a packet the short way, if it goes.
pub(super) fn write_packet<'py>(
    [packet_type, data, namespace, id]: &[Bound<'py, PyAny>; 4],
    is_customised: impl FnOnce() -> PyResult<bool>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = data.py();
    let Some(packet_type) = type_digit(packet_type) else {
        return Ok(None);
    };
    let has_attachments = is_binary(packet_type);
    if has_attachments && is_customised()? {
        return Ok(None);
    }
    let mut out = scratch::take();
    out.clear();
    out.extend_from_slice(&[0; MARGIN]);
    let mut walker = Walker::new(py, &LIMITS, None, has_attachments, out);
    walker.plain = true;
    let address = write_address(&mut walker.out, namespace, id);
    walker.shape = address.unwrap_or(Shape::ASCII);
    let is_written = address.is_some() && (data.is_none() || walker.payload(data).is_ok());
    let Walker {
        mut out,
        shape,
        attachments,
        ..
    } = walker;
    let written = if is_written {
        let count = has_attachments.then_some(attachments.len());
        let start = write_margin(&mut out, packet_type, count);
        let text = buffers::new_shaped_string(py, out.get(start..).unwrap_or_default(), shape);
        text.map(Some)
    } else {
        Ok(None)
    };
    scratch::put(out);
    let Some(text) = written? else {
        return Ok(None);
    };
    if !has_attachments {
        return Ok(Some(text.into_any()));
    }
    let list = PyList::new(py, [text])?;
    for attachment in attachments {
        list.append(attachment)?;
    }
    Ok(Some(list.into_any()))
}

/// Write namespace and id as they are; return the shape of their text.
pub(super) fn write_address(
    out: &mut Vec<u8>,
    namespace: &Bound<'_, PyAny>,
    id: &Bound<'_, PyAny>,
) -> Option<Shape> {
    let mut shape = Shape::ASCII;
    if !namespace.is_none() {
        let name = namespace.cast_exact::<PyString>().ok()?;
        if !matches!(buffers::chars(name), Chars::Ascii(b"/")) {
            let name = name.to_str().ok()?;
            shape = Shape::of(name);
            out.extend_from_slice(name.as_bytes());
            out.push(b',');
        }
    }
    if !id.is_none() {
        write::integer(out, small_number(id)?);
    }
    Some(shape)
}

/// Write type and number of attachments into the margin; return where the packet begins.
pub(super) fn write_margin(out: &mut [u8], packet_type: u8, attachments: Option<usize>) -> usize {
    let mut at = MARGIN;
    let mut push = |byte: u8| {
        at -= 1;
        if let Some(slot) = out.get_mut(at) {
            *slot = byte;
        }
    };
    if let Some(mut left) = attachments {
        push(b'-');
        loop {
            push(b'0' + (left % 10) as u8);
            left /= 10;
            if left == 0 {
                break;
            }
        }
    }
    push(b'0' + packet_type);
    at
}

/// What a text says.
pub(super) struct Decoded<'py> {
    pub(super) packet_type: i64,
    pub(super) attachments: i64,
    pub(super) namespace: Bound<'py, PyAny>,
    pub(super) id: Option<i64>,
    pub(super) data: Bound<'py, PyAny>,
}

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head<'a> {
    pub(super) packet_type: i64,
    pub(super) attachments: i64,
    pub(super) namespace: Option<&'a str>,
    pub(super) id: Option<i64>,
    /// Where the payload begins.
    pub(super) payload: usize,
}

/// Read digits, at most so many, where nothing but ASCII follows them; return their value and where they end.
fn read_digits(bytes: &[u8], start: usize, most: usize) -> Option<(i64, usize)> {
    let mut value: i64 = 0;
    let mut at = start;
    while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
        if at - start >= most {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
        at += 1;
    }
    // What is not ASCII may be a digit to Python as well.
    bytes
        .get(at)
        .is_none_or(u8::is_ascii)
        .then_some((value, at))
}

/// Read the head of a packet as python-socketio does, if it has nothing unusual in it.
pub(super) fn read_head(text: &str) -> Option<Head<'_>> {
    let bytes = text.as_bytes();
    let packet_type = bytes.first().filter(|byte| byte.is_ascii_digit())? - b'0';
    let mut at = 1;
    let mut attachments = 0;
    // Of a longer run of digits that no dash follows, the second look below makes the id.
    if let Some((count, end)) = read_digits(bytes, at, MAX_COUNT_DIGITS) {
        if end > at && bytes.get(end) == Some(&b'-') {
            attachments = count;
            at = end + 1;
        }
    } else {
        return None;
    }
    let mut namespace = None;
    if bytes.get(at) == Some(&b'/') {
        let rest = text.get(at..)?;
        let (name, next) = match rest.split_once(',') {
            Some((name, _)) => (name, at + name.len() + 1),
            None => (rest, text.len()),
        };
        namespace = Some(name.split_once('?').map_or(name, |(name, _)| name));
        at = next;
    }
    let (value, payload) = read_digits(bytes, at, MAX_ID_DIGITS)?;
    Some(Head {
        packet_type: packet_type.into(),
        attachments,
        namespace,
        id: (payload > at).then_some(value),
        payload,
    })
}

/// Read a packet the short way, if it goes.
pub(super) fn read_packet<'py>(text: &Bound<'py, PyString>) -> PyResult<Option<Decoded<'py>>> {
    let py = text.py();
    let whole = match buffers::ascii_str(text) {
        Some(ascii) => ascii,
        None => match text.to_str() {
            Ok(utf8) => utf8,
            Err(_) => return Ok(None),
        },
    };
    let Some(head) = read_head(whole) else {
        return Ok(None);
    };
    let is_event = matches!(head.packet_type, EVENT | BINARY_EVENT);
    let mut builder = PyBuilder::new(py, 0, is_event);
    let json = whole.len() - head.payload;
    let data = if json == 0 {
        py.None().into_bound(py)
    } else {
        let pause = (json > SMALL_PAYLOAD).then(|| buffers::CollectorPause::new(py));
        let read = read::read(whole, head.payload, &LIMITS, &mut builder);
        drop(pause);
        match read {
            Ok(slot) if !builder.has_lone_surrogate => slot.object,
            _ => return Ok(None),
        }
    };
    let namespace = match head.namespace {
        None => py.None().into_bound(py),
        Some(name) => builder.nsp(name)?.into_any(),
    };
    Ok(Some(Decoded {
        packet_type: head.packet_type,
        attachments: head.attachments,
        namespace,
        id: head.id,
        data,
    }))
}
