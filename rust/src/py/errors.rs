//! The one place where a kind becomes a Python exception. The exceptions themselves are defined in `roomcast.errors`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::error::PacketError;

const MODULE: &str = "roomcast.errors";

fn exception<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyType>>,
    name: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> PyErr {
    match cell
        .import(py, MODULE, name)
        .and_then(|class| class.call1(arguments))
    {
        Ok(value) => PyErr::from_value(value),
        Err(error) => error,
    }
}

static PACKET_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Whether an exception is about what a peer has sent.
pub(super) fn is_packet_error(py: Python<'_>, error: &PyErr) -> bool {
    PACKET_ERROR
        .import(py, MODULE, "PacketError")
        .is_ok_and(|class| error.is_instance(py, class))
}

impl From<PacketError> for PyErr {
    fn from(error: PacketError) -> Self {
        Python::attach(|py| {
            exception(
                py,
                &PACKET_ERROR,
                "PacketError",
                (error.kind.as_str(), error.offset),
            )
        })
    }
}

/// A value cannot be encoded.
pub(super) fn encode_error(py: Python<'_>, reason: &str, path: &str) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    exception(py, &CLASS, "EncodeError", (reason, path))
}

/// The event belongs to the library.
pub(super) fn reserved_event_error(py: Python<'_>, event: &str) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    exception(py, &CLASS, "ReservedEventError", (event,))
}
