//! One planted defect a function, and its clean twin.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

fn spin(rounds: f64) -> f64 {
    let (mut x, mut i) = (0.0, 0.0);
    while i < rounds {
        x = std::hint::black_box(x + i);
        i += 1.0;
    }
    x
}

#[pyfunction]
fn ref_leak(x: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyString>> {
    std::mem::forget(x.clone());
    x.str()
}
#[pyfunction]
fn clean_ref_leak(x: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyString>> {
    x.str()
}

#[pyfunction]
fn ref_underflow(items: &Bound<'_, PyList>) {
    unsafe { ffi::Py_DECREF(ffi::PyList_GetItem(items.as_ptr(), 0)) }
}
#[pyfunction]
fn clean_ref_underflow(items: &Bound<'_, PyList>) -> PyResult<()> {
    items.get_item(0).map(drop)
}

#[pyfunction]
fn borrowed_return<'py>(py: Python<'py>, items: &Bound<'py, PyList>) -> Bound<'py, PyAny> {
    unsafe { Bound::from_owned_ptr(py, ffi::PyList_GetItem(items.as_ptr(), 0)) }
}
#[pyfunction]
fn clean_borrowed_return<'py>(items: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>> {
    items.get_item(0)
}

#[pyfunction]
fn buffer_not_released(data: &Bound<'_, PyAny>) -> PyResult<usize> {
    let view = PyBuffer::<u8>::get(data)?;
    let size = view.len_bytes();
    std::mem::forget(view);
    Ok(size)
}
#[pyfunction]
fn clean_buffer_not_released(data: &Bound<'_, PyAny>) -> PyResult<usize> {
    Ok(PyBuffer::<u8>::get(data)?.len_bytes())
}

#[pyfunction]
fn memory_leak(x: f64) -> f64 {
    let block = std::hint::black_box(vec![x; 50]);
    let first = block[0];
    std::mem::forget(block);
    first
}
#[pyfunction]
fn clean_memory_leak(x: f64) -> f64 {
    std::hint::black_box(vec![x; 50])[0]
}

fn fill(data: &Bound<'_, PyAny>, more: usize) -> PyResult<()> {
    let view = PyBuffer::<f64>::get(data)?;
    let start = view.buf_ptr() as *mut f64;
    for i in 0..view.item_count() + more {
        unsafe { start.add(i).write_volatile(1.5) }
    }
    Ok(())
}
#[pyfunction]
fn out_of_bounds(data: &Bound<'_, PyAny>) -> PyResult<()> {
    fill(data, 1)
}
#[pyfunction]
fn clean_out_of_bounds(data: &Bound<'_, PyAny>) -> PyResult<()> {
    fill(data, 0)
}

#[pyfunction]
fn gil_held(rounds: f64) -> f64 {
    spin(rounds)
}
#[pyfunction]
fn clean_gil_held(py: Python<'_>, rounds: f64) -> f64 {
    py.detach(|| spin(rounds))
}

#[pyfunction]
fn clean_exception_contract(_x: &Bound<'_, PyAny>) -> PyResult<()> {
    Err(PyValueError::new_err("as asked"))
}

#[pyfunction]
fn crash(_x: &Bound<'_, PyAny>) -> i32 {
    unsafe { (std::hint::black_box(8usize) as *const i32).read_volatile() }
}

#[pymodule]
mod planted_pyo3 {
    #[pymodule_export]
    use super::{
        borrowed_return, buffer_not_released, clean_borrowed_return, clean_buffer_not_released,
        clean_exception_contract, clean_gil_held, clean_memory_leak, clean_out_of_bounds, clean_ref_leak,
        clean_ref_underflow, crash, gil_held, memory_leak, out_of_bounds, ref_leak, ref_underflow,
    };
}
