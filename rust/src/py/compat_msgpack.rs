//! `CompatMsgPackPacket`: a packet of python-socketio in MessagePack.
//!
//! As in `compat`, it gives up where anything is unusual; the long way is the library `msgpack`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::compat::{CompatPacket, is_customised, lenient};
use super::compat_text::LIMITS;
use super::decoder::SMALL_PAYLOAD;
use super::msgpack_decode::PyBuilder;
use super::msgpack_encode::Walker;
use super::vectorcall::{Arguments, Construct};
use super::{buffers, errors, scratch};
use crate::msgpack::read::Reader;
use crate::msgpack::write;

/// A packet in MessagePack with the attributes of python-socketio's.
#[pyclass(frozen, subclass, extends = CompatPacket, module = "roomcast._core")]
#[derive(Debug)]
pub(super) struct CompatMsgPackPacket;

#[pymethods]
impl CompatMsgPackPacket {
    /// As `CompatPacket`'s.
    #[new]
    #[pyo3(signature = (
        packet_type=None,
        data=None,
        namespace=None,
        id=None,
        binary=None,
        encoded_packet=None,
        *args,
        **kwargs
    ))]
    #[expect(unused_variables, reason = "they are `__init__`'s")]
    #[expect(clippy::too_many_arguments, reason = "they are `__init__`'s")]
    fn new(
        packet_type: Option<&Bound<'_, PyAny>>,
        data: Option<&Bound<'_, PyAny>>,
        namespace: Option<&Bound<'_, PyAny>>,
        id: Option<&Bound<'_, PyAny>>,
        binary: Option<&Bound<'_, PyAny>>,
        encoded_packet: Option<&Bound<'_, PyAny>>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<Self> {
        PyClassInitializer::from(CompatPacket::empty()).add_subclass(Self)
    }

    fn encode<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let own_dict = slf.getattr(pyo3::intern!(py, "_has_own_dict"))?;
        if !own_dict.is_truthy()?
            && let Some(bytes) = write_packet(slf.as_super())
        {
            return Ok(bytes.into_any());
        }
        lenient!(py, "encode_msgpack")?.call1((slf,))
    }

    fn decode<'py>(
        slf: &Bound<'py, Self>,
        encoded_packet: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::read(slf, encoded_packet, is_customised(slf.as_super())?)
    }
}

impl CompatMsgPackPacket {
    /// Read bytes; return `None`, as there are no attachments.
    pub(super) fn read<'py>(
        slf: &Bound<'py, Self>,
        encoded_packet: &Bound<'py, PyAny>,
        is_customised: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let packet = slf.as_super();
        if let Some(parts) = read_packet(packet, encoded_packet)? {
            if is_customised {
                CompatPacket::assign_parts(packet, parts)?;
            } else {
                packet.get().set_parts(parts);
            }
            return Ok(py.None().into_bound(py));
        }
        lenient!(py, "decode_msgpack")?.call1((slf, encoded_packet))
    }
}

impl Construct<6> for CompatMsgPackPacket {
    const PARAMETERS: [&'static str; 6] = CompatPacket::PARAMETERS;

    fn fill<'py>(slf: &Bound<'py, Self>, arguments: Arguments<'py, 6>) -> PyResult<()> {
        CompatPacket::fill(slf.as_super(), arguments)
    }
}

/// Write a packet, if it goes.
fn write_packet<'py>(packet: &Bound<'py, CompatPacket>) -> Option<Bound<'py, PyBytes>> {
    let py = packet.py();
    let [packet_type, data, namespace, id] = packet.get().parts(py)?;
    let mut out = scratch::take();
    out.clear();
    let mut walker = Walker::new(py, &LIMITS, None, true, out);
    write::map_length(&mut walker.out, 3 + u32::from(!id.is_none()));
    let mut field = |name: &[u8], value: &Bound<'py, PyAny>| {
        write::string_length(&mut walker.out, name.len() as u32);
        write::raw(&mut walker.out, name);
        walker.payload(value).is_ok()
    };
    let written = field(b"type", &packet_type)
        && field(b"data", &data)
        && field(b"nsp", &namespace)
        && (id.is_none() || field(b"id", &id));
    let out = walker.out;
    let bytes = written.then(|| PyBytes::new(py, &out));
    scratch::put(out);
    bytes
}

/// Read type, data, namespace and id of a packet, if it goes.
fn read_packet<'py>(
    packet: &Bound<'py, CompatPacket>,
    data: &Bound<'py, PyAny>,
) -> PyResult<Option<[Bound<'py, PyAny>; 4]>> {
    let py = packet.py();
    let Ok(bytes) = data.cast_exact::<PyBytes>() else {
        return Ok(None);
    };
    let bytes = bytes.as_bytes();
    let class = packet.get_type();
    let mut builder = PyBuilder::of_library(&class);
    let pause = (bytes.len() > SMALL_PAYLOAD).then(|| buffers::CollectorPause::new(py));
    let read = read_fields(bytes, &mut builder);
    drop(pause);
    match read {
        Ok(fields) if !builder.has_lone_surrogate => Ok(fields),
        Ok(_) => Ok(None),
        // The library would have raised before the hook did.
        Err(_) if builder.has_lone_surrogate => Ok(None),
        Err(error) if errors::is_packet_error(py, &error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Type, data, namespace and id of the map that a packet is.
fn read_fields<'py>(
    bytes: &[u8],
    builder: &mut PyBuilder<'_, 'py>,
) -> PyResult<Option<[Bound<'py, PyAny>; 4]>> {
    let py = builder.py;
    let mut reader = Reader::new(bytes, &LIMITS, builder);
    let marker = reader.marker()?;
    let Some(length) = reader.map_length(marker)? else {
        return Ok(None);
    };
    let (mut packet_type, mut data, mut namespace, mut id) = (None, None, None, None);
    for _ in 0..length {
        let marker = reader.marker()?;
        // Of another kind, or not UTF-8, it may be refused, and before its value is looked at.
        let Some(key) = reader.string_bytes(marker)?.filter(|key| key.is_ascii()) else {
            return Ok(None);
        };
        let value = reader.value(LIMITS.max_depth)?;
        match key {
            b"type" => packet_type = Some(value),
            b"data" => data = Some(value),
            b"nsp" => namespace = Some(value),
            b"id" => id = Some(value),
            _ => {}
        }
    }
    reader.finish()?;
    let or_none =
        |value: Option<Bound<'py, PyAny>>| value.unwrap_or_else(|| py.None().into_bound(py));
    Ok(match (packet_type, namespace) {
        (Some(packet_type), Some(namespace)) => {
            Some([packet_type, or_none(data), namespace, or_none(id)])
        }
        _ => None,
    })
}
