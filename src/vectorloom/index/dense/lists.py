# SPDX-License-Identifier: Apache-2.0
"""Inverted lists: rows grouped around centroids, coded list by list, and probed nearest first.

A row x stands in the list of its nearest centroid and in a second one (core/index/lists_assign.h).
How far to probe is measured (vectorloom/index/dense/lists_calibration.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.estimator import check_jobs
from vectorloom.index.answer import Ranged
from vectorloom.index.dense.lists_calibration import Calibration, calibrate
from vectorloom.index.dense.lists_memory import BLOCK_BYTES, POINTS
from vectorloom.index.dense.lists_range import Ranging
from vectorloom.index.dense.lists_rotation import Rotation
from vectorloom.index.dense.prepared import Prepared
from vectorloom.index.dense.store import RowStore
from vectorloom.progress import progress

ITERATIONS = 10  #: of k-means
# Of the error of codes, that lists are searched under; see core/index/lists.h.
_DEVIATIONS = 5.0
# Rows that came after the lists were coded are scanned by every query until they are this many, or
# this share of the others: coding all again costs about as much as 2,000 scans of so many.
_TAIL_ROWS = 4096
_TAIL_SHARE = 0.125


@dataclass(frozen=True)
class Layout:
    """What is kept of a row: in how many lists it stands, and how its code is made.

    Attributes
    ----------
    spill : bool
        Whether rows stand in a second list as well.
    rest_bits : int
        Of the code after the head, 8 or 4.
    final : bool
        Whether codes are all that is kept.
    """

    spill: bool = True
    rest_bits: int = 8
    final: bool = False


@dataclass(frozen=True)
class Probing:
    """How lists are searched; core/index/lists.h has the terms."""

    n_probes: int = 0
    gap: float = 0.0
    reach: float = 1.0
    guess: float = -np.inf


class InvertedLists:
    """Centroids, the lists of each position, and the codes of the rows in the order of lists.

    Parameters
    ----------
    metric : {"cosine", "ip", "l2"}
    centroids : ndarray of shape (n_lists, dim), float32
    rotation : Rotation
        Of the codes.
    places : (labels, others) or None
        The list of each of the store's first positions, int32, and its second one, -1 for none, or
        None where rows stand in one list. Dropped once rows are coded.
    calibrations : tuple of Calibration
        By ascending k; empty before they are measured.

    Attributes
    ----------
    ranging : Ranging or None
        Which lists a range needs; None where that was not measured.
    """

    def __init__(
        self,
        metric: str,
        centroids: NDArray[np.float32],
        rotation: Rotation,
        places: tuple[NDArray[np.int32], NDArray[np.int32] | None] | None,
        calibrations: tuple[Calibration, ...] = (),
    ) -> None:
        self._start(metric, centroids, places, calibrations)
        self.rotation = rotation

    def _start(
        self,
        metric: str,
        centroids: NDArray[np.float32],
        places: tuple[NDArray[np.int32], NDArray[np.int32] | None] | None,
        calibrations: tuple[Calibration, ...],
    ) -> None:
        self.metric = metric
        self.centroids = centroids
        self.places = places
        self.calibrations = calibrations
        self._known: dict[tuple[int, float, int], Probing] = {}
        self.ranging: Ranging | None = None
        self.n_listed = 0 if places is None else len(places[0])
        self.core: _core.Lists | None = None
        self._prepared = Prepared()
        self._place_of: NDArray[np.int64] | None = None  # of each position, found when asked

    @classmethod
    def train(
        cls, store: RowStore, n_lists: int, layout: Layout, seed: int, n_jobs: int | None
    ) -> InvertedLists:
        """Return lists of all positions of a store, calibrated.

        Parameters
        ----------
        store : RowStore
            Of float rows.
        n_lists : int
        layout : Layout
        seed : int
        n_jobs : int or None
        """
        centroids, places = grouped(store, n_lists, layout.spill, seed, n_jobs)
        rotation = Rotation.fit(store, layout.rest_bits, layout.final)
        lists = cls(store.metric, centroids, rotation, places)
        lists.code(store, n_jobs)
        lists.places = places  # for what looks them up; to read them off the codes takes memory
        lists.calibrations, lists.ranging = calibrate(lists, store, seed, n_jobs)
        lists.places = None
        lists._known = {}
        return lists

    @classmethod
    def stored(
        cls,
        metric: str,
        centroids: NDArray[np.float32],
        calibrations: tuple[Calibration, ...],
        arrays: Mapping[str, NDArray[Any]],
    ) -> InvertedLists:
        """Return lists that were coded before; `arrays` as the core gives them."""
        core = _core.Lists.open(dict(arrays), centroids)
        _, head, rest_bits, _, final = (int(number) for number in arrays["shape"])
        rotation = Rotation(arrays["rotation"], head, rest_bits, arrays.get("center"), bool(final))
        lists = cls(metric, centroids, rotation, None, calibrations)
        lists.core = core
        lists.n_listed = int(np.max(arrays["order"], initial=-1)) + 1
        return lists

    def __len__(self) -> int:
        return len(self.centroids)

    @property
    def coded(self) -> bool:
        """Whether the rows in lists are coded, so that they can be searched."""
        return self.core is not None

    @property
    def final(self) -> bool:
        """Whether codes are all that is kept of rows."""
        return self.rotation.final

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        measured = (array for one in self.calibrations for array in one.arrays.values())
        arrays = [self.centroids, *measured, *(self.places or ())]
        codes = 0 if self.core is None else self.core.nbytes
        return int(sum(array.nbytes for array in arrays if array is not None) + codes)

    # ---- change --------------------------------------------------------------------------------

    def standing(self) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
        """Return the list of each listed position, and its second one."""
        if self.places is not None:
            return self.places
        assert self.core is not None
        arrays = self.core.arrays()
        order, starts, other = arrays["order"], arrays["starts"], arrays.get("other")
        at = np.flatnonzero(order >= 0)
        lists = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(starts))
        if other is not None:
            at = at[other[at] >= -1]  # below: the place in a second list
        labels = np.zeros(self.n_listed, np.int32)
        labels[order[at]] = lists[at]
        if other is None:
            return labels, None
        others = np.full(self.n_listed, -1, np.int32)
        others[order[at]] = other[at]
        return labels, others

    def sizes(self) -> NDArray[np.int64]:
        """Return how many rows have each list as their nearest."""
        return np.bincount(self.standing()[0], minlength=len(self))

    def compacted(self, keep: NDArray[np.int64]) -> InvertedLists:
        """Return the lists, not coded, of a store that holds these ascending positions alone."""
        labels, others = self.standing()
        kept = keep[: np.searchsorted(keep, self.n_listed)]
        return self._with(labels[kept], None if others is None else others[kept])

    def current(
        self, store: RowStore, n_jobs: int | None, *, everything: bool = False
    ) -> InvertedLists:
        """Return lists fit to search the store: these, or new ones with its last rows in them.

        With `everything` no row is left out of them.
        """
        tail = store.n - self.n_listed
        few = tail == 0 if everything else tail <= max(_TAIL_ROWS, _TAIL_SHARE * self.n_listed)
        if self.coded and few:
            return self
        labels, others = self.standing()
        if tail:
            rows = directions(store, slice(self.n_listed, store.n))
            new, second = _core.assign_lists(
                rows, self.centroids, others is not None, n_jobs=n_jobs
            )
            labels = np.concatenate([labels, new])
            others = None if others is None else np.concatenate([others, second])
        lists = self._with(labels, others)
        lists.code(store, n_jobs)
        return lists

    def _with(self, labels: NDArray[np.int32], others: NDArray[np.int32] | None) -> InvertedLists:
        places = (labels, others)
        lists = InvertedLists(self.metric, self.centroids, self.rotation, places, self.calibrations)
        lists.ranging = self.ranging
        return lists

    def code(self, store: RowStore, n_jobs: int | None) -> None:
        """Code the rows in lists, list by list."""
        norms = store.row_norms
        assert norms is not None  # rows are floats
        labels, others = self.standing()
        self.core = _core.Lists.build(
            store.rows_before(self.n_listed),
            norms[: self.n_listed],
            self.metric,
            self.centroids,
            labels,
            others,
            self.rotation.matrix,
            self.rotation.error,
            self.rotation.head,
            self.rotation.rest_bits,
            self.rotation.final,
            center=self.rotation.center,
            n_jobs=n_jobs,
        )
        self.places = None

    def decoded(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what the codes of these positions stand for; of unit length under cosine, about.

        Once asked for some of them, where each stands is kept: 8 bytes a row.
        """
        places = self._place_of
        if places is None:
            order = self._order()
            at = np.flatnonzero(order >= 0)
            places = np.empty(self.n_listed, np.int64)
            places[order[at]] = at
            self._place_of = places if len(positions) < self.n_listed else None
        return self._decoded_at(places[positions])

    def _order(self) -> NDArray[Any]:
        assert self.core is not None  # rows are coded
        order: NDArray[Any] = self.core.arrays()["order"]
        return order

    def _decoded_at(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        assert self.core is not None
        rotation = self.rotation
        turned = self.core.decode(places)
        rows = _core.matmul(turned, np.ascontiguousarray(rotation.matrix.T), 1)
        if rotation.center is not None:
            rows += rotation.center
        return rows

    def to_file(self, prefix: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return header entries and arrays, besides centroids and calibrations."""
        assert self.core is not None
        return {}, {prefix + name: array for name, array in self.core.arrays().items()}

    # ---- searching -----------------------------------------------------------------------------

    def reaches(
        self,
        store: RowStore,
        sample: NDArray[np.int64],
        neighbours: NDArray[np.int64],
        n_jobs: int | None,
    ) -> NDArray[np.float64]:
        """Return the smallest reaches that keep true neighbours; see `Rotation.reaches`.

        Parameters
        ----------
        store : RowStore
        sample : ndarray of shape (m,)
            Positions that are the queries.
        neighbours : ndarray of shape (m, k)
            Positions of their nearest.
        n_jobs : int or None
        """
        rows = store.decoded(neighbours.ravel()).reshape(*neighbours.shape, -1)
        return self.rotation.reaches(store.decoded(sample), rows, self.metric)

    def lost(self, gaps: NDArray[np.float64], among: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return gaps of neighbours by codes: no gap finds those that are not `among` the true."""
        return np.where(among, gaps, np.inf)

    def forget_places(self) -> None:
        """Give back what `decoded` keeps."""
        self._place_of = None

    def probing(self, n_probes: int, recall: float, k: int) -> Probing:
        """Return how to search.

        Parameters
        ----------
        n_probes : int
            Lists to probe; 0 asks for the recall instead.
        recall : float
        k : int
        """
        known = self._known.get((n_probes, recall, k))
        if known is None:
            known = self._known[n_probes, recall, k] = self._probing(n_probes, recall, k)
        return known

    def _probing(self, n_probes: int, recall: float, k: int) -> Probing:
        if not self.calibrations:
            return Probing(n_probes=n_probes)
        fitting = [one for one in self.calibrations if one.k >= k]
        measured = fitting[0] if fitting else self.calibrations[-1]
        return Probing(
            n_probes=n_probes,
            gap=measured.gap_for(recall),
            reach=measured.reach_for(None if n_probes else recall, k),
            guess=measured.guess if fitting else -np.inf,
        )

    def search_all(
        self, store: RowStore, queries: NDArray[np.float32], k: int, n_jobs: int | None
    ) -> Any:
        """Return what `search` does with all lists probed."""
        return self.search(store, queries, Probing(n_probes=len(self)), k, None, n_jobs)

    def search(
        self,
        store: RowStore,
        queries: NDArray[np.float32],
        probing: Probing,
        k: int,
        mask: NDArray[np.uint8] | None,
        n_jobs: int | None,
    ) -> Any:
        """Return positions, scores and counts of the k best within the probed lists.

        With all lists probed the answer is proven exact.
        """
        assert self.core is not None  # current() saw to it
        whole = probing.n_probes >= len(self)
        return self.core.search(
            *self._asked(store, queries),
            probing.n_probes,
            probing.gap,
            *self._bounds(store, probing),
            -np.inf if whole or mask is not None else probing.guess,
            k,
            mask,
            store.ids.tie_keys(),
            n_jobs,
            store.on_disk,
        )

    def answer(
        self, store: RowStore, queries: NDArray[Any], probing: Probing, k: int, n_jobs: Any
    ) -> Any:
        """Return ids, scores, distances and counts by one call of the core; None: not possible.

        All rows must live; `n_jobs` as the user set it.
        """
        core = self.core
        if core is None or self.n_listed != store.n:
            return None

        def prepare() -> _core.ListsSearch:
            rows, norms = (None, None) if self.final else (store.rows, store.row_norms)
            keys, numbers = store.ids.tie_keys(), store.ids.numbers()
            jobs = check_jobs(n_jobs)
            return _core.ListsSearch(core, rows, norms, keys, numbers, store.on_disk, jobs)

        search = self._prepared.search(core if self.final else store.rows, n_jobs, prepare)
        whole = probing.n_probes >= len(self)
        guess = -np.inf if whole else probing.guess
        bounds = self._bounds(store, probing)
        return search(queries, k, probing.n_probes, probing.gap, *bounds, guess)

    def range_probing(self, recall: float | None) -> Probing:
        """Return how to search for ranges; None asks for all of them."""
        if recall is None or self.ranging is None:
            return Probing(n_probes=len(self))
        return Probing(
            gap=self.calibrations[0].gap_for(recall),
            reach=max(one.reach_for(recall, 0) for one in self.calibrations),
        )

    def within(
        self,
        store: RowStore,
        queries: NDArray[np.float32],
        least: NDArray[np.float64],
        recall: float | None,
        mask: NDArray[np.uint8] | None,
        n_jobs: int | None,
    ) -> Ranged:
        """Return lims, positions and scores of rows whose score is at least `least` (n_queries,).

        With a recall those of the lists that it needs; None, or nothing measured: of all lists,
        which is proven exact.
        """
        assert self.core is not None  # current() saw to it
        probing = self.range_probing(recall)
        floors, along = None, 0.0
        if probing.n_probes == 0 and self.ranging is not None:
            unit = least
            if self.metric == "ip":
                norms = np.linalg.norm(queries.astype(np.float64), axis=1)
                unit = least / np.maximum(norms, np.finfo(np.float64).tiny)
            floors, along = self.ranging.floors(unit, recall or 0.0), self.ranging.along
        return self.core.range(
            *self._asked(store, queries),
            least,
            probing.n_probes,
            probing.gap,
            *self._bounds(store, probing),
            floors,
            along,
            mask,
            store.ids.tie_keys(),
            n_jobs,
            store.on_disk,
        )

    def _asked(
        self, store: RowStore, queries: NDArray[np.float32]
    ) -> tuple[_core.Rows | None, NDArray[np.float64] | None, NDArray[np.float32]]:
        if self.rotation.final:
            return None, None, queries
        return store.rows, store.row_norms, queries

    def _bounds(self, store: RowStore, probing: Probing) -> tuple[float, float]:
        """Return caution and reach: 1 and 1, a proof, where all lists are probed."""
        if probing.n_probes >= len(self):
            return 1.0, 1.0
        return min(1.0, _DEVIATIONS / math.sqrt(store.dim)), probing.reach


def grouped(
    store: RowStore, n_lists: int, spill: bool, seed: int, n_jobs: int | None
) -> tuple[NDArray[np.float32], tuple[NDArray[np.int32], NDArray[np.int32] | None]]:
    """Return centroids of a store's rows, and the lists of each: its nearest, and a second one."""
    rng = np.random.default_rng(seed)
    few = min(store.n, POINTS * n_lists)
    at = np.arange(store.n) if few == store.n else rng.choice(store.n, few, replace=False)
    sample = directions(store, np.sort(at))
    centroids, *_ = _core.kmeans(
        sample,
        n_lists,
        "k-means++",
        ITERATIONS,
        1e-4,
        seed,
        spherical=store.metric == "cosine",
        max_points_per_centroid=POINTS,
        n_jobs=n_jobs,
    )
    del sample
    labels = np.empty(store.n, np.int32)
    others = np.empty(store.n, np.int32) if spill else None
    block = max(1024, BLOCK_BYTES // (4 * store.dim))
    with progress("assigning lists", total=store.n, unit="rows") as bar:
        for first in range(0, store.n, block):
            part = slice(first, min(store.n, first + block))
            rows = directions(store, part)
            labels[part], second = _core.assign_lists(rows, centroids, spill, n_jobs=n_jobs)
            if others is not None:
                others[part] = second
            bar.advance(len(rows))
    return centroids, (labels, others)


def directions(store: RowStore, part: slice | NDArray[np.int64]) -> NDArray[np.float32]:
    """Return rows as centroids see them: of unit length under cosine."""
    positions = np.arange(*part.indices(store.n)) if isinstance(part, slice) else part
    whole = store.kind == "float32" and len(store.values) >= store.n
    rows: NDArray[np.float32] = store.values[part] if whole else store.decoded(positions)
    norms = store.norms
    if store.metric != "cosine" or norms is None or len(rows) == 0:
        return rows
    own = norms[part]
    if np.abs(own - 1.0).max() < 1e-5:
        return rows
    return (rows / own[:, None]).astype(np.float32)
