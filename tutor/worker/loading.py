"""Loading what a build made; what goes wrong there becomes a finding."""

from __future__ import annotations

import ctypes
import importlib
import importlib.machinery
import importlib.util
import re
import sys
from typing import Any

from tutor.core.finding import Finding
from tutor.core.protocol import Artifact
from tutor.worker.defects import Defects
from tutor.worker.places import learner_file


def load(artifact: Artifact) -> Any:
    """The extension module, ctypes.CDLL, torch.ops namespace or Python module of an artifact.

    Raises Defects (code `build`, or `exception-contract` for a broken module init) when it can't be loaded.
    """
    __tracebackhide__ = True
    try:
        return _LOADERS[artifact.kind](artifact)
    except Defects:
        raise
    except SyntaxError as error:
        raise Defects(_syntax_finding(artifact, error)) from error
    except SystemError as error:
        raise Defects(Finding("exception-contract", f"loading {artifact.module}: {error}")) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise Defects(Finding("build", f"{artifact.module} can't be loaded: {explain_load(str(error))}")) from error


def _load_extension(artifact: Artifact) -> Any:
    loader = importlib.machinery.ExtensionFileLoader(artifact.module, artifact.path)
    spec = importlib.util.spec_from_file_location(artifact.module, artifact.path, loader=loader)
    if spec is None:
        raise ImportError(f"{artifact.path} is no extension module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[artifact.module] = module
    loader.exec_module(module)
    return module


def _load_library(artifact: Artifact) -> Any:
    return ctypes.CDLL(artifact.path)


def _load_torch(artifact: Artifact) -> Any:
    import torch

    torch.ops.load_library(artifact.path)
    return getattr(torch.ops, artifact.module)


def _load_python(artifact: Artifact) -> Any:
    return importlib.import_module(artifact.module)


_LOADERS = {
    "extension": _load_extension,
    "library": _load_library,
    "torch": _load_torch,
    "python": _load_python,
}


def explain_load(text: str) -> str:
    """The dynamic loader's message in words a learner can act on."""
    if match := re.search(r"undefined symbol: (\S+)", text):
        return f"undefined symbol {match.group(1)}: declared and called, but defined nowhere and in no linked library"
    if match := re.search(r"does not define module export function \((\w+)\)", text):
        return f"it has no function {match.group(1)}: the module's init function must bear the module's name"
    if match := re.search(r"(\S+): cannot open shared object file", text):
        return f"the shared library {match.group(1)} was not found"
    return text


def _syntax_finding(artifact: Artifact, error: SyntaxError) -> Finding:
    name = learner_file(artifact, error.filename or "")
    return Finding("build", f"syntax error: {error.msg}", name or "", error.lineno if name else None)
