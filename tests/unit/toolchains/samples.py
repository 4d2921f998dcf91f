"""A good source for every toolchain, what its loaded module must say, and broken ones with the line to name."""

from __future__ import annotations

C_LIBRARY = """#include <stddef.h>
double total(const double *x, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += x[i];
    return s;
}
"""

VIEW_HPP = """#pragma once
template <class T> struct View {
    T *data;
    int n;
    T sum() const { T s{}; for (int i = 0; i < n; i++) s += data[i]; return s; }
};
"""

VIEW_CPP = """#include "view.hpp"
extern "C" double view_sum(double *data, int n) {
    View<double> v{data, n};
    return v.sum();
}
"""

CEXT = """#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *answer(PyObject *self, PyObject *arg) {
    long n = PyLong_AsLong(arg);
    if (n == -1 && PyErr_Occurred()) return NULL;
    return PyLong_FromLong(n + 1);
}

static PyObject *nothing(PyObject *self, PyObject *arg) {
    int used = 1;
    (void)used;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"answer", answer, METH_O, ""}, {"nothing", nothing, METH_O, ""}, {NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "one", NULL, -1, methods};
PyMODINIT_FUNC PyInit_one(void) { return PyModule_Create(&definition); }
"""

CYTHON = """def total(double[:] x):
    cdef double s = 0
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        s += x[i]
    return s
"""

PYBIND = """#include <pybind11/pybind11.h>

int add(int a, int b) { return a + b; }

PYBIND11_MODULE(two, m) {
    m.def("add", &add);
}
"""

CFFI_BUILD = '''from cffi import FFI

ffibuilder = FFI()
ffibuilder.cdef("""
int twice(int x);
""")
ffibuilder.set_source("_three", """
static int twice(int x) {
    return 2 * x;
}
""")
'''

CARGO_TOML = """[package]
name = "four"
version = "0.1.0"
edition = "2021"

[lib]
crate-type = ["cdylib"]
"""

CARGO_LOCK = """version = 3

[[package]]
name = "four"
version = "0.1.0"
"""

RUST = """#[no_mangle]
pub extern "C" fn count(n: i32) -> i32 {
    let text = String::from("ab");
    n + text.len() as i32
}
"""

STABLE = """#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>

using torch::stable::Tensor;

Tensor same(const Tensor &x) {
    return x;
}

STABLE_TORCH_LIBRARY(five, m) {
    m.def("same(Tensor x) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(five, CompositeExplicitAutograd, m) {
    m.impl("same", TORCH_BOX(&same));
}
"""

CUDA_KERNEL = """__global__ void scale(float *x, float by, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] *= by;
}

void launch_scale(float *x, float by, int n) {
    scale<<<(n + 255) / 256, 256>>>(x, by, n);
}
"""

CUDA_MODULE = """#include <Python.h>
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "seven", "scale by the C API", -1};
PyMODINIT_FUNC PyInit_seven() {
    return PyModule_Create(&module);
}
"""

CUDA_BINDING = """#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>

void launch_scale(float *x, float by, int n);

void scale_(torch::stable::Tensor x, double by) {
    launch_scale(static_cast<float *>(x.mutable_data_ptr()), (float)by, (int)x.numel());
}

STABLE_TORCH_LIBRARY(six, m) {
    m.def("scale_(Tensor(a!) x, float by) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(six, CUDA, m) {
    m.impl("scale_", TORCH_BOX(&scale_));
}
"""


def swapped(text: str, old: str, new: str) -> str:
    """The sample with one mistake planted."""
    assert text.count(old) == 1, (old, text.count(old))
    return text.replace(old, new)


def line_of(text: str, part: str) -> int:
    """1-based number of the only line with `part`."""
    lines = [number for number, line in enumerate(text.splitlines(), 1) if part in line]
    assert len(lines) == 1, (part, lines)
    return lines[0]
