# SPDX-License-Identifier: Apache-2.0
"""Choose few for many: clusterings and their centroids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectorloom.select.kmeans import KMeans

__all__ = ["KMeans"]


def __getattr__(name: str) -> Any:
    # At first use: KMeans derives from scikit-learn's classes, which take a second to import, and
    # the rooms above need only the neighbours.
    if name != "KMeans":
        raise AttributeError(f"module 'vectorloom.select' has no attribute {name!r}")
    from vectorloom.select.kmeans import KMeans

    globals()["KMeans"] = KMeans
    return KMeans


def __dir__() -> list[str]:
    return __all__
