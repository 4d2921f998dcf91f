#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *total(PyObject *self, PyObject *list)
{
    (void)self;
    double value = 0.0;
    // @gap
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        value += PyFloat_AsDouble(PyList_GET_ITEM(list, i));
    // @end
    return PyFloat_FromDouble(value);
}

static PyMethodDef methods[] = {{"total", total, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "add", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_add(void)
{
    return PyModule_Create(&module);
}
