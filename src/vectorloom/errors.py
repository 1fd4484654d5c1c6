# SPDX-License-Identifier: Apache-2.0
"""Every error vectorloom raises on purpose: what came, what was expected, what to do."""

from __future__ import annotations


class VectorloomError(Exception):
    """Base class of all errors raised by vectorloom."""


class ShapeError(VectorloomError, ValueError):
    """An array has the wrong number of dimensions, rows or columns."""


class ParameterError(VectorloomError, ValueError):
    """A parameter or a value in the data is not one that is allowed."""


class NotFittedError(VectorloomError, ValueError, AttributeError):
    """`fit` (or `add`) must be called first."""


class FormatError(VectorloomError, ValueError):
    """A file is damaged, truncated, foreign or of an unknown version."""


class CapacityError(VectorloomError, MemoryError):
    """The job would not fit in the memory, disk or limit it was given."""


class DependencyError(VectorloomError, ImportError):
    """An optional package is missing; the message gives the pip line."""


class InternalError(VectorloomError, RuntimeError):
    """A bug of ours; please report it with the message."""
