//! A class that is called without a tuple and a dict of its arguments.
//!
//! `type.__call__` gathers both and hands them to `__new__` and then to `__init__`, each of which takes them apart again: for an
//! object as small as a packet that is half of the work. A class may bring a function that gets the arguments as they lie on the
//! stack, as `list` and `dict` do. It is not inherited, and knows nothing of methods that are replaced afterwards; so it looks
//! whether `__new__` and `__init__` are still those that it stands for, and else does what `type.__call__` does.

#![expect(
    unsafe_code,
    reason = "a slot of a class, and the arguments that the interpreter puts on its stack"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

/// The arguments of a call, by the parameters that they are for.
pub(super) type Arguments<'py, const N: usize> = [Option<Bound<'py, PyAny>>; N];

/// A class whose objects are made by `__new__` without arguments and filled by what its `__init__` does with them.
pub(super) trait Construct<const N: usize>: pyo3::PyTypeInfo {
    /// The parameters, in their order; all of them may be left out.
    const PARAMETERS: [&'static str; N];

    /// Fill a new object.
    fn fill(object: &Bound<'_, Self>, arguments: Arguments<'_, N>) -> PyResult<()>;
}

/// Let a class be called that way, and its `__new__` be that of `T`.
pub(super) fn install<T: Construct<N>, const N: usize>(class: &Bound<'_, PyType>) {
    // SAFETY: the reference keeps the class alive, the interpreter is attached, and the slot is read by `type` alone.
    unsafe { (*class.as_type_ptr()).tp_vectorcall = Some(vectorcall::<T, N>) };
}

/// What the interpreter calls.
extern "C" fn vectorcall<T: Construct<N>, const N: usize>(
    class: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    flags: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    Python::attach(|py| {
        let result = catch_unwind(AssertUnwindSafe(|| {
            call::<T, N>(py, class, arguments, flags, names)
        }));
        match result.unwrap_or_else(|_| Err(PyRuntimeError::new_err("panic in a constructor"))) {
            Ok(object) => object.into_ptr(),
            Err(error) => {
                error.restore(py);
                std::ptr::null_mut()
            }
        }
    })
}

/// The same for Rust.
fn call<T: Construct<N>, const N: usize>(
    py: Python<'_>,
    class: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    flags: usize,
    names: *mut ffi::PyObject,
) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the interpreter passes the class that is called, which it keeps alive.
    let class = unsafe { Borrowed::from_ptr(py, class) };
    // SAFETY: only classes have this function.
    let class = unsafe { class.cast_unchecked::<PyType>() };
    // SAFETY: null or an object that the interpreter keeps alive.
    let names = unsafe { Borrowed::from_ptr_or_opt(py, names) };
    let stack = Stack {
        arguments,
        // SAFETY: it only takes a flag away.
        positional: unsafe { ffi::PyVectorcall_NARGS(flags) }.cast_unsigned(),
        // SAFETY: of names, it is a tuple.
        names: names.map(|names| unsafe { names.cast_unchecked::<PyTuple>() }),
    };
    match construct::<T, N>(&class, &stack)? {
        Some(object) => Ok(object),
        None => stack.call_type(&class),
    }
}

/// The arguments as the interpreter passes them: positional ones, then one for each name.
struct Stack<'a, 'py> {
    arguments: *const *mut ffi::PyObject,
    positional: usize,
    names: Option<Borrowed<'a, 'py, PyTuple>>,
}

impl<'py> Stack<'_, 'py> {
    /// Arguments from `start` on.
    fn from(&self, py: Python<'py>, start: usize) -> impl Iterator<Item = Bound<'py, PyAny>> {
        let named = self.names.map_or(0, |names| names.len());
        let arguments = self.arguments;
        (start..self.positional + named).map(move |index| {
            // SAFETY: below the number of arguments.
            let place = unsafe { arguments.add(index) };
            // SAFETY: as above; there is one at each place.
            let argument = unsafe { *place };
            // SAFETY: whoever calls keeps the arguments alive.
            unsafe { Borrowed::from_ptr(py, argument) }.to_owned()
        })
    }

    /// Do what the class would do without this module.
    fn call_type(&self, class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
        let py = class.py();
        let positional: Vec<_> = self.from(py, 0).take(self.positional).collect();
        let positional = PyTuple::new(py, positional)?;
        let named = PyDict::new(py);
        if let Some(names) = self.names {
            for (name, argument) in names.iter().zip(self.from(py, self.positional)) {
                named.set_item(name, argument)?;
            }
        }
        // SAFETY: `type` has it, and it is made when the interpreter starts.
        let call = unsafe { ffi::PyType_Type.tp_call };
        let call = call.ok_or_else(|| PyRuntimeError::new_err("type has no tp_call"))?;
        // SAFETY: a class, a tuple and a dict, as the slot wants them.
        let object = unsafe { call(class.as_ptr(), positional.as_ptr(), named.as_ptr()) };
        // SAFETY: a new reference or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(py, object) }
    }
}

/// What makes the objects of a class, if `__new__` and `__init__` are those of another one.
fn maker(class: &Bound<'_, PyType>, other: &Bound<'_, PyType>) -> Option<ffi::newfunc> {
    let (class, other) = (class.as_type_ptr(), other.as_type_ptr());
    // SAFETY: the reference keeps the class alive.
    let init = unsafe { (*class).tp_init }?;
    // SAFETY: as above.
    let other_init = unsafe { (*other).tp_init }?;
    // SAFETY: as above.
    let new = unsafe { (*class).tp_new }?;
    // SAFETY: as above.
    let other_new = unsafe { (*other).tp_new }?;
    let same = init as usize == other_init as usize && new as usize == other_new as usize;
    same.then_some(new)
}

/// Make an object and fill it, unless that is not ours to do or something is wrong with the arguments.
fn construct<'py, T: Construct<N>, const N: usize>(
    class: &Bound<'py, PyType>,
    stack: &Stack<'_, 'py>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = class.py();
    let Some(make) = maker(class, &py.get_type::<T>()) else {
        return Ok(None);
    };
    let Some(arguments) = parse::<T, N>(py, stack)? else {
        return Ok(None);
    };
    let empty = PyTuple::empty(py);
    // SAFETY: a class whose `__new__` this is, a tuple, and no dict, as the slot wants them.
    let object = unsafe { make(class.as_type_ptr(), empty.as_ptr(), std::ptr::null_mut()) };
    // SAFETY: a new reference or null with an exception set.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, object)? };
    // SAFETY: `__new__` of `T` makes objects of `T` or of a class below it.
    T::fill(unsafe { object.cast_unchecked::<T>() }, arguments)?;
    Ok(Some(object))
}

/// Sort the arguments, if they fit the parameters.
fn parse<'py, T: Construct<N>, const N: usize>(
    py: Python<'py>,
    stack: &Stack<'_, 'py>,
) -> PyResult<Option<Arguments<'py, N>>> {
    let mut sorted = [const { None }; N];
    if stack.positional > N {
        return Ok(None);
    }
    let mut arguments = stack.from(py, 0);
    for (place, argument) in sorted
        .iter_mut()
        .zip(arguments.by_ref().take(stack.positional))
    {
        *place = Some(argument);
    }
    let Some(names) = stack.names else {
        return Ok(Some(sorted));
    };
    for (name, argument) in names.iter().zip(arguments) {
        // SAFETY: the interpreter passes names as strings.
        let name = unsafe { name.cast_unchecked::<PyString>() }.to_str()?;
        let place = T::PARAMETERS
            .iter()
            .position(|parameter| *parameter == name);
        match place.and_then(|place| sorted.get_mut(place)) {
            Some(place) if place.is_none() => *place = Some(argument),
            _ => return Ok(None),
        }
    }
    Ok(Some(sorted))
}
