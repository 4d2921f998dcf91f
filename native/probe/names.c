#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include "names.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "frames.h"

void *_Unwind_FindEnclosingFunction(void *);

static int add(PyObject *list, const char *name, void *function) {
    if (!function) return 0;
    PyObject *row = Py_BuildValue("(sK)", name, (unsigned long long)(uintptr_t)function);
    int status = row ? PyList_Append(list, row) : -1;
    Py_XDECREF(row);
    return status;
}

static int add_type(PyObject *list, const PyTypeObject *type) {
    const struct {
        const char *name;
        void *function;
    } slots[] = {
        {"__new__", (void *)type->tp_new},          {"__init__", (void *)type->tp_init},
        {"__del__", (void *)type->tp_dealloc},      {"__repr__", (void *)type->tp_repr},
        {"__str__", (void *)type->tp_str},          {"__call__", (void *)type->tp_call},
        {"__hash__", (void *)type->tp_hash},        {"__iter__", (void *)type->tp_iter},
        {"__next__", (void *)type->tp_iternext},    {"__getattribute__", (void *)type->tp_getattro},
        {"__setattr__", (void *)type->tp_setattro}, {"__eq__", (void *)type->tp_richcompare},
    };
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        if (add(list, slots[i].name, slots[i].function) != 0) return -1;
    const PyMappingMethods *mapping = type->tp_as_mapping;
    const PySequenceMethods *sequence = type->tp_as_sequence;
    if (mapping && add(list, "__getitem__", (void *)mapping->mp_subscript) != 0) return -1;
    if (mapping && add(list, "__setitem__", (void *)mapping->mp_ass_subscript) != 0) return -1;
    if (sequence && add(list, "__getitem__", (void *)sequence->sq_item) != 0) return -1;
    if (sequence && add(list, "__contains__", (void *)sequence->sq_contains) != 0) return -1;
    return 0;
}

static const PyMethodDef *method_of(PyObject *object) {
    const char *kind = Py_TYPE(object)->tp_name;
    /* Cython's functions begin like those of Python. */
    if (PyCFunction_Check(object) || strstr(kind, "cython_function_or_method"))
        return ((PyCFunctionObject *)object)->m_ml;
    if (Py_IS_TYPE(object, &PyMethodDescr_Type) || Py_IS_TYPE(object, &PyClassMethodDescr_Type))
        return ((PyMethodDescrObject *)object)->d_method;
    return NULL;
}

PyObject *names_entries(PyObject *module, PyObject *object) {
    PyObject *list = PyList_New(0);
    int status = 0;
    (void)module;
    if (!list) return NULL;
    if (PyType_Check(object)) {
        status = add_type(list, (PyTypeObject *)object);
    } else {
        const PyMethodDef *method = method_of(object);
        if (method) status = add(list, method->ml_name ? method->ml_name : "", (void *)method->ml_meth);
    }
    if (status != 0) Py_CLEAR(list);
    return list;
}

PyObject *names_locate(PyObject *module, PyObject *address) {
    void *place = PyLong_AsVoidPtr(address);
    Dl_info info;
    struct link_map *library = NULL;
    (void)module;
    if (!place && PyErr_Occurred()) return NULL;
    if (!place || !dladdr1(place, &info, (void **)&library, RTLD_DL_LINKMAP) || !library) Py_RETURN_NONE;
    return Py_BuildValue("(sK)", library->l_name, (unsigned long long)((uintptr_t)place - library->l_addr));
}

PyObject *names_function_at(PyObject *module, PyObject *args) {
    int target;
    unsigned long long offset;
    Dl_info info;
    (void)module;
    if (!PyArg_ParseTuple(args, "iK", &target, &offset)) return NULL;
    if (target < 0) return Py_BuildValue("(is)", 0, "");
    uintptr_t address = frames_address((Site)(target + 1) << 48 | (Site)offset);
    /* One on, as a place is the last byte of a call, and what begins there is found by the byte after its begin. */
    void *start = address ? _Unwind_FindEnclosingFunction((void *)(address + 1)) : NULL;
    if (!start) return Py_BuildValue("(is)", 0, "");
    int exported = dladdr(start, &info) && info.dli_saddr == start && info.dli_sname;
    return Py_BuildValue("(Ks)", (unsigned long long)(uintptr_t)start, exported ? info.dli_sname : "");
}
