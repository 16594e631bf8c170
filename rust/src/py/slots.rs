//! Attributes that Python reads and writes as those of `__slots__`: without a call.
//!
//! A getter of PyO3 costs 33 ns, the interpreter's own way to an attribute at a known place 10. It is the same descriptor here,
//! and the place is in a Rust struct.

#![expect(
    unsafe_code,
    reason = "what the interpreter writes behind the compiler's back"
)]

use std::cell::UnsafeCell;
use std::ffi::CStr;

use pyo3::PyTraverseError;
use pyo3::ffi;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// A place for an object, which is empty once Python has deleted the attribute.
///
/// Nobody gets a reference to what is inside, and no Python code runs while it is looked at.
#[repr(transparent)]
#[derive(Debug)]
pub(super) struct Slot(UnsafeCell<Option<Py<PyAny>>>);

// SAFETY: it is looked at by threads that are attached to the interpreter, which take turns: the module declares `gil_used`, so
// that they do also where the interpreter could do without.
unsafe impl Sync for Slot {}

impl Slot {
    pub(super) const fn empty() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// What is in it.
    #[inline]
    pub(super) fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        // SAFETY: attached, and to copy a reference runs no code.
        let value = unsafe { &*self.0.get() };
        value.as_ref().map(|value| value.bind(py).clone())
    }

    /// Put something into it. What was there is dropped afterwards, which may run anything.
    #[inline]
    pub(super) fn set(&self, value: Bound<'_, PyAny>) {
        drop(self.replace(Some(value.unbind())));
    }

    /// Empty it.
    pub(super) fn clear(&self, _py: Python<'_>) {
        drop(self.replace(None));
    }

    fn replace(&self, value: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
        // SAFETY: whoever calls is attached, and to move references runs no code.
        let place = unsafe { &mut *self.0.get() };
        std::mem::replace(place, value)
    }

    /// Show it to the collector.
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: the collector runs in an attached thread and changes nothing.
        visit.call(unsafe { &*self.0.get() })
    }
}

/// Make attributes of slots. `object` is any object of the class, to measure where its slots are.
pub(super) fn install<'py, T: pyo3::PyClass>(
    object: &Bound<'py, T>,
    slots: &[(&'static CStr, &Slot)],
) -> PyResult<()> {
    let py = object.py();
    let class: Bound<'py, PyType> = py.get_type::<T>();
    for (name, slot) in slots {
        let place = std::ptr::from_ref::<Slot>(slot) as usize;
        let offset = place.wrapping_sub(object.as_ptr() as usize);
        // The descriptor points to it for as long as the class lives, and that is as long as the process.
        let member = Box::leak(Box::new(ffi::PyMemberDef {
            name: name.as_ptr(),
            type_code: ffi::Py_T_OBJECT_EX,
            offset: offset.cast_signed(),
            flags: 0,
            doc: std::ptr::null(),
        }));
        // SAFETY: at that place of each object of the class, or of one below it, is a slot, which is as large as a pointer, and
        // null while it is empty.
        let descriptor = unsafe { ffi::PyDescr_NewMember(class.as_type_ptr(), member) };
        // SAFETY: a new reference or null with an exception set.
        let descriptor = unsafe { Bound::from_owned_ptr_or_err(py, descriptor)? };
        class.setattr(name.to_string_lossy(), descriptor)?;
    }
    Ok(())
}
