# SPDX-License-Identifier: Apache-2.0
"""The links and codes behind `Graph`: built, calibrated, changed and read back from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import FormatError, VectorloomError
from vectorloom.estimator import check_jobs
from vectorloom.index.answer import Ranged
from vectorloom.index.dense.graph_code import Head, bits_for
from vectorloom.index.dense.graph_memory import (
    FACTORS,
    LINE,
    LIST_ROWS,
    MOST_BYTES,
    MOST_LINES,
    PROBES,
    SAMPLE,
    VARIANCE,
    code_bytes,
    least_bytes,
    scratch_folder,
)
from vectorloom.index.dense.graph_reach import RANKS, Reaches, measured
from vectorloom.index.dense.prepared import Prepared
from vectorloom.index.dense.screen import mix, principal_directions
from vectorloom.index.dense.store import RowStore
from vectorloom.index.memory import beyond_memory, require_memory
from vectorloom.io.container import Container

#: Nodes a walk keeps at most, and so many times k.
MOST_KEPT = 512
KEPT_PER_HIT = 10
_ALPHA = 1.1
# A walk scores all entries before it begins: among few rows that is as much work as the walk.
_ENTRIES, _ROWS_AN_ENTRY = (64, 256), 128

_ANY = Head()


class Space:
    """The rotation that points are coded in.

    Parameters
    ----------
    matrix : ndarray of shape (m, dim), float32
        Orthonormal rows, and zero rows behind them; the first `head_dim` are scored in a walk.
    origin : ndarray of shape (dim,), float32
    head_bits : {4, 8, 32}
        Of an element of the head; 32 are floats.
    head_dim : int
    """

    def __init__(
        self,
        matrix: NDArray[np.float32],
        origin: NDArray[np.float32],
        head_bits: int,
        head_dim: int,
    ) -> None:
        self.matrix = matrix
        self.origin = origin
        self.head_bits = head_bits
        self.head_dim = head_dim

    @classmethod
    def fit(cls, points: NDArray[np.float64], asked: Head) -> Space:
        """Return the space of a sample of points (n, dim)."""
        dim = points.shape[1]
        origin = points.mean(axis=0)
        centred = points - origin
        given = None if asked.directions is None else _orthonormal(asked.directions, dim)
        basis = _completed(given, centred)
        bits = asked.bits or bits_for(dim)
        if given is not None:
            head = len(given)
        elif asked.size or dim <= MOST_BYTES or bits == 32:
            head = min(asked.size or dim, dim)
        else:
            head = min(_head_dim(centred, basis, bits), dim)
        if bits != 32:
            mix(basis, head)
        matrix = np.zeros((dim + dim % 2, dim), np.float32)
        matrix[:dim] = basis
        return cls(matrix, origin.astype(np.float32), bits, head + head % 2 if bits == 4 else head)


def _orthonormal(directions: NDArray[np.float32], dim: int) -> NDArray[np.float64]:
    """Return orthonormal rows that span what these do, and all dimensions that they lack."""
    m, own = directions.shape
    wide = np.zeros((m + dim - own, dim))  # the coordinate that ip adds to points tells most
    wide[:m, :own] = directions
    wide[m:, own:] = np.eye(dim - own) * np.abs(directions).max()
    _, sizes, rows = np.linalg.svd(wide, full_matrices=False)
    return np.asarray(rows[sizes > 1e-6 * sizes[:1]], np.float64)


def _completed(given: NDArray[np.float64] | None, centred: NDArray[np.float64]) -> NDArray[Any]:
    """Return an orthonormal basis: the given rows, then principal directions of what they leave."""
    if given is None:
        return principal_directions(centred)
    rest = principal_directions(centred - centred @ given.T @ given)
    # The last directions of the rest are those it has nothing in.
    basis, _ = np.linalg.qr(np.concatenate([given, rest])[: centred.shape[1]].T)
    return np.ascontiguousarray(basis.T)


def _head_dim(centred: NDArray[np.float64], basis: NDArray[np.float64], bits: int) -> int:
    """Return the elements of the fewest cache lines that hold enough of the variance."""
    spread = np.cumsum(((centred @ basis.T) ** 2).mean(axis=0))
    for lines in range(1, MOST_LINES):
        head = (lines * LINE - FACTORS) * 4 // bits
        if head >= len(spread) or spread[head - 1] >= VARIANCE * spread[-1]:
            return head
    return (MOST_LINES * LINE - FACTORS) * 4 // bits


class ProximityGraph:
    """A graph of the first rows of a store, with what its searches are calibrated by.

    Parameters
    ----------
    core : GraphCore
    space : Space
    radius : float
        Of the points under ip; see core/index/points.h.
    reaches : Reaches
        How far walks must reach, as measured.
    n_rows : int
        Rows of the store that are in the graph: the first ones.
    on_disk : bool, default=False
        The rows are a file's that memory may not hold: those to be scored are asked for together.
    """

    def __init__(
        self,
        core: _core.GraphCore,
        space: Space,
        radius: float,
        reaches: Reaches,
        n_rows: int,
        on_disk: bool = False,
    ) -> None:
        self.core = core
        self.space = space
        self.radius = radius
        self.reaches = reaches
        self.n_rows = n_rows
        self.n_built = n_rows
        self.on_disk = on_disk
        self._prepared = Prepared()

    @classmethod
    def build(
        cls,
        store: RowStore,
        degree: int,
        seed: int,
        n_jobs: int | None,
        room: int | None = None,
        head: Head = _ANY,
    ) -> ProximityGraph:
        """Return the calibrated graph of all positions of a store, within `room` bytes.

        What does not fit is in temporary files for a while; the graph is the same.

        Raises
        ------
        CapacityError
            The graph itself takes more.
        OSError
            No place for temporary files.
        """
        n = store.n
        norms = store.row_norms
        assert norms is not None  # rows are numbers
        radius = float(np.float32(norms.max() * (1 + 1e-6))) if store.metric == "ip" else 0.0
        sample = np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64))
        space = Space.fit(_points(store, sample, radius), head)
        spare = None if room is None else _spare(room, n, space, degree, n_jobs)
        core = _core.GraphCore(
            store.rows,
            norms,
            store.metric,
            radius,
            space.matrix,
            space.origin,
            space.head_bits,
            space.head_dim,
            degree=degree,
            candidates=min(128, max(32, degree)),
            probes=PROBES,
            list_rows=LIST_ROWS,
            refined=min(128, degree + degree // 3),
            first_degree=max(8, degree * 2 // 3),
            entries=min(_ENTRIES[1], max(_ENTRIES[0], n // _ROWS_AN_ENTRY)),
            alpha=_ALPHA,
            seed=seed,
            n_jobs=n_jobs,
            folder=scratch_folder(),
            room=spare,
        )
        graph = cls(core, space, radius, Reaches.unknown(), n, on_disk=store.read_only)
        graph.calibrate(store, seed, n_jobs)
        return graph

    def __len__(self) -> int:
        return len(self.core)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return int(self.core.nbytes + self.space.matrix.nbytes + self.space.origin.nbytes)

    # ---- change --------------------------------------------------------------------------------

    def extend(self, store: RowStore, n_jobs: int | None) -> None:
        """Take the rows behind `n_rows` in."""
        self.core.insert(
            store.rows, store.row_norms, store.metric, self.radius, self.n_rows, _ALPHA, n_jobs
        )
        self.n_rows = store.n

    def compact(self, keep: NDArray[np.int64], n_jobs: int | None) -> bool:
        """Follow rows that moved: position keep[i] is now i. False: no row is left."""
        moved = np.full(self.n_rows, -1, np.int64)
        kept = keep[: np.searchsorted(keep, self.n_rows)]
        moved[kept] = np.arange(len(kept))
        self.n_rows = len(kept)
        return self.core.compact(moved, n_jobs)

    def copy(self) -> ProximityGraph:
        """Return a graph in memory of its own."""
        core = self._opened(self.core.arrays(), self.space, self.n_rows, copy=True)
        return ProximityGraph(core, self.space, self.radius, self.reaches, self.n_rows)

    # ---- searching -----------------------------------------------------------------------------

    def search(
        self,
        store: RowStore,
        queries: NDArray[np.float32],
        k: int,
        effort: int,
        reach: float,
        mask: NDArray[np.uint8] | None = None,
        n_matches: int = 0,
        budget: int = 0,
        without: NDArray[np.int64] | None = None,
        n_jobs: int | None = None,
    ) -> Any:
        """Return positions, scores and counts; a count is -1 where the budget ran out.

        `effort` nodes are kept at most; with `reach` above 0 a walk ends at what is so many times
        as far as the k-th nearest.
        """
        return self.core.search(
            store.rows,
            store.row_norms,
            store.metric,
            self.radius,
            queries,
            k,
            effort,
            reach,
            mask,
            n_matches,
            budget,
            store.ids.tie_keys(),
            without,
            self.on_disk,
            n_jobs,
        )

    def answer(
        self, store: RowStore, queries: NDArray[Any], k: int, effort: int, reach: float, n_jobs: Any
    ) -> Any:
        """Return ids, scores, distances and counts by one call of the core; None: not possible.

        All rows must live; `n_jobs` as the user set it.
        """

        def prepare() -> _core.GraphSearch:
            return _core.GraphSearch(
                self.core,
                store.rows,
                store.row_norms,
                store.metric,
                self.radius,
                store.ids.tie_keys(),
                store.ids.numbers(),
                self.on_disk,
                check_jobs(n_jobs),
            )

        return self._prepared.search(store.rows, n_jobs, prepare)(queries, k, effort, reach)

    def within(
        self,
        store: RowStore,
        queries: NDArray[np.float32],
        least: NDArray[np.float64],
        effort: int,
        reach: float,
        mask: NDArray[np.uint8] | None,
        n_matches: int,
        budget: int,
        n_jobs: int | None,
    ) -> tuple[Ranged, NDArray[np.uint8]]:
        """Return (lims, positions, scores) of rows of these scores, and whether a walk did."""
        found: tuple[Ranged, NDArray[np.uint8]] = self.core.range(
            store.rows,
            store.row_norms,
            store.metric,
            self.radius,
            queries,
            least,
            effort,
            reach,
            mask,
            n_matches,
            budget,
            store.ids.tie_keys(),
            self.on_disk,
            n_jobs,
        )
        return found

    def calibrate(self, store: RowStore, seed: int, n_jobs: int | None) -> None:
        """Measure how far walks must reach."""

        def walk(
            queries: NDArray[np.float32], k: int, reach: float, without: NDArray[np.int64]
        ) -> NDArray[np.int64]:
            found: NDArray[np.int64] = self.search(
                store, queries, k, kept_for(k), reach, without=without, n_jobs=n_jobs
            )[0]
            return found

        arrays = self.core.arrays()
        known = measured(walk, arrays["row_of"], arrays["twins"], store, seed, n_jobs)
        if known is not None:
            self.reaches = known

    def health(self) -> dict[str, float]:
        """Return what `audit` says of the graph: degrees, and nodes that no entry leads to."""
        links = self.core.arrays()["links"]
        there = links != np.iinfo(np.uint32).max
        arriving = np.bincount(links[there], minlength=len(links))
        return {
            "nodes": float(len(links)),
            "mean out-degree": float(there.sum(axis=1).mean()),
            "mean in-degree": float(arriving.mean()),
            "largest in-degree": float(arriving.max()),
            "unreachable nodes": float(self.core.unreached()),
        }

    # ---- files ---------------------------------------------------------------------------------

    def to_file(self) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        """Return header entries and arrays."""
        meta = {
            "radius": self.radius,
            "head_bits": self.space.head_bits,
            "head_dim": self.space.head_dim,
            "n_rows": self.n_rows,
        }
        arrays = {"graph." + name: array for name, array in self.core.arrays().items()}
        arrays["graph.matrix"] = self.space.matrix
        arrays["graph.origin"] = self.space.origin
        arrays["graph.reaches"] = self.reaches.reaches
        arrays["graph.recalls"] = self.reaches.recalls
        return meta, arrays

    @classmethod
    def from_file(
        cls, file: Container, meta: Mapping[str, Any], store: RowStore, limit: int | None = None
    ) -> ProximityGraph:
        """Return the graph that a file holds: mapped, or in memory where the rows fill that.

        Rows fill memory that are half of what is left, or all of `limit` bytes.

        Raises
        ------
        FormatError
            The arrays do not fit the rows or each other.
        """
        dim = store.dim + (1 if store.metric == "ip" else 0)
        space = Space(
            file.array("graph.matrix", "<f4", (None, dim)),
            file.array("graph.origin", "<f4", (dim,)),
            int(meta["head_bits"]),
            int(meta["head_dim"]),
        )
        reaches = file.array("graph.reaches", "<f8", (None,))
        recalls = file.array("graph.recalls", "<f8", (len(reaches), len(RANKS)))
        on_disk = beyond_memory(store.values.nbytes, limit)
        n_rows, radius = int(meta["n_rows"]), float(meta["radius"])
        arrays = {
            name: file.arrays["graph." + name]
            for name in ("links", "codes", "row_of", "twins", "entries")
            if "graph." + name in file.arrays
        }
        if not 0 <= n_rows <= store.n:
            raise FormatError(f"{file.path}: the graph does not fit the rows.")
        try:
            core = cls._opened(arrays, space, n_rows, copy=on_disk)
        except (VectorloomError, TypeError, ValueError) as error:
            raise FormatError(f"{file.path}: the graph cannot be used ({error}).") from error
        return cls(core, space, radius, Reaches(reaches, recalls), n_rows, on_disk)

    @staticmethod
    def _opened(
        arrays: Mapping[str, NDArray[Any]], space: Space, n_rows: int, copy: bool = False
    ) -> _core.GraphCore:
        return _core.GraphCore.open(
            dict(arrays),
            space.matrix,
            space.origin,
            space.head_bits,
            space.head_dim,
            n_rows,
            copy,
        )

    def __getstate__(self) -> dict[str, Any]:
        arrays = {name: np.array(array) for name, array in self.core.arrays().items()}
        return self.__dict__ | {"core": arrays}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.core = self._opened(state["core"], self.space, self.n_rows, copy=True)


def _spare(room: int, n: int, space: Space, degree: int, n_jobs: int | None) -> int:
    """Return the bytes that a build may take for a while, or refuse what cannot be built."""
    dim = space.matrix.shape[1]
    code = code_bytes(dim, space.head_bits, space.head_dim)
    least = least_bytes(n, dim, degree, code, _core.resolve_jobs(n_jobs))
    require_memory(
        least,
        f"building the graph of {n:,} rows, beside the rows held,",
        "Map the rows from a file (vl.read, or np.load with mmap_mode='r'), which leaves them "
        "there; use a smaller degree, or raise memory_limit.",
        limit=room,
    )
    return room - least


def kept_for(k: int) -> int:
    """Return the nodes that a walk for k hits keeps at most."""
    return max(MOST_KEPT, KEPT_PER_HIT * k)


def _points(store: RowStore, positions: NDArray[np.int64], radius: float) -> NDArray[np.float64]:
    """Return rows as points of the graph; the same as core/index/points.cc."""
    rows: NDArray[np.float64] = store.decoded(positions).astype(np.float64)
    norms = store.norms
    assert norms is not None  # rows are numbers
    own = norms[positions]
    if store.metric == "cosine":
        return rows / own[:, None]
    if store.metric == "ip":
        rest = np.sqrt(np.maximum(0.0, radius**2 - own**2))
        return np.concatenate([rows, rest[:, None]], axis=1)
    return rows
