//! `Packet`: what the decoder returns and the encoder takes.

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyString, PyTuple, PyType};

use crate::socketio::PacketType;

/// One Socket.IO packet, immutable.
///
/// It is not tracked by the garbage collector: it only points to its data, and a cycle would have to be built on purpose.
#[pyclass(frozen, module = "roomcast.codec", freelist = 64)]
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "`type` is a keyword")]
pub(super) struct Packet {
    pub(super) packet_type: PacketType,
    pub(super) nsp: Py<PyString>,
    pub(super) id: Option<u64>,
    pub(super) data: Py<PyAny>,
}

/// The largest id that is taken from a caller.
const MAX_ID: u64 = i64::MAX.cast_unsigned();

/// Turn the number of a packet type that a caller gave into the type that applications see.
pub(super) fn packet_type(number: &Bound<'_, PyInt>) -> PyResult<PacketType> {
    number
        .extract::<u8>()
        .ok()
        .and_then(PacketType::from_number)
        .map(PacketType::without_attachments)
        .ok_or_else(|| PyValueError::new_err(format!("{number} is not a packet type")))
}

/// Check an acknowledgement id that a caller gave.
pub(super) fn packet_id(id: Option<&Bound<'_, PyInt>>) -> PyResult<Option<u64>> {
    id.map(|id| {
        id.extract::<u64>()
            .ok()
            .filter(|&id| id <= MAX_ID)
            .ok_or_else(|| PyValueError::new_err("an ack id must be from 0 to 2^63 - 1"))
    })
    .transpose()
}

#[pymethods]
impl Packet {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args() -> (&'static str, &'static str, &'static str, &'static str) {
        ("type", "data", "nsp", "id")
    }

    #[new]
    #[pyo3(signature = (r#type, data=None, nsp=None, id=None))]
    fn new<'py>(
        py: Python<'py>,
        r#type: &Bound<'py, PyInt>,
        data: Option<Bound<'py, PyAny>>,
        nsp: Option<Bound<'py, PyString>>,
        id: Option<&Bound<'py, PyInt>>,
    ) -> PyResult<Self> {
        Ok(Self {
            packet_type: packet_type(r#type)?,
            nsp: nsp
                .unwrap_or_else(|| pyo3::intern!(py, "/").clone())
                .unbind(),
            id: packet_id(id)?,
            data: data.map_or_else(|| py.None(), Bound::unbind),
        })
    }

    #[getter]
    fn r#type(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        static MEMBERS: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
        let members = MEMBERS.get_or_try_init(py, || {
            let class = py.import("roomcast.types")?.getattr("PacketType")?;
            let members = class.try_iter()?.collect::<PyResult<Vec<_>>>()?;
            PyTuple::new(py, members).map(Bound::unbind)
        })?;
        members
            .bind(py)
            .get_item(self.packet_type as usize)
            .map(Bound::unbind)
    }

    #[getter]
    fn nsp(&self, py: Python<'_>) -> Py<PyString> {
        self.nsp.clone_ref(py)
    }

    #[getter]
    fn id(&self) -> Option<u64> {
        self.id
    }

    #[getter]
    fn data(&self, py: Python<'_>) -> Py<PyAny> {
        self.data.clone_ref(py)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let Ok(other) = other.cast::<Self>() else {
            return Ok(py.NotImplemented());
        };
        let other = other.get();
        let equal = self.packet_type == other.packet_type
            && self.id == other.id
            && self.nsp.bind(py).as_any().eq(other.nsp.bind(py))?
            && self.data.bind(py).eq(other.data.bind(py))?;
        Ok(pyo3::types::PyBool::new(py, equal)
            .to_owned()
            .into_any()
            .unbind())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        (
            self.packet_type as u8,
            self.nsp.bind(py),
            self.id,
            self.data.bind(py),
        )
            .into_pyobject(py)?
            .hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name: String = self.r#type(py)?.bind(py).getattr("name")?.extract()?;
        let nsp = self.nsp.bind(py).repr()?;
        let data = self.data.bind(py).repr()?;
        let id = self
            .id
            .map_or_else(|| "None".to_owned(), |id| id.to_string());
        Ok(format!(
            "Packet(PacketType.{name}, data={data}, nsp={nsp}, id={id})"
        ))
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        let arguments = (self.packet_type as u8, &self.data, &self.nsp, self.id);
        Ok((py.get_type::<Self>(), arguments.into_pyobject(py)?))
    }

    fn __copy__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }
}

/// Read a limit of a `roomcast.types.Limits`; what passes the width that is counted in limits nothing.
fn limit<T: TryFrom<u64>>(limits: &Bound<'_, PyAny>, name: &str, most: T) -> PyResult<T> {
    let value = limits.getattr(name)?;
    match value.extract::<u64>() {
        Ok(value) => Ok(T::try_from(value).unwrap_or(most)),
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => Ok(most),
        Err(error) => Err(error),
    }
}

/// The limits of a `roomcast.types.Limits`, or the default ones.
pub(super) fn limits(given: Option<&Bound<'_, PyAny>>) -> PyResult<crate::limits::Limits> {
    let Some(given) = given else {
        return Ok(crate::limits::Limits::default());
    };
    Ok(crate::limits::Limits {
        max_attachments: limit(given, "max_attachments", u32::MAX)?,
        max_packet_size: limit(given, "max_packet_size", usize::MAX)?,
        max_depth: limit(given, "max_depth", u32::MAX)?,
        max_values: limit(given, "max_values", u32::MAX)?,
        max_int_digits: limit(given, "max_int_digits", usize::MAX)?,
        max_ack_id: limit(given, "max_ack_id", u64::MAX)?,
        max_namespace_length: limit(given, "max_namespace_length", usize::MAX)?,
    })
}
