# SPDX-License-Identifier: Apache-2.0
"""Measure: the geometry of vectors, two spaces side by side, and quality against truth."""

from __future__ import annotations

import importlib
from typing import Any

_HERE = "vectorloom.measure"

# Public name -> module; imported at first use.
_LAZY: dict[str, str] = {
    "Difference": f"{_HERE}.retrieval",
    "Evaluation": f"{_HERE}.retrieval",
    "bootstrap_interval": f"{_HERE}.significance",
    "evaluate_retrieval": f"{_HERE}.retrieval",
    "randomization_test": f"{_HERE}.significance",
    "read_qrels": f"{_HERE}.trec_files",
    "read_run": f"{_HERE}.trec_files",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'vectorloom.measure' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
