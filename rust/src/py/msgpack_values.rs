//! `MsgPackValues`: values in `MessagePack` that are no packets, as those which the nodes of a cluster send each other.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::encoder::Settings;
use super::msgpack_decode::PyBuilder;
use super::msgpack_encode::Walker;
use super::{buffers, decoder::SMALL_PAYLOAD, scratch};
use crate::msgpack::{item, read};

/// Packs and unpacks values.
#[pyclass(frozen, module = "roomcast._core")]
#[derive(Debug)]
pub(super) struct MsgPackValues {
    settings: Settings,
}

#[pymethods]
impl MsgPackValues {
    #[new]
    #[pyo3(signature = (limits=None, default=None))]
    fn new(limits: Option<&Bound<'_, PyAny>>, default: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self {
            settings: Settings::new(limits, default)?,
        })
    }

    #[pyo3(signature = (value, /))]
    fn pack<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let py = value.py();
        let default = self.settings.default.as_ref().map(|hook| hook.bind(py));
        let mut out = scratch::take();
        out.clear();
        let mut walker = Walker::new(py, &self.settings.limits, default, false, out);
        let walked = walker.payload(value);
        let out = walker.out;
        let packed = walked
            .map_err(|failure| failure.into_error(py))
            .map(|()| PyBytes::new(py, &out));
        scratch::put(out);
        packed
    }

    #[pyo3(signature = (data, /))]
    fn unpack<'py>(&self, data: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
        self.read(data.py(), data.as_bytes())
    }

    #[pyo3(signature = (data, index, /))]
    fn unpack_item<'py>(
        &self,
        data: &Bound<'py, PyBytes>,
        index: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = item::find(data.as_bytes(), index, &self.settings.limits)?;
        self.read(data.py(), bytes)
    }
}

impl MsgPackValues {
    fn read<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let mut builder = PyBuilder::new(py);
        let pause = (bytes.len() > SMALL_PAYLOAD).then(|| buffers::CollectorPause::new(py));
        let value = read::read(bytes, &self.settings.limits, &mut builder);
        drop(pause);
        Ok(value?)
    }
}
