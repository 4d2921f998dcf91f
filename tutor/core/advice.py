"""For every finding code: the rule that was broken, and how to mend it. A sentence each, shown beside the finding."""

from __future__ import annotations

from msgspec import Struct


class Advice(Struct, frozen=True):
    """`rule`: what must hold. `fix`: what to do. `lesson`: the number of the lesson that teaches it, 0 for none."""

    rule: str
    fix: str
    lesson: int = 0

    @property
    def text(self) -> str:
        """Both sentences, and where to read on."""
        return f"{self.rule} {self.fix}" + (f" (lesson {self.lesson})" if self.lesson else "")


def advice(code: str) -> Advice:
    """The advice for a code. Raises KeyError for a code that is not in finding.CODES."""
    return _ADVICE[code]


_ADVICE = {
    "ref-leak": Advice(
        "Every new reference that you get is yours, and you must give it back or hand it on exactly once.",
        "Follow the object from the named line to every exit of the function: one lacks a Py_DECREF, or a call that "
        "takes its own reference (PyList_Append, PyDict_SetItem) was thought to steal yours.",
        3,
    ),
    "ref-underflow": Advice(
        "You may give back only a reference that is yours: a borrowed or already stolen one belongs to somebody else.",
        "Remove the extra Py_DECREF, or take a reference with Py_NewRef before a call that steals it.",
        3,
    ),
    "borrowed-return": Advice(
        "What a function returns or stores needs a reference of its own; a borrowed one ends with its owner.",
        "Return or store Py_NewRef(object).",
        3,
    ),
    "use-after-free": Advice(
        "After your Py_DECREF, free or delete the object may be gone, whoever else seems to hold it.",
        "Move the last use before it, hold a reference across a call that may run Python code, and let no two owners "
        "free the same memory.",
        3,
    ),
    "buffer-not-released": Advice(
        "Every PyObject_GetBuffer needs one PyBuffer_Release: until then the owner can't resize, close or free.",
        "Release on every path after a successful PyObject_GetBuffer, error paths too; in C++ let a destructor do it.",
        3,
    ),
    "memory-leak": Advice(
        "Memory of malloc, new or PyMem_Malloc lives until you free it, with the function that belongs to it.",
        "Free it on every way out of the function, or let an owner do it: std::vector or unique_ptr, a capsule's "
        "destructor, ffi.gc.",
        1,
    ),
    "out-of-bounds": Advice(
        "Only the elements 0 to n - 1 are yours; the byte after the last is anybody's, and reading it may crash.",
        "Check the loop's bound and the step: with strides they are the array's, not the element's size.",
        1,
    ),
    "gil-held": Advice(
        "While you hold the GIL no other Python thread runs, data loaders and servers included.",
        "Put the work that touches no Python object between Py_BEGIN_ALLOW_THREADS and Py_END_ALLOW_THREADS, or under "
        "`nogil` or gil_scoped_release.",
        3,
    ),
    "gil-missing": Advice(
        "Without the GIL no function of the Python API may be called and no reference count changed.",
        "Move the call out of the released region, or take the GIL for it (PyGILState_Ensure, `with gil`).",
        3,
    ),
    "data-race": Advice(
        "When two threads touch the same memory and one of them writes, nothing is promised about what is read.",
        "Give each thread a part of its own, and combine the parts when they have ended; or use a lock or an atomic.",
        7,
    ),
    "undefined": Advice(
        "Signed overflow, a misaligned object or a null dereference has no meaning: the optimiser assumes that it "
        "never happens and removes the code that would notice.",
        "Check before the operation, compute in an unsigned or wider type, round addresses up to the alignment.",
        1,
    ),
    "exception-contract": Advice(
        "A function returns NULL (or -1) exactly when it has set an exception.",
        "Set one (PyErr_SetString) before you return NULL, and return NULL at once when a call has set one.",
        3,
    ),
    "error-path": Advice(
        "Any call of the API can fail, an allocation too, and then everything taken so far must be given back.",
        "Check each result, and leave through one exit that releases what is held: Py_XDECREF takes NULL as well. In "
        "C++ do first what may throw, and change your object after it.",
        3,
    ),
    "type-leak": Advice(
        "An object of a heap type holds a reference to its type and owns its fields.",
        "In tp_dealloc release the fields, call tp_free, then Py_DECREF the type.",
        3,
    ),
    "gc-missing": Advice(
        "A type that can hold other objects must show them to the collector, or cycles through it are never freed.",
        "Add Py_TPFLAGS_HAVE_GC, tp_traverse that visits the type and every field, and tp_clear.",
        3,
    ),
    "layout": Advice(
        "An array is a pointer, a shape and strides, and few of the arrays that arrive are contiguous.",
        "Step by the strides you were given, or ask for a contiguous array and refuse or copy all others.",
        1,
    ),
    "dtype": Advice(
        "Bytes mean nothing without their type: the wrong one gives numbers, only not the right ones.",
        "Check the type (and the byte order) before you touch the data, and raise for those that you don't support.",
        4,
    ),
    "hidden-copy": Advice(
        "A view or an in-place operation needs no memory of the data's size.",
        "Work on the buffer that you were given; look for a contiguous(), a forcecast or a temporary that copies it.",
        6,
    ),
    "lifetime": Advice(
        "Memory that you hand out must live as long as whoever may look at it.",
        "Tie the result to its owner: a base object, keep_alive, a capsule, a reference that is kept.",
        6,
    ),
    "schema": Advice(
        "The schema is a promise about what is mutated and what is returned as an alias; compilers rely on it.",
        "Write (a!) for what you change and (a) for what you alias, or stop doing it.",
        7,
    ),
    "fake-kernel": Advice(
        "Under torch.compile the fake kernel stands in for the real one: shape, strides, dtype and device must agree.",
        "Register one (torch.library.register_fake) that makes an empty result of exactly the same kind.",
        7,
    ),
    "autograd-registration": Advice(
        "An operator without an autograd formula either drops gradients silently or breaks under tracing.",
        "Register the backward with torch.library.register_autograd, not inside the kernel.",
        7,
    ),
    "gradient": Advice(
        "The backward must be the derivative of the forward, for every input that needs one.",
        "Derive it for one element on paper, then look at broadcasting, at what was saved, and at strided gradients.",
        7,
    ),
    "wrong-result": Advice(
        "The result must equal the reference for every input that the task allows.",
        "Run the smallest failing input of the message by hand, and compare it step by step.",
    ),
    "numerics": Advice(
        "Floating-point sums depend on their order, and small terms vanish beside large ones.",
        "Accumulate in a wider type or in blocks, subtract the maximum before exp, and don't build with -ffast-math.",
        1,
    ),
    "cuda-stream": Advice(
        "A kernel must run on PyTorch's current stream, or it races with the work before and after it.",
        "Launch on at::cuda::getCurrentCUDAStream(), and guard the device of the input.",
        7,
    ),
    "cuda-race": Advice(
        "Threads of a block see what others wrote to shared memory only after a barrier.",
        "Put __syncthreads() between writing and reading, on a path that every thread of the block takes.",
        7,
    ),
    "cuda-memcheck": Advice(
        "A thread past the end of the data touches memory of others: the grid is larger than the array.",
        "Return early when the index is not below n, and compute the index in 64 bits.",
        7,
    ),
    "crash": Advice(
        "Native code has no safety net: a wild pointer, a failed assert or a division by zero ends the process.",
        "Start at the named line, and ask which pointer, index or size there can be wrong.",
        1,
    ),
    "timeout": Advice(
        "A check must end within the time limit of its exercise.",
        "Look for a loop whose end is never reached, a lock that is held, or an algorithm of the wrong order.",
    ),
    "output-flood": Advice(
        "Only the first megabyte that a check prints is kept.",
        "Take the print out of the loop.",
    ),
    "out-of-memory": Advice(
        "A check has a memory limit, far above what a right solution needs.",
        "Look for a size that is computed wrongly (a negative number as size_t) or memory that is never freed.",
        1,
    ),
    "forbidden": Advice(
        "Your code and what judges it run in one process: it may not end, patch or re-point what is around it.",
        "Remove the call that the message names; a check can be passed only by a right result.",
    ),
    "build": Advice(
        "The first error counts; those that follow are often its echo.",
        "Mend the named line and save again.",
    ),
    "slow": Advice(
        "The target is what a plain right solution reaches on any machine, measured beside its baseline.",
        "Look at what happens per element: a Python object, an allocation, a copy or a cache miss in the inner loop.",
    ),
}
