# SPDX-License-Identifier: Apache-2.0
"""What inverted lists will take: bytes counted, seconds from a small trial."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.index.dense.encoding import STORED
from vectorloom.index.dense.lists import ITERATIONS, Layout
from vectorloom.index.dense.lists_calibration import SCALES
from vectorloom.index.dense.lists_memory import (
    POINTS,
    ROW_BYTES,
    build_bytes,
    default_lists,
    list_bytes,
    place_bytes,
    usual_head,
    widest_head,
)
from vectorloom.readable import format_bytes

_TRIAL_ROWS, _TRIAL_LISTS, _TURNS = 8192, 48, 5
_TRIAL_ELEMENTS = 1 << 20
_FILE_OVERHEAD = 2048
_HELD = 17  # id, norm and flag


def lists_job(
    n: int,
    dim: int,
    kind: str,
    metric: str,
    rerank: bool,
    limit: int | None,
    n_jobs: int | None,
) -> tuple[tuple[int, int, int, float], list[str]]:
    """Return bytes held, at the peak and on disk, seconds, and what was assumed.

    Raises
    ------
    ParameterError
        Rows that have no lists.
    """
    if kind not in ("float32", "float16", "bfloat16", "int8"):
        raise ParameterError(
            "task='ivf' takes metric 'cosine', 'ip' or 'l2' and dtype 'float32', 'float16', "
            f"'bfloat16' or 'int8'; got {metric!r} and {kind!r}."
        )
    n_lists, l2 = default_lists(max(n, 1)), metric == "l2"
    size = n * (dim * STORED[kind].itemsize + (4 if kind == "int8" else 0)) if rerank else 0
    copied = size if rerank else 4 * n * dim
    encoded = 0 if kind == "float32" or not rerank else size
    layout = Layout(rerank, 8 if rerank else 4, not rerank)
    in_file = False
    if limit is not None:
        worst = _taken(n, dim, n_lists, layout, widest_head(dim), l2)
        layout = Layout(rerank and worst[1] <= limit, layout.rest_bits, layout.final)
        least = _taken(n, dim, n_lists, Layout(False, layout.rest_bits), widest_head(dim), l2)[1]
        in_file = copied > max(0, limit - least)
    held, peak = _taken(n, dim, n_lists, layout, usual_head(dim), l2)
    rows = 0 if in_file else size
    while_built = 0 if in_file else copied + encoded
    seconds = _seconds(n, dim, metric, n_lists, layout, n_jobs)
    places = "two places" if layout.spill else "one place"
    notes = [
        f"{_core.resolve_jobs(n_jobs)} threads, X given as float32",
        f"{n_lists:,} lists, codes at {places} a row",
    ]
    if layout.rest_bits < 8:
        most = place_bytes(dim, widest_head(dim), layout.rest_bits, layout.spill, l2)
        notes.append(f"of at most {most} bytes, fewer the faster the spread of directions falls")
    if in_file:
        notes.append(f"the rows stay in their file; all else is below {format_bytes(limit or 0)}")
    return (rows + held, while_built + peak, size + held - n + _FILE_OVERHEAD, seconds), notes


def _taken(n: int, dim: int, n_lists: int, layout: Layout, head: int, l2: bool) -> tuple[int, int]:
    """Return what is held beside the rows, and the most while it is built."""
    place = place_bytes(dim, head, layout.rest_bits, layout.spill, l2)
    lists = list_bytes(n, dim, n_lists, place, layout.spill)
    most = build_bytes(n, dim, n_lists, layout.spill, lists)
    return lists + _HELD * n, most + ROW_BYTES * n


def _seconds(
    n: int, dim: int, metric: str, n_lists: int, layout: Layout, n_jobs: int | None
) -> float:
    m = max(4 * _TRIAL_LISTS, min(_TRIAL_ROWS, _TRIAL_ELEMENTS // dim))
    x = np.random.default_rng(0).standard_normal((m, dim), dtype=np.float32)
    if metric == "cosine":
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    rows = _core.Rows(x, "float32", None)
    few, many = _TRIAL_LISTS, 4 * _TRIAL_LISTS
    labels, others = _core.assign_lists(x, x[:few], layout.spill, n_jobs=n_jobs)
    with_few = _best(lambda: _core.assign_lists(x, x[:few], layout.spill, n_jobs=n_jobs))
    with_many = _best(lambda: _core.assign_lists(x, x[:many], layout.spill, n_jobs=n_jobs))
    a_list = max(0.0, with_many - with_few) / (m * (many - few))
    a_row = max(0.0, with_few / m - few * a_list)
    norms = _core.norms(rows, n_jobs)
    reading = _best(lambda: _core.norms(rows, n_jobs)) / m
    head = usual_head(dim)
    matrix = np.eye(max(head, dim), dim, dtype=np.float32)
    center = np.zeros(dim, np.float32) if metric == "l2" else None

    def coded() -> Any:
        return _core.Lists.build(
            rows, norms, metric, x[:few], labels, others, matrix, 1e-6, head, layout.rest_bits,
            layout.final, center=center, n_jobs=n_jobs,
        )  # fmt: skip

    coding = _best(coded) / m
    lists, queries = coded(), x[:32]
    given = (None, None) if layout.final else (rows, norms)
    sweep = _best(
        lambda: lists.search(*given, queries, few, 0.0, 1.0, 1.0, -np.inf, 10, None, None, n_jobs)
    ) / (m * len(queries))
    sampled = min(n, POINTS * n_lists)
    training = (ITERATIONS + 1) * sampled * (a_row + a_list * n_lists)
    asked = sum(SCALES.values())
    per_row = 2 * reading + a_row + a_list * n_lists + coding + asked * sweep
    return float(training + n * per_row)


def _best(call: Callable[[], object]) -> float:
    """Return the seconds of the quickest of some calls: others may have the core for a while."""
    turns = []
    for _ in range(_TURNS):
        start = time.perf_counter()
        call()
        turns.append(time.perf_counter() - start)
    return min(turns)
