# SPDX-License-Identifier: Apache-2.0
"""The k-nearest-neighbour graph of a set of vectors: exact, as a sparse matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.index.dense.encoding import Encoded, encode, resolve_kind
from vectorloom.index.dense.screen import SAMPLE_ROWS, TRIAL_QUERIES, build_screen
from vectorloom.index.dense.store import SCREEN_MIN_ROWS, refuse_zero, screen_bytes
from vectorloom.index.memory import available_memory, parse_bytes, require_memory
from vectorloom.vectors import as_array

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MODES = ("distance", "score", "connectivity")

# Types of X that are searched as they come, without a float32 copy.
_OWN_KIND = {
    np.dtype(np.float16): "float16",
    np.dtype(np.int8): "int8",
    np.dtype(np.uint8): "uint8",
}


def knn_graph(
    X: Any,
    k: int = 10,
    metric: str = "cosine",
    n_jobs: int | None = None,
    memory_limit: int | str | None = None,
    mode: str = "distance",
) -> csr_array:
    """Return the exact k nearest other rows of every row.

    Parameters
    ----------
    X : array-like of shape (n, dim)
        float32, float16, int8 and uint8 are searched as they come, other numbers as float32; bool
        (n, dim) or packed uint8 (n, dim / 8) under hamming.
    k : int, default=10
        Neighbours a row; where k >= n each row has n - 1.
    metric : {"cosine", "ip", "l2", "hamming"}, default="cosine"
        ``"l2"`` is squared.
    n_jobs : int or None, default=None
        Threads; None and -1 take all that the process is allowed.
    memory_limit : int, str or None, default=None
        Bytes, or text such as ``"2GiB"``, that the job may take beyond X, the result included.
        None:
        what the machine or its control group has available.
    mode : {"distance", "score", "connectivity"}, default="distance"
        What the entries hold: the distance (smaller is closer), the score (larger is closer), or 1.

    Returns
    -------
    csr_array of shape (n, n), float32
        Row i holds the neighbours of row i, never i itself, best first, equal ones by position: so
        the column indices of a row are *not* sorted, and a distance of 0 (a copy of the row) is
        stored.
        Directed: the graph of "i is near j" is not symmetric.

    Raises
    ------
    ShapeError, ParameterError
        X is not a finite matrix, has zero vectors under cosine, or a parameter is not allowed.
    CapacityError
        It would not fit in `memory_limit`; said before the work begins.

    Notes
    -----
    Cost: n**2 * dim. Memory beyond X: 16 * n * k bytes while working, 8 * n * k for the result, and
    about n * dim for an int8 screen, which is left out where the limit has no room for it (the same
    answer, several times slower). The same bits at any thread count. Distances are float32: of a
    cosine, exact to 6e-8.

    For neighbours of new points fit `vectorloom.index.Exact` and search it.

    Examples
    --------
    >>> graph = knn_graph([[0.0], [1.0], [5.0]], k=1, metric="l2")
    >>> graph.indices, graph.data
    (array([1, 0, 1], dtype=int32), array([ 1.,  1., 16.], dtype=float32))
    """
    check_choice("mode", mode, MODES)
    k = check_count("k", k)
    n_jobs = check_jobs(n_jobs)
    limit = None if memory_limit is None else parse_bytes(memory_limit)
    kind = _kind(X, metric)
    rows = encode(X, kind, n_jobs=n_jobs)
    n = len(rows.values)
    k = min(k, max(0, n - 1))
    if k == 0:
        return _to_csr(np.empty((n, 0), np.int64), np.empty((n, 0), np.float32), metric, mode)
    own = 0 if rows.values is X else rows.values.nbytes
    need = own + graph_bytes(n, k)
    require_memory(need, f"the graph of {n:,} rows with k={k}", "Use a smaller k.", limit=limit)
    view = _core.Rows(rows.values, kind, rows.scales)
    norms = _norms(rows, view, metric, n_jobs)
    screen = None
    if norms is not None and _has_room(n, rows.dim, kind, need, limit):
        screen = build_screen(view, norms, metric, n_jobs)
    positions, scores = _core.exact_knn_graph(view, norms, screen, metric, k, n_jobs)
    return _to_csr(positions, scores, metric, mode)


def graph_bytes(n: int, k: int) -> int:
    """Return the bytes at the peak of a graph's making: int64 positions, scores, indices, norms."""
    return 16 * n * k + 24 * n


def _kind(X: Any, metric: str) -> str:
    if metric == "hamming":
        return resolve_kind(metric, "bits")
    return resolve_kind(metric, _OWN_KIND.get(as_array(X).dtype, "float32"))


def _norms(
    rows: Encoded, view: _core.Rows, metric: str, n_jobs: int | None
) -> NDArray[np.float64] | None:
    if metric == "hamming":
        return None
    norms = _core.norms(view, n_jobs)
    if metric == "cosine":
        refuse_zero(norms, "X")
    return norms


def _has_room(n: int, dim: int, kind: str, need: int, limit: int | None) -> bool:
    if n < SCREEN_MIN_ROWS or kind not in ("float32", "float16"):
        return False
    room = available_memory() if limit is None else limit
    return room is None or need + screen_bytes(n, dim) + build_bytes(n, dim) <= room


def build_bytes(n: int, dim: int) -> int:
    """Return the bytes that fitting a screen's rotation takes for a moment.

    Two float64 copies of the sample, four square matrices, four arrays of trial products.
    """
    sample = min(n, SAMPLE_ROWS)
    return 8 * (2 * sample * dim + 4 * dim * dim + 4 * min(sample, TRIAL_QUERIES) * sample)


def _to_csr(
    positions: NDArray[np.int64], scores: NDArray[np.float32], metric: str, mode: str
) -> csr_array:
    from scipy.sparse import csr_array

    n, k = positions.shape
    index = np.int32 if max(n, n * k) < 2**31 else np.int64
    if mode == "connectivity":
        scores.fill(1.0)
    elif mode == "distance":
        np.subtract(1.0 if metric == "cosine" else 0.0, scores, out=scores)
        if metric == "cosine":
            np.maximum(scores, 0.0, out=scores)
    starts = np.arange(0, n * k + 1, k, dtype=index) if k else np.zeros(n + 1, dtype=index)
    columns = positions.astype(index, copy=False).ravel()
    return csr_array((scores.ravel(), columns, starts), shape=(n, n), copy=False)
