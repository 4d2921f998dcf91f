#include "api.h"

#include <stddef.h>
#include <string.h>

typedef struct {
    const char *name; /* with a * at the end: all names that begin so */
    ApiFacts facts;
} Row;

#define NEW(name, objects)             \
    {                                  \
        name, {                        \
            objects, FAILS_NULL, PLAIN \
        }                              \
    }
#define STATUS(name, objects)           \
    {                                   \
        name, {                         \
            objects, FAILS_MINUS, PLAIN \
        }                               \
    }
#define SURE(name, objects)             \
    {                                   \
        name, {                         \
            objects, FAILS_NEVER, PLAIN \
        }                               \
    }
#define MEMORY(name)                     \
    {                                    \
        name, {                          \
            0, FAILS_SILENTLY, ALLOCATES \
        }                                \
    }

/* The first row that fits counts. Functions that steal are SURE: when they fail they release what they were given,
 * and a failure that only pretends would look like a leak. */
static const Row ROWS[] = {
    SURE("PyErr_SetObject", 2),
    SURE("PyErr_*", 0),
    NEW("PyList_New", 0),
    STATUS("PyList_Append", 2),
    STATUS("PyList_Insert", 3),
    SURE("PyList_SetItem", 3),
    STATUS("PyList_SetSlice", 4),
    STATUS("PyList_Sort", 1),
    NEW("PyList_AsTuple", 1),
    NEW("PyList_GetSlice", 1),
    NEW("PyList_GetItemRef", 1),
    NEW("PyTuple_New", 0),
    {"PyTuple_Pack", {6, FAILS_NULL, COUNTED}},
    SURE("PyTuple_SetItem", 3),
    NEW("PyTuple_GetSlice", 1),
    NEW("PyDict_New", 0),
    STATUS("PyDict_SetItemString", 3),
    STATUS("PyDict_SetItem", 3),
    NEW("PyDict_Copy", 1),
    STATUS("PyDict_Update", 2),
    STATUS("PyDict_Merge", 2),
    NEW("PyDict_Keys", 1),
    NEW("PyDict_Values", 1),
    NEW("PyDict_Items", 1),
    SURE("PyDict_Size", 1),
    SURE("PyDict_Next", 1),
    SURE("PyDict_Clear", 1),
    SURE("PyDict_*", 2),
    NEW("PySet_New", 1),
    STATUS("PySet_Add", 2),
    NEW("PyFrozenSet_New", 1),
    SURE("PySet_Size", 1),
    SURE("PySet_Pop", 1),
    SURE("PySet_Clear", 1),
    SURE("PySet_*", 2),
    NEW("PyLong_FromUnicodeObject", 1),
    NEW("PyLong_From*", 0),
    STATUS("PyLong_As*", 1),
    NEW("PyFloat_FromString", 1),
    NEW("PyFloat_From*", 0),
    NEW("PyComplex_From*", 0),
    NEW("PyBool_FromLong", 0),
    NEW("PyUnicode_FromObject", 1),
    NEW("PyUnicode_FromEncodedObject", 1),
    NEW("PyUnicode_From*", 0),
    NEW("PyUnicode_New", 0),
    NEW("PyUnicode_Decode*", 0),
    NEW("PyUnicode_Concat", 2),
    NEW("PyUnicode_Join", 2),
    NEW("PyUnicode_Split", 2),
    NEW("PyUnicode_As*", 1),
    NEW("PyBytes_FromObject", 1),
    NEW("PyBytes_From*", 0),
    NEW("PyByteArray_FromObject", 1),
    NEW("PyByteArray_From*", 0),
    NEW("PyMemoryView_FromObject", 1),
    NEW("PyObject_Str", 1),
    NEW("PyObject_Repr", 1),
    NEW("PyObject_GetAttrString", 1),
    NEW("PyObject_GetAttr", 2),
    NEW("PyObject_GetItem", 2),
    NEW("PyObject_GetIter", 1),
    NEW("PyObject_CallNoArgs", 1),
    NEW("PyObject_CallOneArg", 2),
    {"PyObject_CallFunctionObjArgs", {6, FAILS_NULL, ENDED}},
    {"PyObject_CallMethodObjArgs", {6, FAILS_NULL, ENDED}},
    NEW("PyObject_Call", 3),
    NEW("PyObject_CallObject", 2),
    NEW("PyObject_Call*", 1),
    NEW("PyObject_Vectorcall*", 1),
    STATUS("PyObject_SetAttrString", 3),
    STATUS("PyObject_SetAttr", 3),
    STATUS("PyObject_SetItem", 3),
    STATUS("PyObject_DelItem", 2),
    STATUS("PyObject_IsTrue", 1),
    STATUS("PyObject_Size", 1),
    STATUS("PyObject_Length", 1),
    STATUS("PyObject_Hash", 1),
    STATUS("PyObject_RichCompareBool", 2),
    NEW("PyObject_RichCompare", 2),
    STATUS("PyObject_IsInstance", 2),
    NEW("PyObject_Dir", 1),
    {"PyObject_GetBuffer", {1, FAILS_MINUS, GET_BUFFER}},
    {"PyBuffer_Release", {0, FAILS_NEVER, RELEASE_BUFFER}},
    SURE("PyBuffer_*", 0),
    MEMORY("PyObject_Malloc"),
    MEMORY("PyObject_Calloc"),
    {"PyObject_Realloc", {0, FAILS_NEVER, ALLOCATES}},
    MEMORY("PyMem_Malloc"),
    MEMORY("PyMem_Calloc"),
    {"PyMem_Realloc", {0, FAILS_NEVER, ALLOCATES}},
    SURE("PyMem_*", 0),
    SURE("PyObject_GenericGetAttr", 2),
    SURE("PyObject_HasAttr", 2),
    SURE("PyObject_Free", 0),
    SURE("PyObject_GC_Del", 0),
    SURE("PyObject_*", 1),
    NEW("PySequence_Fast", 1),
    NEW("PySequence_List", 1),
    NEW("PySequence_Tuple", 1),
    NEW("PySequence_GetItem", 1),
    NEW("PySequence_Concat", 2),
    NEW("PySequence_Repeat", 1),
    STATUS("PySequence_SetItem", 3),
    STATUS("PySequence_Size", 1),
    STATUS("PySequence_Length", 1),
    STATUS("PySequence_Contains", 2),
    STATUS("PyMapping_Size", 1),
    NEW("PyMapping_*", 1),
    STATUS("PyNumber_AsSsize_t", 1),
    SURE("PyNumber_Check", 1),
    SURE("PyIndex_Check", 1),
    NEW("PyNumber_Power", 3),
    NEW("PyNumber_Float", 1),
    NEW("PyNumber_Long", 1),
    NEW("PyNumber_Index", 1),
    NEW("PyNumber_Negative", 1),
    NEW("PyNumber_Positive", 1),
    NEW("PyNumber_Absolute", 1),
    NEW("PyNumber_Invert", 1),
    NEW("PyNumber_ToBase", 1),
    NEW("PyNumber_*", 2),
    SURE("PyIter_Next", 1),
    SURE("PyArg_*", 1),
    {"Py_BuildValue", {6, FAILS_NULL, FORMATTED}},
    NEW("Py_VaBuildValue", 0),
    SURE("PyModule_AddObject", 3),
    SURE("PyType_*", 1),
    /* Those without an integer argument leave in its register what was there before, perhaps a freed object. */
    SURE("PyGILState_*", 0),
    SURE("PyEval_*", 0),
    SURE("PyThreadState_*", 0),
    SURE("PyInterpreterState_*", 0),
    SURE("PyCapsule_New", 0),
    SURE("PyImport_*", 0),
    SURE("PySys_*", 0),
    SURE("PyState_*", 0),
    SURE("PyFloat_Get*", 0),
    SURE("PyFloat_Pack*", 0),
    SURE("PyFloat_Unpack*", 0),
    SURE("PyTime_*", 0),
    SURE("_PyTime_*", 0),
    SURE("_PyThreadState_*", 0),
    SURE("_PyInterpreterState_*", 0),
    SURE("Py_NewRef", 1),
    SURE("Py_IncRef", 1),
    SURE("Py_DecRef", 1),
    SURE("_Py_Dealloc", 1),
    SURE("Py_*", 0),
    SURE("_Py_*", 0),
};

static int fits(const char *pattern, const char *name) {
    size_t n = strlen(pattern);
    return pattern[n - 1] == '*' ? strncmp(pattern, name, n - 1) == 0 : strcmp(pattern, name) == 0;
}

ApiFacts api_facts(const char *name) {
    const ApiFacts unknown = {1, FAILS_NEVER, PLAIN};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        if (fits(ROWS[i].name, name)) return ROWS[i].facts;
    return unknown;
}

int api_needs_no_gil(const char *name) {
    static const char *const FREE[] = {
        "PyGILState_*",
        "PyMem_Raw*",
        "PyThread_*",
        "PyEval_SaveThread",
        "PyEval_RestoreThread",
        "PyEval_Acquire*",
        "PyThreadState_GetUnchecked",
        "_PyThreadState_Unchecked*",
        "PyInterpreterState_*",
        "Py_IsInitialized",
        "Py_IsFinalizing",
        "_Py_IsFinalizing",
        "Py_AddPendingCall",
        "PyOS_*",
        "PyMutex_*",
        "Py_FatalError",
        "_Py_FatalErrorFunc",
        "PyBuffer_IsContiguous",
        "PyBuffer_SizeFromFormat",
        "PyBuffer_GetPointer",
        "PyTraceMalloc_*",
        "Py_GetVersion",
        "PyThread*",
        /* for the time between fork() and exec() */
        "_Py_RestoreSignals",
        "_Py_set_inheritable_async_safe",
        "_Py_open_noraise",
        "_Py_write_noraise",
        "_Py_closerange",
        "_Py_fstat_noraise",
        "_PyTime_Get*",
    };
    for (size_t i = 0; i < sizeof FREE / sizeof *FREE; i++)
        if (fits(FREE[i], name)) return 1;
    return 0;
}
