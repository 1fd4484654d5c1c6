# SPDX-License-Identifier: Apache-2.0
"""What a job will take, before it is started: memory, disk and time."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.index.dense.encoding import STORED, encode, resolve_kind
from vectorloom.index.dense.graph_memory import (
    LIST_ROWS,
    MOST_BYTES,
    MOST_FLOATS,
    PROBES,
    code_bytes,
    held_bytes,
    least_bytes,
    scratch_bytes,
)
from vectorloom.index.dense.knn import build_bytes, graph_bytes
from vectorloom.index.dense.store import SCREEN_MIN_ROWS, SCREENED, screen_bytes
from vectorloom.index.estimate_lists import lists_job
from vectorloom.index.memory import available_memory, parse_bytes
from vectorloom.readable import format_bytes

TASKS = ("index", "search", "knn_graph", "graph", "ivf")

# The calibration searches this many random rows, and a quarter of them, twice: little enough for
# 0.3 s on a slow machine, enough that the fixed cost of a call does not count.
_TRIAL_ROWS = 8192
_TRIAL_QUERIES = 192
_TRIAL_ELEMENTS = 1 << 22
_TRIAL_PRODUCTS = 1 << 30  # multiply-adds of a rotation
_TRIAL_NODES = 3072
# What a walk of the build takes more for twice the rows, and a search for a row's list, as shares.
_DEEPER, _FURTHER = 0.1, 0.01
# Bytes of a file beside its arrays: header and padding.
_FILE_OVERHEAD = 1024
_ROW_OVERHEAD = 17  # id, norm and live flag


@dataclass(frozen=True)
class Estimate:
    """What a job takes beyond the vectors that are passed to it.

    Attributes
    ----------
    ram_bytes : int
        Held when it is done: the index, the answer or the graph.
    peak_bytes : int
        Held at the worst moment on the way.
    disk_bytes : int
        Of the file that ``save`` writes; 0 where the task has none.
    seconds : float
        Of wall-clock time, good to a factor of about two.
    notes : tuple of str
        What was assumed, and a warning where the job would not fit here.
    """

    ram_bytes: int
    peak_bytes: int
    disk_bytes: int
    seconds: float
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {"notes": list(self.notes)}

    def __str__(self) -> str:
        disk = f", {format_bytes(self.disk_bytes)} on disk" if self.disk_bytes else ""
        lines = [
            f"{format_bytes(self.ram_bytes)} in memory (peak "
            f"{format_bytes(self.peak_bytes)}){disk}, about {self.seconds:.2g} s"
        ]
        return "\n  ".join([*lines, *self.notes])


def estimate(
    n: int,
    dim: int,
    dtype: Any = "float32",
    metric: str = "cosine",
    task: str = "index",
    k: int = 10,
    n_queries: int = 1000,
    n_jobs: int | None = None,
    degree: int = 48,
    rerank: bool = True,
    memory_limit: int | str | None = None,
) -> Estimate:
    """Say what indexing, searching or a neighbour graph will take, without doing it.

    Parameters
    ----------
    n : int
        Rows.
    dim : int
        Dimensions of a vector.
    dtype : str, default="float32"
        Storage; see `vectorloom.index.Exact`.
    metric : {"cosine", "ip", "l2", "hamming"}, default="cosine"
    task : {"index", "search", "knn_graph", "graph", "ivf"}, default="index"
        ``Exact(...).fit``, a search of `n_queries` in one batch on it, `vectorloom.knn_graph`,
        ``Graph(...).fit``, whose rows no two are equal, or ``IVF(...).fit``.
    k : int, default=10
        For search and knn_graph.
    n_queries : int, default=1000
        For search.
    n_jobs : int or None, default=None
        Threads, as the job will have.
    degree : int, default=48
        For graph.
    rerank : bool, default=True
        For ivf.
    memory_limit : int or str, default=None
        For ivf: with rows mapped from a file, which may stay there.

    Returns
    -------
    Estimate

    Raises
    ------
    ParameterError

    Notes
    -----
    Bytes are counted; seconds come from a trial of random vectors on this machine, which takes less
    than 0.3 s. Structure in real vectors makes searches faster than that, other load slower.

    Examples
    --------
    >>> job = estimate(1_000_000, 384, dtype="float16")
    >>> job.disk_bytes >> 20
    1129
    """
    check_choice("task", task, TASKS)
    n, dim = check_count("n", n, at_least=0), check_count("dim", dim)
    k, n_queries = check_count("k", k), check_count("n_queries", n_queries, at_least=0)
    kind = resolve_kind(metric, dtype)
    n_jobs = check_jobs(n_jobs)
    if task == "graph":
        return _checked(*_graph_job(n, dim, kind, metric, check_count("degree", degree), n_jobs))
    if task == "ivf":
        limit = None if memory_limit is None else parse_bytes(memory_limit)
        return _checked(*lists_job(n, dim, kind, metric, rerank, limit, n_jobs))
    screened = kind in SCREENED and n >= SCREEN_MIN_ROWS
    held = _held_bytes(n, dim, kind, screened)
    rotation = build_bytes(n, dim) if screened else 0
    build, per_query, per_pair = _trial(dim, kind, metric, screened, n_jobs)
    width = held["values"] // max(n, 1)
    index_seconds = n * build + (_rotation_seconds(dim) if screened else 0.0)
    total = sum(held.values())
    notes = [f"{_core.resolve_jobs(n_jobs)} threads, X given as float32"]
    if task == "index":
        encoded = 0 if kind == "float32" else n * width
        job = (total, total + max(rotation, encoded), total - n + _FILE_OVERHEAD, index_seconds)
    elif task == "search":
        answer = n_queries * k * 16
        work = n_queries * (24 * k + 4 * dim)
        notes.append(f"beside the index of {format_bytes(total)}")
        job = (answer, answer + work, 0, n_queries * (per_query + n * per_pair))
    else:
        k = min(k, max(0, n - 1))
        screen = held["screen"]
        job = (
            8 * n * k + 4 * n,
            graph_bytes(n, k) + screen + rotation,
            0,
            index_seconds + n * (per_query + n * per_pair),
        )
    return _checked(job, notes)


def _checked(job: tuple[int, int, int, float], notes: list[str]) -> Estimate:
    room = available_memory()
    if room is not None and job[1] > room:
        notes.append(
            f"more than the {format_bytes(room)} available here; use a smaller dtype or fewer rows"
        )
    return Estimate(*job, tuple(notes))


def _graph_job(
    n: int, dim: int, kind: str, metric: str, degree: int, n_jobs: int | None
) -> tuple[tuple[int, int, int, float], list[str]]:
    if metric == "hamming":
        raise ParameterError("task='graph' takes metric 'cosine', 'ip' or 'l2'; got 'hamming'.")
    space = dim + (metric == "ip")
    code = code_bytes(space)
    n_threads = _core.resolve_jobs(n_jobs)
    rows = sum(_held_bytes(n, dim, kind, False).values())
    held = held_bytes(n, space, degree, code)
    least = least_bytes(n, space, degree, code, n_threads)
    copied = kind != "float32" or metric != "l2"
    scratch = scratch_bytes(n, space, degree, copied)
    encoded = 0 if kind == "float32" else n * dim * STORED[kind].itemsize
    ids = 8 * n  # twice for a while
    disk = rows - n + held + _FILE_OVERHEAD
    notes = [
        f"{n_threads} threads, X given as float32",
        f"codes of {code} bytes a row"
        + (", as with as much spread in all directions; fewer otherwise" if space > 120 else ""),
        f"with memory_limit from about {format_bytes(ids + rows - n * dim * 4 + least)} on, where "
        f"X is mapped from a file, and up to {format_bytes(scratch)} of temporary files"
        if kind == "float32"
        else f"up to {format_bytes(scratch)} of it in temporary files with a memory_limit",
    ]
    if metric == "cosine" and kind == "float32":
        notes.append(f"{format_bytes(4 * n * dim)} less where all rows are of length 1")
    peak = rows + ids + encoded + least + scratch
    seconds = _graph_seconds(n, dim, metric, degree, n_jobs)
    return (rows + held, peak, disk, seconds), notes


def _graph_seconds(n: int, dim: int, metric: str, degree: int, n_jobs: int | None) -> float:
    """Return the time of a build, by that of a small one whose parts grow as they do."""
    m = max(2, min(_TRIAL_NODES, n, _TRIAL_ELEMENTS // dim))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((m, dim), dtype=np.float32)
    rows = _core.Rows(x, "float32", None)
    space = dim + (metric == "ip")
    matrix, origin = np.eye(space + space % 2, space, dtype=np.float32), np.zeros(space, np.float32)
    bits = 32 if space <= MOST_FLOATS else 8 if space <= MOST_BYTES else 4
    norms = _core.norms(rows, n_jobs)
    core = _core.GraphCore(
        rows, norms, metric, float(norms.max()), matrix, origin, bits, space // 2 * 2 or 1,
        degree=degree, candidates=min(128, max(32, degree)), refined=min(128, degree + degree // 3),
        first_degree=max(8, degree * 2 // 3), n_jobs=n_jobs,
    )  # fmt: skip
    took = core.times()
    share = n / m
    # Each row meets the rows of so many lists; walks go deeper, and pages come from further away.
    met = min(n, LIST_ROWS * PROBES) / m
    per_row = took["encode"] + took["prune"] + took["join"] + took["link"] + took["knn"] * met
    walks = took["refine"] * (1 + _DEEPER * np.log2(max(1.0, share)))
    # Lists are as many as rows, and each row looks for its own among all.
    return float(share * (per_row + walks + took["cluster"] * (1 + _FURTHER * share)))


def _held_bytes(n: int, dim: int, kind: str, screened: bool) -> dict[str, int]:
    width = -(-dim // 8) if kind == "bits" else dim
    return {
        "values": n * width * STORED[kind].itemsize,
        "scales": 4 * n if kind == "int8" else 0,
        "rows": n * (_ROW_OVERHEAD - (8 if kind == "bits" else 0)),
        "screen": screen_bytes(n, dim) + 4 * (-(-dim // 64) * 64) * dim if screened else 0,
    }


def _trial(
    dim: int, kind: str, metric: str, screened: bool, n_jobs: int | None
) -> tuple[float, float, float]:
    """Return seconds a row of building; a query, and a (query, row) pair of a batch search."""
    rng = np.random.default_rng(0)
    n = min(_TRIAL_ROWS, max(512, min(_TRIAL_ELEMENTS // dim, _TRIAL_PRODUCTS // dim**2)))
    x: Any = rng.standard_normal((n, dim), dtype=np.float32)
    queries: Any = x[:_TRIAL_QUERIES]
    if kind == "uint8":
        x = np.clip(x * 40 + 128, 0, 255).astype(np.uint8)
    if kind == "bits":
        x = x > 0
        queries = encode(x[:_TRIAL_QUERIES], kind).values
    # Two sizes: their difference is what a row costs, the rest is what a query costs at any size
    # (candidates, settling them), which the larger jobs that people ask about hardly notice.
    seconds = []
    for size in (n // 4, n):
        start = time.perf_counter()
        rows = encode(x[:size], kind, n_jobs=n_jobs)
        view = _core.Rows(np.array(rows.values), kind, rows.scales)
        norms = None if kind == "bits" else _core.norms(view, n_jobs)
        screen = _plain_screen(view, norms, metric, dim, n_jobs) if screened else None
        build = (time.perf_counter() - start) / size
        turns = []
        for _ in range(2):
            start = time.perf_counter()
            _core.exact_search(view, norms, screen, metric, queries, 10, None, None, n_jobs)
            turns.append(time.perf_counter() - start)
        seconds.append(min(turns) / len(queries))
    small, large = seconds
    # The floor holds where another process slowed the smaller trial.
    pair = max((large - small) / (n - n // 4), 0.1 * large / n)
    return build, max(0.0, large - n * pair), pair


def _plain_screen(
    view: _core.Rows, norms: Any, metric: str, dim: int, n_jobs: int | None
) -> _core.Screen:
    """Return a screen that is not rotated: as costly to build and ask, without fitting anything."""
    padded = -(-dim // 64) * 64
    rotation = np.eye(padded, dim, dtype=np.float32)
    center = np.zeros(dim, np.float32) if metric == "l2" else None
    return _core.Screen.build(view, norms, metric, rotation, 1e-6, padded, center, n_jobs)


def _rotation_seconds(dim: int) -> float:
    """Return the time that fitting a screen's rotation takes once, by a float64 product's rate."""
    side = 64  # so small that BLAS runs it on one thread, as the fit does
    a = np.ones((side, side))
    turns = []
    for _ in range(50):
        start = time.perf_counter()
        a @ a
        turns.append(time.perf_counter() - start)
    rate = side**3 / max(min(turns), 1e-7)
    # On the sample: second moments, rotation, trial products; then an eigenbasis and a QR. All of
    # it together, factorisations and passes over the products, runs at a third of a product's rate.
    return 3 * (8192 * dim * (2 * dim + 256) + 16 * dim**3) / rate
