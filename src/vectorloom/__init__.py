# SPDX-License-Identifier: Apache-2.0
"""Learn, compress, index, tune, align, measure, explore and serve vector representations."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vectorloom.errors import (
    CapacityError,
    DependencyError,
    FormatError,
    InternalError,
    NotFittedError,
    ParameterError,
    ShapeError,
    VectorloomError,
)

if TYPE_CHECKING:
    from vectorloom import compress, index, io, learn, measure, select, store
    from vectorloom.index.dense.knn import knn_graph
    from vectorloom.index.estimate import estimate
    from vectorloom.index.hits import Hits
    from vectorloom.io import Vectors, read, write
    from vectorloom.io.container import open_any as open
    from vectorloom.learn.encode import encode
    from vectorloom.store.collection import Collection
    from vectorloom.store.opening import collection
    from vectorloom.tune.recipe import Recipe
    from vectorloom.tune.search import tune

__version__ = "0.1.0"

# Public name -> (module, attribute); imported at first use, so `import vectorloom` stays quick.
_LAZY: dict[str, tuple[str, str | None]] = {
    "compress": ("vectorloom.compress", None),
    "index": ("vectorloom.index", None),
    "io": ("vectorloom.io", None),
    "learn": ("vectorloom.learn", None),
    "measure": ("vectorloom.measure", None),
    "select": ("vectorloom.select", None),
    "store": ("vectorloom.store", None),
    "tune": ("vectorloom.tune", None),  # a room that is called
    "Hits": ("vectorloom.index.hits", "Hits"),
    "Recipe": ("vectorloom.tune.recipe", "Recipe"),
    "Vectors": ("vectorloom.io", "Vectors"),
    "encode": ("vectorloom.learn.encode", "encode"),
    "collection": ("vectorloom.store.opening", "collection"),
    "Collection": ("vectorloom.store.collection", "Collection"),
    "estimate": ("vectorloom.index.estimate", "estimate"),
    "knn_graph": ("vectorloom.index.dense.knn", "knn_graph"),
    "open": ("vectorloom.io.container", "open_any"),
    "read": ("vectorloom.io", "read"),
    "write": ("vectorloom.io", "write"),
}

__all__ = [
    "CapacityError",
    "Collection",
    "DependencyError",
    "FormatError",
    "Hits",
    "InternalError",
    "NotFittedError",
    "ParameterError",
    "Recipe",
    "ShapeError",
    "VectorloomError",
    "Vectors",
    "collection",
    "compress",
    "encode",
    "estimate",
    "index",
    "io",
    "knn_graph",
    "learn",
    "measure",
    "open",
    "read",
    "select",
    "store",
    "tune",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'vectorloom' has no attribute {name!r}")
    module_name, attribute = _LAZY[name]
    value = importlib.import_module(module_name)
    if attribute is not None:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
