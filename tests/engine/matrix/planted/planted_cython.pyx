# cython: language_level=3, boundscheck=False, wraparound=False
"""One planted defect a function, and its clean twin."""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.list cimport PyList_GET_ITEM
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdlib cimport free, malloc

cdef extern from *:
    """
    static PyObject *nothing(void) { return NULL; }
    static void append_anyway(PyObject *list, PyObject *item) { PyList_Append(list, item); }
    static double spin(double rounds) { volatile double x = 0; for (double i = 0; i < rounds; i++) x += i; return x; }
    """
    object nothing()
    void append_anyway(PyObject *items, PyObject *item) nogil
    double spin(double rounds) nogil


def ref_leak(x):
    Py_INCREF(x)
    return str(x)

def clean_ref_leak(x):
    return str(x)

def ref_underflow(list items):
    cdef object item = items[0]
    Py_DECREF(item)

def clean_ref_underflow(list items):
    cdef object item = items[0]
    Py_INCREF(item)
    Py_DECREF(item)

def use_after_free(list items):
    cdef PyObject *item = <PyObject *>PyList_GET_ITEM(items, 0)
    items[:] = []
    return str(<object>item)

def clean_use_after_free(list items):
    cdef object item = items[0]
    items[:] = []
    return str(item)

def buffer_not_released(data):
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    return view.len

def clean_buffer_not_released(data):
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return view.len
    finally:
        PyBuffer_Release(&view)

def memory_leak(x):
    cdef char *block = <char *>malloc(400)
    if block == NULL:
        raise MemoryError
    block[0] = 1
    return x

def clean_memory_leak(x):
    cdef char *block = <char *>malloc(400)
    if block == NULL:
        raise MemoryError
    block[0] = 1
    free(block)
    return x

def out_of_bounds(double[::1] data):
    cdef Py_ssize_t i
    for i in range(data.shape[0] + 1):
        data[i] = 1.5

def clean_out_of_bounds(double[::1] data):
    cdef Py_ssize_t i
    for i in range(data.shape[0]):
        data[i] = 1.5

def gil_held(double rounds):
    return spin(rounds)

def clean_gil_held(double rounds):
    cdef double x
    with nogil:
        x = spin(rounds)
    return x

def gil_missing(x):
    cdef list items = []
    cdef PyObject *raw = <PyObject *>items
    cdef PyObject *item = <PyObject *>x
    with nogil:
        append_anyway(raw, item)
    return items

def clean_gil_missing(x):
    cdef list items = []
    cdef PyObject *raw = <PyObject *>items
    cdef PyObject *item = <PyObject *>x
    with nogil:
        with gil:
            append_anyway(raw, item)
    return items

def exception_contract(x):
    return nothing()

def clean_exception_contract(x):
    raise ValueError(x)

def crash(x):
    cdef volatile int *nowhere = <int *>8
    return nowhere[0]
