//! `encode_payload`, `decode_payload` and `decode_base64`: the bodies of polling.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use super::buffers::{self, Chars};
use super::encoded::EncodedPacket;
use super::{decoder, scratch};
use crate::engineio::{Packet, Packets, Payload, base64, binary_length};

/// Where the writing of packets stopped.
struct Progress {
    /// Packets that are written completely.
    packets: usize,
    /// Messages of the next packet that are written, those of earlier payloads included.
    messages: usize,
}

/// Return the payload of packets, and how far it got.
#[pyfunction]
#[pyo3(signature = (packets, skip, limit, /))]
pub(super) fn encode_payload<'py>(
    packets: &Bound<'py, PyAny>,
    skip: usize,
    limit: usize,
) -> PyResult<(Bound<'py, PyBytes>, usize, usize)> {
    write_payload(packets.py(), packets.try_iter()?, skip, limit)
}

/// The same for packets from anywhere.
pub(super) fn write_payload<'py>(
    py: Python<'py>,
    packets: impl Iterator<Item = PyResult<Bound<'py, PyAny>>>,
    skip: usize,
    limit: usize,
) -> PyResult<(Bound<'py, PyBytes>, usize, usize)> {
    let mut payload = Payload::new(scratch::take(), limit);
    let progress = write_packets(&mut payload, packets, skip)?;
    let bytes = PyBytes::new(py, payload.as_bytes());
    scratch::put(payload.into_buffer());
    Ok((bytes, progress.packets, progress.messages))
}

fn write_packets<'py>(
    payload: &mut Payload,
    packets: impl Iterator<Item = PyResult<Bound<'py, PyAny>>>,
    mut skip: usize,
) -> PyResult<Progress> {
    let mut written = 0;
    for packet in packets {
        let packet = packet?;
        let stopped = if let Ok(packet) = packet.cast::<EncodedPacket>() {
            write_packet(payload, packet, skip)?
        } else if let Ok(text) = packet.cast::<PyString>() {
            let done = skip > 0 || write_text(payload, text)?;
            (!done).then_some(0)
        } else {
            let class = decoder::class_name(&packet);
            return Err(PyTypeError::new_err(format!(
                "a payload is made of EncodedPacket and str, not {class}"
            )));
        };
        if let Some(messages) = stopped {
            return Ok(Progress {
                packets: written,
                messages,
            });
        }
        written += 1;
        skip = 0;
    }
    Ok(Progress {
        packets: written,
        messages: 0,
    })
}

/// Write the messages of a packet behind the first `skip`; return the number of the one that has no room, if any.
fn write_packet(
    payload: &mut Payload,
    packet: &Bound<'_, EncodedPacket>,
    skip: usize,
) -> PyResult<Option<usize>> {
    let py = packet.py();
    let packet = packet.get();
    if skip == 0
        && let Some(text) = &packet.text
        && !write_text(payload, text.bind(py))?
    {
        return Ok(Some(0));
    }
    let attachments = packet.attachments.bind(py);
    for (index, attachment) in attachments.iter_borrowed().enumerate() {
        let message = index + packet.texts();
        if message < skip {
            continue;
        }
        // Its length is known before it is made.
        let length = attachment.cast::<PyBytes>()?.as_bytes().len();
        if !payload.has_room(binary_length(length)) {
            return Ok(Some(message));
        }
        if let Some(binary) = packet.binary_messages(py).get(index) {
            payload.push(binary);
        }
    }
    Ok(None)
}

/// Write a text if there is room; return whether there was.
fn write_text(payload: &mut Payload, text: &Bound<'_, PyString>) -> PyResult<bool> {
    // What is not ASCII keeps its UTF-8, so that the recipients of a broadcast share it.
    let text = text.to_str()?;
    let has_room = payload.has_room(text.len());
    if has_room {
        payload.push(text.as_bytes());
    }
    Ok(has_room)
}

/// Return the packets of a payload.
#[pyfunction]
#[pyo3(signature = (body, /))]
pub(super) fn decode_payload<'py>(body: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let py = body.py();
    let body = decoder::to_bytes(body, "a payload is bytes")?;
    let mut packets = Vec::new();
    for packet in Packets::new(body.as_bytes()) {
        packets.push(match packet {
            Packet::Ascii(text) => buffers::new_ascii_string(py, text)?.into_any(),
            Packet::Text(text) | Packet::Malformed(text) => {
                buffers::new_text(py, text, text.is_ascii())?.into_any()
            }
            Packet::Binary(text) => new_decoded(py, text)?.into_any(),
        });
    }
    buffers::new_list(py, packets.into_iter())
}

/// Return the bytes of a text in base64.
#[pyfunction]
#[pyo3(signature = (text, start=0, /))]
pub(super) fn decode_base64<'py>(
    text: &Bound<'py, PyString>,
    start: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let py = text.py();
    // Outside of ASCII there is nothing but what is skipped, whatever byte stands for it.
    match buffers::chars(text) {
        Chars::Ascii(characters) | Chars::Latin1(characters) => {
            new_decoded(py, characters.get(start..).unwrap_or_default())
        }
        Chars::Ucs2(characters) => new_decoded(py, &narrowed(characters, start)),
        Chars::Ucs4(characters) => new_decoded(py, &narrowed(characters, start)),
    }
}

/// Characters as a byte each, those that are wider as one that base64 does not know.
fn narrowed<T: Copy + TryInto<u8>>(characters: &[T], start: usize) -> Vec<u8> {
    let characters = characters.get(start..).unwrap_or_default();
    characters
        .iter()
        .map(|&character| character.try_into().unwrap_or_default())
        .collect()
}

/// Read base64 straight into a new object; only what is not clean is read into a buffer first.
fn new_decoded<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut is_clean = false;
    let bytes = PyBytes::new_with(py, base64::clean_length(text), |room| {
        is_clean = base64::decode_clean(text, room);
        Ok(())
    })?;
    if is_clean {
        return Ok(bytes);
    }
    Ok(PyBytes::new(py, &base64::decode(text)))
}
