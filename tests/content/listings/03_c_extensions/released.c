#define PY_SSIZE_T_CLEAN
#include <Python.h>

static long checksum(const unsigned char *bytes, Py_ssize_t count)
{
    long sum = 0;
    for (Py_ssize_t i = 0; i < count; i++) sum += bytes[i];
    return sum;
}

static PyObject *total(PyObject *self, PyObject *object)
{
    Py_buffer view;
    long crc;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0) return NULL;
    /* @listing 4 */
    PyBuffer_Release(&view);
    return PyLong_FromLong(crc);
}

static PyMethodDef methods[] = {{"total", total, METH_O, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "released", .m_methods = methods};
PyMODINIT_FUNC PyInit_released(void) { return PyModule_Create(&module); }
