"""The rule that a function returns NULL exactly when an exception is set, as others complain that it was broken."""

from __future__ import annotations

import re

# Of a function, of a slot, of a module's init, and of a C++ exception that stands for Python's.
_COMPLAINTS = {
    "SystemError": re.compile(
        "returned NULL without setting an exception|returned a result with an exception set"
        "|error return without exception set"
        r"|(?:initialization|creation|execution) of (?:module )?\S+ failed without (?:raising|setting) an exception"
        r"|(?:initialization|creation|execution) of (?:module )?\S+ raised unreported exception"
    ),
    "RuntimeError": re.compile("pybind11::error_already_set called while Python error indicator not set"),
}


def complaint(exception: str) -> str:
    """What `Name: text` of an exception says of NULL and exceptions that do not go together; empty: nothing."""
    kind, _, text = exception.partition(":")
    pattern = _COMPLAINTS.get(kind)
    match = pattern.search(text) if pattern else None
    return match.group(0) if match else ""
