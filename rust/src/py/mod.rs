//! The binding to `CPython`.

mod rooms;

use pyo3::prelude::*;

#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use super::rooms::Rooms;
}
