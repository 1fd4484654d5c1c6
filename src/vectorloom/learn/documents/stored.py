# SPDX-License-Identifier: Apache-2.0
"""What learners over n-gram tables put into their files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError
from vectorloom.estimator import Estimator
from vectorloom.io.container import Container
from vectorloom.io.strings import pack_strings, unpack_strings
from vectorloom.learn.documents.ngrams import NgramTable
from vectorloom.vectors import as_ids


def plain_params(learner: Estimator, but: Sequence[str] = ()) -> dict[str, Any]:
    """Return the parameters as a file can hold them.

    Parameters
    ----------
    learner : Estimator
    but : sequence of str
        Names to leave out.

    Raises
    ------
    ParameterError
        A value that is no plain one.
    """
    found = {}
    for name, value in learner.get_params(deep=False).items():
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, (set, frozenset)):
            plain = sorted(plain)
        if isinstance(plain, (tuple, range)):
            plain = list(plain)
        flat = plain if isinstance(plain, list) else [plain]
        if not all(item is None or isinstance(item, (bool, int, float, str)) for item in flat):
            raise ParameterError(f"{name}={value!r} cannot be saved; use a plain value.")
        if name not in but:
            found[name] = plain
    return found


def id_arrays(ids: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return ids as arrays of a file."""
    if ids.dtype == np.int64:
        return {"ids": ids}
    data, offsets = pack_strings(ids.tolist())
    return {"ids": data, "id_offsets": offsets}


def stored_ids(container: Container, n: int) -> NDArray[Any]:
    """Return the ids of a file."""
    if "id_offsets" not in container.arrays:
        return as_ids(container.array("ids", "<i8", (n,)), n)
    data = container.array("ids", "|u1", (None,))
    offsets = container.array("id_offsets", "<i8", (n + 1,))
    return as_ids(unpack_strings(data, offsets, where=str(container.path)), n)


def table_arrays(table: NgramTable, vectors: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Return a table of n-grams and its rows as arrays of a file."""
    return {"buckets": table.buckets, "table": vectors}


def stored_buckets(container: Container, sizes: Sequence[int], n_buckets: int) -> NgramTable:
    """Return the table of n-grams of a file.

    Raises
    ------
    FormatError
        Buckets that are not there, or not in order.
    """
    buckets = container.array("buckets", "<i4", (None,))
    rising = len(buckets) < 2 or bool((np.diff(buckets.astype(np.int64)) > 0).all())
    if len(buckets) == 0 or not rising or buckets[0] < 0 or buckets[-1] >= n_buckets:
        raise FormatError(f"{container.path}: the buckets are out of order; the file is damaged.")
    return NgramTable(sizes, n_buckets, buckets)


def stored_table(
    container: Container, sizes: Sequence[int], n_buckets: int
) -> tuple[NgramTable, NDArray[np.float32]]:
    """Return the table of n-grams of a file, and its rows."""
    table = stored_buckets(container, sizes, n_buckets)
    return table, container.array("table", "<f4", (len(table), None))
