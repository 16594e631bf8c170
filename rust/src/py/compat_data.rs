//! Binary values in the data of python-socketio's packets: found, taken out, put back.
//!
//! `bytes` and `bytearray` are binary; they are looked for in lists and dicts, those of subclasses included, and nowhere else.

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList};

use super::buffers::{self, Kind};

/// Levels up to which data is walked, and `RecursionError` beyond: python-socketio comes about as far.
const MAX_DEPTH: u32 = 400;

fn deeper(depth: u32) -> PyResult<u32> {
    depth
        .checked_sub(1)
        .ok_or_else(|| PyRecursionError::new_err("nested too deep, or a cycle"))
}

/// Whether an object is binary.
fn is_binary(value: &Bound<'_, PyAny>) -> bool {
    match buffers::kind(value) {
        Kind::Bytes => true,
        Kind::Other => value.is_instance_of::<PyByteArray>() || value.is_instance_of::<PyBytes>(),
        _ => false,
    }
}

/// Whether data holds anything binary.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub(super) fn data_is_binary(data: &Bound<'_, PyAny>) -> PyResult<bool> {
    holds_binary(data, MAX_DEPTH)
}

fn holds_binary(value: &Bound<'_, PyAny>, depth: u32) -> PyResult<bool> {
    match buffers::kind(value) {
        Kind::Str | Kind::Int | Kind::Bool | Kind::Float | Kind::None | Kind::Tuple => Ok(false),
        Kind::Bytes => Ok(true),
        Kind::List => {
            let depth = deeper(depth)?;
            for item in value.cast::<PyList>()? {
                if holds_binary(&item, depth)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Kind::Dict => {
            let depth = deeper(depth)?;
            // A list of its own: looking at a subclass in it may run code that changes the dict.
            for item in value.cast::<PyDict>()?.values() {
                if holds_binary(&item, depth)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        // A subclass has its own way of going through it.
        Kind::Other => {
            if is_binary(value) {
                return Ok(true);
            }
            let items = if value.is_instance_of::<PyDict>() {
                value.call_method0("values")?
            } else if value.is_instance_of::<PyList>() {
                value.clone()
            } else {
                return Ok(false);
            };
            let depth = deeper(depth)?;
            for item in items.try_iter()? {
                if holds_binary(&item?, depth)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

/// Return data with placeholders for what is binary, and the list of that.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub(super) fn deconstruct_binary<'py>(
    data: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyList>)> {
    let attachments = PyList::empty(data.py());
    Ok((deconstruct(data, &attachments, MAX_DEPTH)?, attachments))
}

fn deconstruct<'py>(
    value: &Bound<'py, PyAny>,
    attachments: &Bound<'py, PyList>,
    depth: u32,
) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if is_binary(value) {
        let placeholder = PyDict::new(py);
        placeholder.set_item(pyo3::intern!(py, "_placeholder"), true)?;
        placeholder.set_item(pyo3::intern!(py, "num"), attachments.len())?;
        attachments.append(value)?;
        return Ok(placeholder.into_any());
    }
    mapped(value, depth, &mut |item, depth| {
        deconstruct(item, attachments, depth)
    })
}

/// Return data with attachments in the place of their placeholders.
#[pyfunction]
#[pyo3(signature = (data, attachments, /))]
pub(super) fn reconstruct_binary<'py>(
    data: &Bound<'py, PyAny>,
    attachments: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    reconstruct(data, attachments, MAX_DEPTH)
}

fn reconstruct<'py>(
    value: &Bound<'py, PyAny>,
    attachments: &Bound<'py, PyAny>,
    depth: u32,
) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if let Ok(dict) = value.cast::<PyDict>()
        && let Some(placeholder) = dict.get_item(pyo3::intern!(py, "_placeholder"))?
        && placeholder.is_truthy()?
        && let Some(number) = dict.get_item(pyo3::intern!(py, "num"))?
    {
        return attachments.get_item(number);
    }
    mapped(value, depth, &mut |item, depth| {
        reconstruct(item, attachments, depth)
    })
}

/// What an item of a list or dict becomes, and how many levels may follow.
type Change<'a, 'py> = &'a mut dyn FnMut(&Bound<'py, PyAny>, u32) -> PyResult<Bound<'py, PyAny>>;

/// Return a new list or dict of what each item of a list or dict becomes; anything else as it is.
fn mapped<'py>(
    value: &Bound<'py, PyAny>,
    depth: u32,
    change: Change<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    match buffers::kind(value) {
        Kind::List => {
            let depth = deeper(depth)?;
            let new = PyList::empty(py);
            for item in value.cast::<PyList>()? {
                new.append(change(&item, depth)?)?;
            }
            Ok(new.into_any())
        }
        Kind::Dict => {
            let depth = deeper(depth)?;
            let dict = value.cast::<PyDict>()?;
            let new = PyDict::new(py);
            for (key, item) in dict.keys().iter().zip(dict.values()) {
                new.set_item(key, change(&item, depth)?)?;
            }
            Ok(new.into_any())
        }
        Kind::Other => {
            if value.is_instance_of::<PyDict>() {
                let depth = deeper(depth)?;
                let new = PyDict::new(py);
                for item in value.call_method0("items")?.try_iter()? {
                    let (key, item): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item?.extract()?;
                    new.set_item(key, change(&item, depth)?)?;
                }
                return Ok(new.into_any());
            }
            if value.is_instance_of::<PyList>() {
                let depth = deeper(depth)?;
                let new = PyList::empty(py);
                for item in value.try_iter()? {
                    new.append(change(&item?, depth)?)?;
                }
                return Ok(new.into_any());
            }
            Ok(value.clone())
        }
        _ => Ok(value.clone()),
    }
}
