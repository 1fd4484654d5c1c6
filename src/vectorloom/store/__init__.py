# SPDX-License-Identifier: Apache-2.0
"""Collections on disk: vectors with ids, payloads and texts that survive what happens to them."""

from __future__ import annotations

from vectorloom.store.collection import Collection
from vectorloom.store.encoder import Encoder
from vectorloom.store.lock import LockedError
from vectorloom.store.opening import collection
from vectorloom.store.points import PointHits, Points
from vectorloom.store.repairing import repair
from vectorloom.store.snapshots import restore, switch_alias
from vectorloom.store.verification import Problem, Report, verify

__all__ = [
    "Collection",
    "Encoder",
    "LockedError",
    "PointHits",
    "Points",
    "Problem",
    "Report",
    "collection",
    "repair",
    "restore",
    "switch_alias",
    "verify",
]
