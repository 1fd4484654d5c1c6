# SPDX-License-Identifier: Apache-2.0
"""Tune: from vectors, queries and a goal to a recipe that was measured.

The room is called as well: ``vl.tune(X, recall=0.95)`` is `vectorloom.tune.search.tune`.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectorloom.tune.goals import UnmetGoalsError
    from vectorloom.tune.pipeline import Pipeline
    from vectorloom.tune.plan import Plan
    from vectorloom.tune.recipe import Recipe

_HERE = "vectorloom.tune"

# Public name -> module; imported at first use.
_LAZY: dict[str, str] = {
    "Pipeline": f"{_HERE}.pipeline",
    "Plan": f"{_HERE}.plan",
    "Recipe": f"{_HERE}.recipe",
    "UnmetGoalsError": f"{_HERE}.goals",
}

__all__ = ["Pipeline", "Plan", "Recipe", "UnmetGoalsError"]


class _Room(types.ModuleType):  # its __doc__ is that of what is called
    # Whichever part of the room is imported first, `vl.tune` is this module, and can be called.
    def __call__(self, *args: Any, **kwargs: Any) -> Plan:
        from vectorloom.tune.search import tune

        return tune(*args, **kwargs)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        from vectorloom.tune.search import tune

        return tune.__doc__

    @property
    def __signature__(self) -> inspect.Signature:
        from vectorloom.tune.search import tune

        return inspect.signature(tune)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {_HERE!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


sys.modules[__name__].__class__ = _Room
# `vectorloom.open` finds what reads the files of a room by importing the room.
for _reader in ("pipeline", "plan"):
    importlib.import_module(f"{_HERE}.{_reader}")
