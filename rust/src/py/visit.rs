//! `VisitReader`: the heads of requests that belong to connections on polling.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::buffers;
use crate::engineio::visit::{HeadLimits, Visit};

/// Session id, whether it is a GET, origin and host.
type Head<'py> = (
    Bound<'py, PyString>,
    bool,
    Option<Bound<'py, PyString>>,
    Option<Bound<'py, PyString>>,
);

/// Reads the head of a request that says no more than clients do.
#[pyclass(frozen, module = "roomcast._core")]
#[derive(Debug)]
pub(super) struct VisitReader {
    limits: HeadLimits,
    max_url_size: usize,
}

#[pymethods]
impl VisitReader {
    #[new]
    #[pyo3(signature = (max_url_size, max_headers, max_head_size, max_body, /))]
    fn new(max_url_size: usize, max_headers: usize, max_head_size: usize, max_body: u64) -> Self {
        let limits = HeadLimits {
            headers: max_headers,
            size: max_head_size,
            body: max_body,
        };
        Self {
            limits,
            max_url_size,
        }
    }

    #[pyo3(signature = (scope, /))]
    fn read<'py>(&self, scope: &Bound<'py, PyAny>) -> PyResult<Option<Head<'py>>> {
        let py = scope.py();
        let Some(parts) = Parts::of(scope) else {
            return Ok(None);
        };
        let query = parts.query.as_bytes();
        if parts.path_size + 1 + query.len() > self.max_url_size {
            return Ok(None);
        }
        let heads = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let Some(visit) = Visit::read(query, heads, self.limits) else {
            return Ok(None);
        };
        let sid = buffers::new_ascii_string(py, visit.sid)?;
        let Some(origin) = visit.origin else {
            return Ok(Some((sid, parts.is_get, None, None))); // nobody asks for the host then
        };
        if !origin.is_ascii() || !visit.host.is_none_or(<[u8]>::is_ascii) {
            return Ok(None);
        }
        let origin = buffers::new_ascii_string(py, origin)?;
        let host = visit
            .host
            .map(|host| buffers::new_ascii_string(py, host))
            .transpose()?;
        Ok(Some((sid, parts.is_get, Some(origin), host)))
    }
}

/// What is read of the scope of a GET or a POST.
struct Parts<'py> {
    is_get: bool,
    path_size: usize,
    query: Bound<'py, PyBytes>,
    headers: Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>,
}

impl<'py> Parts<'py> {
    /// Take them from a scope; nothing if one has another shape than servers give it.
    fn of(scope: &Bound<'py, PyAny>) -> Option<Self> {
        let py = scope.py();
        let scope = scope.cast::<PyDict>().ok()?;
        let method = scope.get_item(intern!(py, "method")).ok()??;
        let is_get = match method.cast::<PyString>().ok()?.to_str().ok()? {
            "GET" => true,
            "POST" => false,
            _ => return None,
        };
        let path = scope.get_item(intern!(py, "raw_path")).ok()??;
        let query = scope.get_item(intern!(py, "query_string")).ok()??;
        let headers = scope.get_item(intern!(py, "headers")).ok()??;
        let headers = headers.cast::<PyList>().ok()?;
        Some(Self {
            is_get,
            path_size: path.cast::<PyBytes>().ok()?.as_bytes().len(),
            query: query.cast_into().ok()?,
            headers: headers
                .iter()
                .map(|header| pair(&header))
                .collect::<Option<_>>()?,
        })
    }
}

fn pair<'py>(header: &Bound<'py, PyAny>) -> Option<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let header = header.cast::<PyTuple>().ok()?;
    if header.len() != 2 {
        return None;
    }
    let name = header.get_item(0).ok()?.cast_into().ok()?;
    let value = header.get_item(1).ok()?.cast_into().ok()?;
    Some((name, value))
}
