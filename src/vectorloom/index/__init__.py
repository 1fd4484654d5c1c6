# SPDX-License-Identifier: Apache-2.0
"""Indexes: hold vectors, find the nearest ones."""

from __future__ import annotations

from vectorloom.index.exact import Exact
from vectorloom.index.hits import Hits, QueryHits, RangeHits
from vectorloom.index.ivf import IVF

__all__ = ["IVF", "Exact", "Hits", "QueryHits", "RangeHits"]
