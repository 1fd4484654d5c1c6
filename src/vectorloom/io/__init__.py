# SPDX-License-Identifier: Apache-2.0
"""Vectors in and out of every file format they come in."""

from __future__ import annotations

from vectorloom.io.beir import Beir, Documents, read_beir
from vectorloom.io.describe import describe
from vectorloom.io.detect import Detected, detect
from vectorloom.io.read import read
from vectorloom.io.vectors_file import Source, Vectors
from vectorloom.io.write import write

__all__ = [
    "Beir",
    "Detected",
    "Documents",
    "Source",
    "Vectors",
    "describe",
    "detect",
    "read",
    "read_beir",
    "write",
]
