#define PY_SSIZE_T_CLEAN
#include <Python.h>

void *getter_get(size_t n);

static PyObject *keep(PyObject *self, PyObject *arg) {
    void *block = getter_get(4000); /* MARK keep */
    return block ? Py_NewRef(arg) : PyErr_NoMemory();
}

static PyObject *give_back(PyObject *self, PyObject *arg) {
    free(getter_get(4000));
    return Py_NewRef(arg);
}

static PyMethodDef methods[] = {
    {"keep", keep, METH_O, NULL}, {"give_back", give_back, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "caller", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_caller(void) {
    return PyModule_Create(&definition);
}
