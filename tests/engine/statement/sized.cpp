// A module in C++ that has the sized form of delete from own_delete.cpp.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct Part {
    double numbers[500];
};

static Part *volatile last;

static PyObject *keep(PyObject *, PyObject *arg) {
    last = new Part();  // MARK keep
    return Py_NewRef(arg);
}

static PyObject *give_back(PyObject *, PyObject *arg) {
    last = new Part();
    delete last;
    return Py_NewRef(arg);
}

static PyMethodDef methods[] = {
    {"keep", keep, METH_O, nullptr}, {"give_back", give_back, METH_O, nullptr}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "sized", nullptr, -1, methods};

PyMODINIT_FUNC PyInit_sized() {
    return PyModule_Create(&definition);
}
