//! `RawJSON`: JSON that a program has serialised already.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::buffers::Shape;
use crate::json::read::{self, Validator};
use crate::limits::Limits;

/// Serialised JSON that the encoder copies into the packet as it is.
#[pyclass(frozen, module = "roomcast.codec", name = "RawJSON")]
#[derive(Debug)]
pub(super) struct RawJson {
    pub(super) json: Box<[u8]>,
    pub(super) shape: Shape,
}

#[pymethods]
impl RawJson {
    #[new]
    fn new(json: &Bound<'_, PyAny>) -> PyResult<Self> {
        let text = if let Ok(bytes) = json.cast::<PyBytes>() {
            std::str::from_utf8(bytes.as_bytes())
                .map_err(|error| PyValueError::new_err(error.to_string()))?
        } else if let Ok(text) = json.cast::<PyString>() {
            text.to_str()?
        } else {
            return Err(PyTypeError::new_err("RawJSON takes bytes or str"));
        };
        read::read(text, 0, &Limits::default(), &mut Validator)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self {
            shape: Shape::of(text),
            json: text.as_bytes().into(),
        })
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.json)
    }

    fn __repr__(&self) -> String {
        format!("RawJSON({:?})", String::from_utf8_lossy(&self.json))
    }
}
