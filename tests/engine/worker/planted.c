/* Planted defects, each beside its clean twin: the tests of the worker look for the former and for silence on the latter. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include <string.h>

static PyObject *add(PyObject *self, PyObject *args) {
    long a, b;
    if (!PyArg_ParseTuple(args, "ll", &a, &b)) return NULL;
    return PyLong_FromLong(a + b);
}

static PyObject *touch_null(PyObject *self, PyObject *args) {
    printf("printed before");
    volatile int *nothing = NULL;
    *nothing = 1; /* HERE touch_null */
    Py_RETURN_NONE;
}

static PyObject *give_up(PyObject *self, PyObject *args) {
    abort(); /* HERE give_up */
}

static PyObject *spin(PyObject *self, PyObject *args) {
    for (volatile long i = 0;; i++) {
    }
    Py_RETURN_NONE;
}

static PyObject *hog(PyObject *self, PyObject *args) {
    for (int i = 0; i < 100000; i++) {
        char *block = malloc(1 << 20);
        if (block) memset(block, 1, 1 << 20);
    }
    Py_RETURN_NONE;
}

static PyObject *no_exception(PyObject *self, PyObject *args) {
    return NULL;
}

/* ---- references ---- */

static PyObject *first_clean(PyObject *self, PyObject *list) {
    PyObject *item = PyList_GetItem(list, 0);
    Py_XINCREF(item);
    return item;
}

static PyObject *first_borrowed(PyObject *self, PyObject *list) {
    return PyList_GetItem(list, 0);
}

static PyObject *first_leaks(PyObject *self, PyObject *list) {
    PyObject *item = PyList_GetItem(list, 0);
    Py_XINCREF(item);
    Py_XINCREF(item);
    return item;
}

static PyObject *drop_argument(PyObject *self, PyObject *list) {
    Py_DECREF(list);
    return PyLong_FromLong(100000);
}

static PyObject *copy_clean(PyObject *self, PyObject *list) {
    Py_ssize_t n = PyList_Size(list);
    PyObject *out = PyList_New(0);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *value = PyFloat_FromDouble(PyFloat_AsDouble(PyList_GetItem(list, i)) + 1);
        PyList_Append(out, value);
        Py_DECREF(value);
    }
    return out;
}

static PyObject *copy_leaks(PyObject *self, PyObject *list) {
    Py_ssize_t n = PyList_Size(list);
    PyObject *out = PyList_New(0);
    for (Py_ssize_t i = 0; i < n; i++) PyList_Append(out, PyFloat_FromDouble(PyFloat_AsDouble(PyList_GetItem(list, i)) + 1));
    return out;
}

static PyObject *lose_list(PyObject *self, PyObject *list) {
    PyObject *scratch = PyList_New(4);
    return PyLong_FromSsize_t(PyList_Size(scratch) + 1000);
}

/* ---- memory ---- */

static void *volatile kept;

static PyObject *malloc_leaks(PyObject *self, PyObject *args) {
    kept = malloc(100);
    Py_RETURN_NONE;
}

static PyObject *malloc_clean(PyObject *self, PyObject *args) {
    static void *once;
    if (!once) once = malloc(5000);
    kept = malloc(100);
    free((void *)kept);
    Py_RETURN_NONE;
}

/* ---- buffers ---- */

static PyObject *sum_with(PyObject *args, int extra, int write) {
    Py_buffer view;
    double total = 0;
    if (!PyArg_ParseTuple(args, "y*", &view)) return NULL;
    volatile double *values = view.buf;
    for (Py_ssize_t i = 0; i < view.len / 8 + extra; i++) {
        total += values[i]; /* HERE sum_with */
    }
    if (write) values[view.len / 8] = total;
    PyBuffer_Release(&view);
    return PyFloat_FromDouble(total);
}

static PyObject *sum_clean(PyObject *self, PyObject *args) { return sum_with(args, 0, 0); }
static PyObject *sum_past(PyObject *self, PyObject *args) { return sum_with(args, 1, 0); }
static PyObject *write_past(PyObject *self, PyObject *args) { return sum_with(args, 0, 1); }

/* ---- GIL ---- */

static double work(long rounds) {
    volatile double x = 1;
    for (long i = 0; i < rounds; i++) x = x * 1.0000001;
    return x;
}

static PyObject *work_held(PyObject *self, PyObject *rounds) {
    return PyFloat_FromDouble(work(PyLong_AsLong(rounds)));
}

static PyObject *work_released(PyObject *self, PyObject *rounds) {
    long n = PyLong_AsLong(rounds);
    double x;
    Py_BEGIN_ALLOW_THREADS x = work(n);
    Py_END_ALLOW_THREADS return PyFloat_FromDouble(x);
}

static PyMethodDef methods[] = {
    {"add", add, METH_VARARGS, ""},
    {"touch_null", touch_null, METH_NOARGS, ""},
    {"give_up", give_up, METH_NOARGS, ""},
    {"spin", spin, METH_NOARGS, ""},
    {"hog", hog, METH_NOARGS, ""},
    {"no_exception", no_exception, METH_NOARGS, ""},
    {"first_clean", first_clean, METH_O, ""},
    {"first_borrowed", first_borrowed, METH_O, ""},
    {"first_leaks", first_leaks, METH_O, ""},
    {"drop_argument", drop_argument, METH_O, ""},
    {"copy_clean", copy_clean, METH_O, ""},
    {"copy_leaks", copy_leaks, METH_O, ""},
    {"lose_list", lose_list, METH_O, ""},
    {"malloc_leaks", malloc_leaks, METH_NOARGS, ""},
    {"malloc_clean", malloc_clean, METH_NOARGS, ""},
    {"sum_clean", sum_clean, METH_VARARGS, ""},
    {"sum_past", sum_past, METH_VARARGS, ""},
    {"write_past", write_past, METH_VARARGS, ""},
    {"work_held", work_held, METH_O, ""},
    {"work_released", work_released, METH_O, ""},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "planted", "", -1, methods};

PyMODINIT_FUNC PyInit_planted(void) { return PyModule_Create(&definition); }
