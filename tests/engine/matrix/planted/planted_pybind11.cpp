// One planted defect a function, and its clean twin.
#include <pybind11/pybind11.h>

namespace py = pybind11;

static double spin(double rounds) {
    volatile double x = 0;
    for (double i = 0; i < rounds; i++) x = x + i;
    return x;
}

static py::object ref_leak(py::object x) {
    x.inc_ref();
    return py::str(x);
}
static py::object clean_ref_leak(py::object x) { return py::str(x); }

static void ref_underflow(py::list items) {
    py::handle item = PyList_GetItem(items.ptr(), 0);
    item.dec_ref();
}
static void clean_ref_underflow(py::list items) {
    py::handle item = PyList_GetItem(items.ptr(), 0);
    item.inc_ref();
    item.dec_ref();
}

static py::object borrowed_return(py::list items) {
    return py::reinterpret_steal<py::object>(PyList_GetItem(items.ptr(), 0));
}
static py::object clean_borrowed_return(py::list items) {
    return py::reinterpret_borrow<py::object>(PyList_GetItem(items.ptr(), 0));
}

static py::object use_after_free(py::list items) {
    py::handle item = PyList_GetItem(items.ptr(), 0);
    PyList_SetSlice(items.ptr(), 0, 1, nullptr);
    return py::str(item);
}
static py::object clean_use_after_free(py::list items) {
    py::object item = items[0];
    PyList_SetSlice(items.ptr(), 0, 1, nullptr);
    return py::str(item);
}

static py::ssize_t buffer_not_released(py::object data) {
    Py_buffer view;
    if (PyObject_GetBuffer(data.ptr(), &view, PyBUF_SIMPLE) != 0) throw py::error_already_set();
    return view.len;
}
static py::ssize_t clean_buffer_not_released(py::buffer data) { return data.request().size; }

static py::object memory_leak(py::object x) {
    double *volatile block = new double[50];
    block[0] = 1.5;
    return x;
}
static py::object clean_memory_leak(py::object x) {
    double *volatile block = new double[50];
    block[0] = 1.5;
    delete[] block;
    return x;
}

static void fill(py::buffer data, py::ssize_t more) {
    py::buffer_info info = data.request(true);
    volatile double *p = static_cast<double *>(info.ptr);
    for (py::ssize_t i = 0; i < info.size + more; i++) p[i] = 1.5;
}
static void out_of_bounds(py::buffer data) { fill(data, 1); }
static void clean_out_of_bounds(py::buffer data) { fill(data, 0); }

static double gil_held(double rounds) { return spin(rounds); }
static double clean_gil_held(double rounds) {
    py::gil_scoped_release release;
    return spin(rounds);
}

static py::list gil_missing(py::object x) {
    py::list items;
    py::gil_scoped_release release;
    PyList_Append(items.ptr(), x.ptr());
    return items;
}
static py::list clean_gil_missing(py::object x) {
    py::list items;
    {
        py::gil_scoped_release release;
        spin(10);
    }
    PyList_Append(items.ptr(), x.ptr());
    return items;
}

static PyObject *raw_exception_contract(PyObject *, PyObject *) { return nullptr; }
static PyMethodDef exception_contract = {"exception_contract", raw_exception_contract, METH_O, nullptr};

static int crash(py::object) { return *reinterpret_cast<volatile int *>(8); }

#define BOTH(name) m.def(#name, &name), m.def("clean_" #name, &clean_##name)
PYBIND11_MODULE(planted_pybind11, m) {
    BOTH(ref_leak), BOTH(ref_underflow), BOTH(borrowed_return), BOTH(use_after_free), BOTH(buffer_not_released);
    BOTH(memory_leak), BOTH(out_of_bounds), BOTH(gil_held), BOTH(gil_missing);
    m.add_object("exception_contract", py::reinterpret_steal<py::object>(PyCFunction_New(&exception_contract, nullptr)));
    m.def("clean_exception_contract", [](py::object) { throw py::value_error("as asked"); });
    m.def("crash", &crash);
}
