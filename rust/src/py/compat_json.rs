//! A packet of python-socketio whose payload another JSON module writes or reads, the option `json=`.
//!
//! The head is ours, the payload is the module's. As everywhere in `compat`, what is unusual is left to the long way.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::buffers;
use super::compat_data::deconstruct_binary;
use super::compat_text::{
    Decoded, MARGIN, is_binary, read_head, type_digit, write_address, write_margin,
};

/// Write a packet, if its head is as usual; its class must not have replaced any method.
pub(super) fn write_packet<'py>(
    [packet_type, data, namespace, id]: &[Bound<'py, PyAny>; 4],
    json: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = data.py();
    let Some(packet_type) = type_digit(packet_type) else {
        return Ok(None);
    };
    let mut head = vec![0; MARGIN];
    let Some(shape) = write_address(&mut head, namespace, id) else {
        return Ok(None);
    };
    let has_attachments = is_binary(packet_type);
    let (data, attachments) = if has_attachments {
        deconstruct_binary(data)?
    } else {
        (data.clone(), PyList::empty(py))
    };
    let count = has_attachments.then(|| attachments.len());
    let start = write_margin(&mut head, packet_type, count);
    let head = buffers::new_shaped_string(py, head.get(start..).unwrap_or_default(), shape)?;
    let text = if data.is_none() {
        head.into_any()
    } else {
        let options = PyDict::new(py);
        options.set_item(intern!(py, "separators"), (",", ":"))?;
        let payload = json
            .getattr(intern!(py, "dumps"))?
            .call((data,), Some(&options))?;
        // What is no text is refused as python-socketio refuses it.
        head.as_any().add(payload)?
    };
    if !has_attachments {
        return Ok(Some(text));
    }
    attachments.insert(0, text)?;
    Ok(Some(attachments.into_any()))
}

/// Read what stands in front of a payload, if it is as usual; return it with the text of the payload, if there is any.
pub(super) fn read_front<'py>(
    text: &Bound<'py, PyString>,
) -> Option<(Decoded<'py>, Option<Bound<'py, PyString>>)> {
    let py = text.py();
    let whole = match buffers::ascii_str(text) {
        Some(ascii) => ascii,
        None => text.to_str().ok()?,
    };
    let head = read_head(whole)?;
    let none = || py.None().into_bound(py);
    let rest = whole.get(head.payload..).unwrap_or_default();
    let front = Decoded {
        packet_type: head.packet_type,
        attachments: head.attachments,
        namespace: head
            .namespace
            .map_or_else(none, |name| PyString::new(py, name).into_any()),
        id: head.id,
        data: none(),
    };
    Some((front, (!rest.is_empty()).then(|| PyString::new(py, rest))))
}
