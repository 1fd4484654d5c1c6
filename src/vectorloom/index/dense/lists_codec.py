# SPDX-License-Identifier: Apache-2.0
"""Inverted lists whose codes any compressor makes: what is left of a row beside its centroid.

    x ~ x' = c + decode(z),    <q, x'> = <q, c> + score(q, z),    z = encode(x - c)

and by |x'|, which is kept, distances and cosines follow. Codes propose the `reach` best of the
probed lists (a number of rows here, measured like everything in lists_calibration.py); these are
scored from the rows, or, where codes are all there is, from what they decode to.

Cost: a query scores each code of its lists once: codes of a byte a part (PQ) in one sweep that
keeps the best, others in the compressor's own kernel, sorted out with NumPy, some ten nanoseconds a
row. Codes made for lists (lists.py) are several times as fast and need no memory more than scalar
codes of 8 or 4 bits; these here go below.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.codebook.pq import PartCodes
from vectorloom.compress.codes import Codes
from vectorloom.compress.compressor import Compressor
from vectorloom.errors import FormatError
from vectorloom.index.answer import Ranged, all_within, best_first, one_after_another
from vectorloom.index.dense.lists import InvertedLists, Probing, directions, grouped
from vectorloom.index.dense.lists_calibration import REFERENCE, Calibration, calibrate
from vectorloom.index.dense.store import RowStore

if TYPE_CHECKING:
    from vectorloom.io.container import Container

_TRAINING = 65_536  # rows that a compressor learns from
_BLOCK = 32_768  # rows coded at a time
_FEW = 8  # queries that meet all codes at a time
_TRIALS = 128  # rows whose neighbours' ranks among all codes are measured
_POOR = 0.95


class CodecLists(InvertedLists):
    """Inverted lists of a compressor's codes.

    Parameters
    ----------
    metric : {"cosine", "ip", "l2"}
    centroids : ndarray of shape (n_lists, dim), float32
    codec : Compressor
        Fitted to what rows leave beside their centroids.
    final : bool
        Whether codes are all that is kept of rows.
    places : (labels, None) or None
        The list of each position; None where rows are coded.
    calibrations : tuple of Calibration
    """

    def __init__(
        self,
        metric: str,
        centroids: NDArray[np.float32],
        codec: Compressor,
        final: bool,
        places: tuple[NDArray[np.int32], NDArray[np.int32] | None] | None,
        calibrations: tuple[Calibration, ...] = (),
    ) -> None:
        self._start(metric, centroids, places, calibrations)
        self.codec = codec
        self._final = final
        self._warned = False
        self._columns = _columns_of(codec)
        self._centre_squares = np.einsum("ij,ij->i", centroids, centroids)
        self.arrays: dict[str, NDArray[Any]] | None = None  # order, starts, codes, squares

    @classmethod
    def learn(
        cls,
        store: RowStore,
        n_lists: int,
        codec: Compressor,
        final: bool,
        seed: int,
        n_jobs: int | None,
    ) -> CodecLists:
        """Return calibrated lists of all positions of a store of float rows.

        The compressor is copied, and the copy fitted.

        Warns
        -----
        UserWarning
            Codes are all that is kept, and lose many neighbours.
        """
        centroids, places = grouped(store, n_lists, False, seed, n_jobs)
        own = type(codec)(**codec.get_params(deep=False))
        at = np.unique(np.linspace(0, store.n - 1, min(store.n, _TRAINING)).astype(np.int64))
        own.fit(directions(store, at) - centroids[places[0][at]])
        lists = cls(store.metric, centroids, own, final, (places[0], None))
        lists.code(store, n_jobs)
        lists.places = (places[0], None)
        lists.calibrations, lists.ranging = calibrate(lists, store, seed, n_jobs)
        lists.places = None
        lists._known = {}
        return lists

    @property
    def coded(self) -> bool:
        """Whether the rows in lists are coded, so that they can be searched."""
        return self.arrays is not None

    @property
    def final(self) -> bool:
        """Whether codes are all that is kept of rows."""
        return self._final

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        measured = (array for one in self.calibrations for array in one.arrays.values())
        held = [self.centroids, *measured, *(self.places or ()), *(self.arrays or {}).values()]
        return int(sum(array.nbytes for array in held if array is not None))

    # ---- change --------------------------------------------------------------------------------

    def standing(self) -> tuple[NDArray[np.int32], None]:
        """Return the list of each listed position; there is no second one."""
        if self.places is not None:
            return self.places[0], None
        assert self.arrays is not None
        labels = np.empty(self.n_listed, np.int32)
        sizes = np.diff(self.arrays["starts"])
        labels[self.arrays["order"]] = np.repeat(np.arange(len(self), dtype=np.int32), sizes)
        return labels, None

    def _with(self, labels: NDArray[np.int32], others: NDArray[np.int32] | None) -> CodecLists:
        places = (labels, None)
        lists = CodecLists(
            self.metric, self.centroids, self.codec, self._final, places, self.calibrations
        )
        lists.ranging = self.ranging
        return lists

    def code(self, store: RowStore, n_jobs: int | None) -> None:
        """Code the rows in lists, list by list."""
        labels, _ = self.standing()
        n = self.n_listed
        order = np.argsort(labels, kind="stable").astype(np.int64)
        starts = np.zeros(len(self) + 1, np.int64)
        np.cumsum(np.bincount(labels, minlength=len(self)), out=starts[1:])
        codes = np.empty((n, self.codec.bytes_per_vector_), np.uint8)
        squares = np.empty(0 if self.metric == "ip" else n, np.float32)
        for first in range(0, n, _BLOCK):
            part = order[first : first + _BLOCK]
            base = self.centroids[labels[part]]
            coded = self.codec.transform(directions(store, part) - base)
            codes[first : first + _BLOCK] = np.asarray(coded)
            if len(squares):
                rows = base + self.codec.inverse_transform(coded)
                squares[first : first + _BLOCK] = np.einsum("ij,ij->i", rows, rows)
        self.arrays = {"order": order, "starts": starts, "codes": codes, "squares": squares}
        self.places, self._place_of = None, None

    def _order(self) -> NDArray[Any]:
        assert self.arrays is not None  # rows are coded
        return self.arrays["order"]

    def _decoded_at(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        assert self.arrays is not None
        lists = np.searchsorted(self.arrays["starts"], places, side="right") - 1
        codes = Codes(self.arrays["codes"][places], self.codec.fingerprint_)
        rows: NDArray[np.float32] = self.centroids[lists] + self.codec.inverse_transform(codes)
        if self.metric == "cosine":
            rows /= np.sqrt(np.maximum(self.arrays["squares"][places], 1e-30))[:, None]
        return rows

    def to_file(self, prefix: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return header entries and arrays, besides centroids and calibrations."""
        from vectorloom.compress.storage import flatten

        assert self.arrays is not None
        meta, arrays = flatten(self.codec, prefix + "codec.")
        arrays |= {prefix + name: array for name, array in self.arrays.items()}
        return {"codec": meta}, arrays

    # ---- searching -----------------------------------------------------------------------------

    def reaches(
        self,
        store: RowStore,
        sample: NDArray[np.int64],
        neighbours: NDArray[np.int64],
        n_jobs: int | None,
    ) -> NDArray[np.float64]:
        """Return how many rows codes must propose for each true neighbour to be among them."""
        assert self.arrays is not None
        ranks = []
        rows = np.arange(min(_TRIALS, len(sample)))
        place = np.empty(self.n_listed, np.int64)
        place[self._order()] = np.arange(self.n_listed)
        for first in range(0, len(rows), _FEW):
            part = rows[first : first + _FEW]
            queries = store.decoded(sample[part])
            values = self._values(queries, np.arange(len(self)), _nearness(self, queries))
            values[np.arange(len(part)), place[sample[part]]] = -np.inf
            own = np.take_along_axis(values, place[neighbours[part]], axis=1)
            ranks += [
                1 + np.count_nonzero(row > its[:, None], axis=1)
                for row, its in zip(values, own, strict=True)
            ]
        found = np.sort(np.concatenate(ranks).astype(np.float64), axis=None)
        return np.stack([found, found])

    def lost(self, gaps: NDArray[np.float64], among: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return gaps as they are, having said once how many true neighbours codes lose."""
        if self._warned or among.mean() >= _POOR:
            return gaps
        self._warned = True
        warnings.warn(
            f"codes of {self.codec.bytes_per_vector_} bytes are all that is kept of a row: by them "
            f"{among.mean():.0%} of the true {among.shape[1]} nearest are found at most, and "
            "recall= is a share of these. Pass rerank=True to keep the rows, or a finer code.",
            UserWarning,
            stacklevel=8,
        )
        return gaps

    def search_all(
        self, store: RowStore, queries: NDArray[np.float32], k: int, n_jobs: int | None
    ) -> Any:
        """Return what codes find where that is final, else the exact answer."""
        if not self._final:
            return super().search_all(store, queries, k, n_jobs)
        probing = Probing(n_probes=len(self))
        proposed = self._proposed(queries, probing, k, None, n_jobs)
        return self._settled(store, queries, proposed, k, n_jobs)

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

        With all lists probed the answer is exact.
        """
        n = self.n_listed
        if probing.n_probes >= len(self):
            norms, keys = store.row_norms, store.ids.tie_keys()
            assert norms is not None  # rows are floats
            return _core.exact_search(
                store.rows_before(n), norms[:n], None, store.metric, queries, k,
                None if mask is None else mask[:n], None if keys is None else keys[:n], n_jobs,
            )  # fmt: skip
        proposed = self._proposed(queries, probing, k, mask, n_jobs)
        return self._settled(store, queries, proposed, k, n_jobs)

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

        All rows of the lists that the recall needs are scored; None: of all lists.
        """
        probing = self.range_probing(recall)
        if probing.n_probes >= len(self):
            return all_within(store, queries, least, mask, n_jobs)
        near = _nearness(self, queries)
        chosen = _chosen(self.metric, queries, near, self.centroids, probing)
        chosen |= self._in_range(queries, near, least, recall)
        parts = []
        for i in range(len(queries)):
            positions = np.concatenate(
                [self._part("order", at) for at in np.flatnonzero(chosen[i])]
            )
            if mask is not None:
                positions = positions[mask[positions] != 0]
            own = queries[i : i + 1]
            found, scores, _ = self._settled(store, own, positions[None], len(positions), n_jobs)
            keep = scores[0] >= least[i]
            parts.append((np.array([0, keep.sum()]), found[0][keep], scores[0][keep]))
        return one_after_another(parts)

    def _in_range(
        self,
        queries: NDArray[np.float32],
        products: NDArray[np.float32],
        least: NDArray[np.float64],
        recall: float | None,
    ) -> NDArray[np.bool_]:
        """Return the lists that ranges need; the terms are those of lists_range.py."""
        assert self.ranging is not None
        assert recall is not None
        near = products.astype(np.float64)
        norms = np.linalg.norm(queries.astype(np.float64), axis=1)[:, None]
        norms = np.maximum(norms, np.finfo(np.float64).tiny)
        if self.metric == "l2":
            near = 2.0 * near - np.einsum("ij,ij->i", self.centroids, self.centroids) - norms**2
        else:
            near /= norms
        own = least / norms[:, 0] if self.metric == "ip" else least
        reference = -np.sort(-near, axis=1)[:, :REFERENCE].mean(axis=1)
        floors = self.ranging.floors(own, recall) + self.ranging.along * reference
        return np.asarray(near >= floors[:, None])

    def _proposed(
        self,
        queries: NDArray[np.float32],
        probing: Probing,
        k: int,
        mask: NDArray[np.uint8] | None,
        n_jobs: int | None,
    ) -> NDArray[np.int64]:
        """Return the positions that codes propose for each query, -1 where there are no more."""
        measured = self.calibrations[-1].k if self.calibrations else k
        reach = probing.reach * max(1.0, k / measured)
        width = min(self.n_listed, max(k, int(np.ceil(reach))))
        near = _nearness(self, queries)
        if self._looked_up:
            return self._proposed_by_lookup(queries, near, probing, width, mask, n_jobs)
        out = np.full((len(queries), width), -1, np.int64)
        chosen = _chosen(self.metric, queries, near, self.centroids, probing)
        for i in range(len(queries)):  # lists are too short to be worth a call each
            lists = np.flatnonzero(chosen[i])
            values = self._values(queries[i : i + 1], lists, near[i : i + 1])[0]
            positions = np.concatenate([self._part("order", at) for at in lists])
            _keep_best(values, positions, mask, out[i])
        return out

    @property
    def _looked_up(self) -> bool:
        """Whether codes are a byte a part, summed up by tables."""
        return self._columns is not None

    def _proposed_by_lookup(
        self,
        queries: NDArray[np.float32],
        near: NDArray[np.float32],
        probing: Probing,
        width: int,
        mask: NDArray[np.uint8] | None,
        n_jobs: int | None,
    ) -> NDArray[np.int64]:
        assert isinstance(self.codec, PartCodes)
        assert self.arrays is not None
        assert self._columns is not None
        gaps = np.full(len(queries), probing.gap, np.float32)
        if self.metric != "l2":
            gaps *= np.sqrt(np.einsum("ij,ij->i", queries, queries))
        proposed: NDArray[np.int64] = _core.propose_by_lookup(
            np.ascontiguousarray(self.codec._asked(queries)),
            self._columns,
            near,
            self._centre_squares,
            gaps,
            probing.n_probes,
            self.arrays["codes"],
            self.arrays["starts"],
            self.arrays["order"],
            self.arrays["squares"],
            self.metric,
            width,
            mask,
            n_jobs,
        )
        return proposed

    def _part(self, name: str, at: Any) -> NDArray[Any]:
        assert self.arrays is not None
        starts = self.arrays["starts"]
        return self.arrays[name][starts[at] : starts[at + 1]]

    def _values(
        self, queries: NDArray[np.float32], lists: NDArray[Any], near: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return what rows of these lists are ordered by for each query."""
        assert self.arrays is not None
        if len(lists) == len(self):
            codes, squares = self.arrays["codes"], self.arrays["squares"]
        else:
            codes = np.concatenate([self._part("codes", at) for at in lists])
            squares = np.concatenate([self._part("squares", at) for at in lists])
        sizes = np.diff(self.arrays["starts"])[lists]
        if not len(codes):
            return np.empty((len(queries), 0), np.float32)
        found = self.codec.scores(queries, Codes(codes, self.codec.fingerprint_), "ip")
        values: NDArray[np.float32] = found + np.repeat(near[:, lists], sizes, axis=1)
        if self.metric == "l2":
            values *= 2
            values -= squares
        elif self.metric == "cosine":
            values /= np.sqrt(np.maximum(squares, 1e-30))
        return values

    def _settled(
        self,
        store: RowStore,
        queries: NDArray[np.float32],
        proposed: NDArray[np.int64],
        k: int,
        n_jobs: int | None,
    ) -> Any:
        """Return the k best of what was proposed, by scores of rows or of what codes decode to."""
        norms = store.row_norms
        assert norms is not None  # rows are floats
        rows, at = store.rows_before(self.n_listed) if not self._final else None, proposed
        if rows is None:
            there = proposed >= 0
            used, place = np.unique(proposed[there], return_inverse=True)
            at = np.full(proposed.shape, -1, np.int64)
            at[there] = place
            rows = _core.Rows(self._as_held(store, used), "float32")
            norms = _core.norms(rows, 1)
        scores = _core.score_rows(rows, norms[: len(rows)], store.metric, queries, at, n_jobs)
        return best_first(store, proposed, scores, k)

    def _as_held(self, store: RowStore, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = self.decoded(positions)
        if self.metric == "cosine" and store.norms is not None:
            rows *= store.norms[positions, None].astype(np.float32)
        return rows


def read_codec_lists(
    file: Container,
    prefix: str,
    metric: str,
    centroids: NDArray[np.float32],
    calibrations: tuple[Calibration, ...],
    final: bool,
) -> CodecLists:
    """Return the lists of a file, mapped, their arrays checked.

    Raises
    ------
    FormatError
        They do not belong together.
    """
    from vectorloom.compress.storage import restore

    codec = restore(file.meta["codec"], file)
    starts = file.array(prefix + "starts", "<i8", (len(centroids) + 1,))
    n = int(starts[-1])
    arrays = {
        "order": file.array(prefix + "order", "<i8", (n,)),
        "starts": starts,
        "codes": file.array(prefix + "codes", "|u1", (n, codec.bytes_per_vector_)),
        "squares": file.array(prefix + "squares", "<f4", (0 if metric == "ip" else n,)),
    }
    order = arrays["order"]
    seen = np.zeros(n, np.bool_)
    seen[order[(order >= 0) & (order < n)]] = True
    if starts[0] != 0 or (np.diff(starts) < 0).any() or not seen.all():
        raise FormatError("a list does not begin where another ends, or a row is in none")
    lists = CodecLists(metric, centroids, codec, final, None, calibrations)
    lists.arrays, lists.n_listed = arrays, n
    return lists


def _columns_of(codec: Compressor) -> NDArray[np.float32] | None:
    """Return the words of byte codes, (n_parts, width, 256); None for other codes."""
    if not isinstance(codec, PartCodes) or codec._words().shape[1] != 256:
        return None
    return np.ascontiguousarray(codec._words().transpose(0, 2, 1))


def _nearness(lists: CodecLists, queries: NDArray[np.float32]) -> NDArray[np.float32]:
    return _core.matmul(queries, lists.centroids, 1)


def _chosen(
    metric: str,
    queries: NDArray[np.float32],
    products: NDArray[np.float32],
    centroids: NDArray[np.float32],
    probing: Probing,
) -> NDArray[np.bool_]:
    """Return which lists to probe for each query: the nearest, or those within the gap."""
    near = products.astype(np.float64)
    if metric == "l2":
        near = 2.0 * near - np.einsum("ij,ij->i", centroids, centroids)
    chosen = np.zeros(near.shape, np.bool_)
    if probing.n_probes:
        width = min(probing.n_probes, near.shape[1])
        at = np.argpartition(-near, width - 1, axis=1)[:, :width]
        np.put_along_axis(chosen, at, True, axis=1)
        return chosen
    best = -np.sort(-near, axis=1)[:, :REFERENCE]
    gap = best.mean(axis=1)[:, None] - near
    if metric != "l2":
        norms = np.linalg.norm(queries.astype(np.float64), axis=1)
        gap /= np.maximum(norms, np.finfo(np.float64).tiny)[:, None]
    chosen[:] = (gap <= probing.gap) | (near >= best[:, :1])
    return chosen


def _keep_best(
    values: NDArray[np.float32],
    positions: NDArray[np.int64],
    mask: NDArray[np.uint8] | None,
    out: NDArray[np.int64],
) -> None:
    """Write the positions of the largest values to `out`, in no order."""
    if mask is not None:
        keep = mask[positions] != 0
        values, positions = values[keep], positions[keep]
    width = len(out)
    if len(values) > width:
        positions = positions[np.argpartition(-values, width - 1)[:width]]
    out[: len(positions)] = positions
