# SPDX-License-Identifier: Apache-2.0
"""The first stage of a multi-vector search: encodings in a dense index, and how deep to look.

How deep is measured: items are taken as queries, the true best ten of each are found exactly, and
the places that these have among the candidates are kept. The depth for a recall is the place that
such a share of them stays below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import InternalError, ParameterError
from vectorloom.index.dense.exact import Exact
from vectorloom.index.hits import Hits
from vectorloom.index.multivector.fde import FDE
from vectorloom.index.multivector.store import ItemStore
from vectorloom.index.multivector.token_vectors import TokenVectors, run_offsets, unit_rows

CALIBRATION_K = 10
_SAMPLE = 64  # items taken as queries
_QUERY_VECTORS = 32  # of an item taken as a query
_DEEPEST = 4096
_BLOCK_VECTORS = 1 << 18  # vectors decoded and encoded at a time
#: A place that no candidate list reached.
_NOWHERE = np.iinfo(np.int64).max


class CandidateStage:
    """Encodings of all items in a dense index.

    Parameters
    ----------
    encoder : FDE
    index : index with ``fit``, ``add``, ``remove`` and ``search``
        Of inner products, empty.
    metric : {"cosine", "ip"}
        Under cosine vectors are encoded with unit length.
    """

    name = "muvera"

    def __init__(self, encoder: FDE, index: Any, metric: str) -> None:
        # The limit is one of all encodings as the index holds them, not of a block being encoded.
        self._limited = encoder
        self.encoder = FDE(**(encoder.get_params() | {"memory_limit": None}))
        self.index = index
        self.metric = metric
        # Places of true neighbours among candidates, ascending, of so many items.
        self.places: NDArray[np.int64] = np.empty(0, np.int64)
        self.n_calibrated = 0

    @property
    def encoding(self) -> Any:
        """What names the stage among the parameters of an index."""
        return self.encoder

    def extend(self, store: ItemStore, tokens: TokenVectors, ids: NDArray[Any]) -> None:
        """Add the encodings of new items; what an index of rows can take in parts goes in parts."""
        self.check_room(store.n_live + len(tokens))
        step = _BLOCK_VECTORS if isinstance(self.index, Exact) else int(tokens.offsets[-1]) + 1
        done = 0
        try:
            for first, last in tokens.blocks(step):
                self.index.add(self._encoded(tokens.part(first, last)), ids[first:last])
                done = last
        except BaseException:  # Ctrl-C as well: nothing half applied
            if done:
                self.index.remove(ids[:done])
            raise

    def check_room(self, n: int) -> None:
        """Refuse what the encodings of `n` items would take beyond the encoder's limit."""
        dtype = str(getattr(self.index, "dtype", "float32"))
        each = {"int8": 1, "uint8": 1, "float16": 2, "bfloat16": 2}.get(dtype, 4)
        self._limited.check_room(n, each * self.encoder.output_dim_)

    def _encoded(self, tokens: TokenVectors) -> NDArray[np.float32]:
        return self.encoder.encode_documents(self._normal(tokens, "X"))

    def _normal(self, tokens: TokenVectors, name: str) -> TokenVectors:
        values = np.asarray(tokens.values, np.float32)
        if self.metric == "cosine":
            values = unit_rows(values, name=name)
        return TokenVectors(values, tokens.offsets)

    def find(
        self, store: ItemStore, queries: TokenVectors, n: int, where: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of the candidates of all queries, in runs, and the runs' limits."""
        hits = self._candidates(queries, n, where)
        kept = np.arange(hits.ids.shape[1]) < hits.counts[:, None]
        found = store.find(hits.ids[kept])
        if len(found) and int(found.min()) < 0:
            raise InternalError("the candidates' index holds an item that is not there")
        return found, run_offsets(hits.counts)

    def _candidates(self, queries: TokenVectors, n: int, where: Any) -> Hits:
        encoded = self.encoder.encode_queries(self._normal(queries, "queries"))
        if getattr(self.index, "dtype", None) == "int8":
            encoded = _whole_numbers(encoded)
        found: Hits = self.index.search(encoded, k=n, where=where)
        return found

    # ---- how deep ------------------------------------------------------------------------------

    def calibrate(
        self, store: ItemStore, queries: TokenVectors | None, random_state: int, n_jobs: int | None
    ) -> None:
        """Measure at which places candidates hold the true best items.

        Parameters
        ----------
        store : ItemStore
        queries : TokenVectors or None
            None takes items as queries, each without itself.
        random_state : int
        n_jobs : int or None
        """
        own = None
        if queries is None:
            queries, own = _items_as_queries(store, random_state)
        if len(queries) == 0 or store.n_live == 0:
            return
        k = min(CALIBRATION_K + (own is not None), store.n_live)
        best, _, counts = store.search(queries, k, store.live, n_jobs)
        depth = min(_DEEPEST, store.n_live)
        candidates, limits = self.find(store, queries, depth, None)
        places = []
        for q in range(len(queries)):
            true = best[q, : counts[q]]
            order = candidates[limits[q] : limits[q + 1]]
            if own is not None:
                true = true[true != own[q]][:CALIBRATION_K]
                order = order[order != own[q]]
            at = {int(position): place for place, position in enumerate(order.tolist())}
            places += [at.get(int(position), _NOWHERE) for position in true.tolist()]
        self.places = np.sort(np.array(places, np.int64))
        self.n_calibrated = store.n_live

    def depth(self, recall: float, k: int, n: int) -> int:
        """Return the number of candidates for a recall of the best k among n items."""
        if not 0.0 < recall <= 1.0:
            raise ParameterError(f"recall must be above 0 and at most 1; got {recall!r}.")
        if len(self.places) == 0 or self.n_calibrated == 0:
            return n
        rank = min(len(self.places), math.ceil(recall * len(self.places))) - 1
        place = int(self.places[max(rank, 0)])
        if place == _NOWHERE:
            return n
        share = max(1.0, k / CALIBRATION_K) * max(1.0, n / self.n_calibrated)
        return min(n, max(k, math.ceil((place + 1) * share)))

    # ---- files ---------------------------------------------------------------------------------

    def to_meta(self) -> dict[str, Any]:
        """Return what a file's header keeps beside the index."""
        return {"encoder": self._limited.get_params(), "n_calibrated": self.n_calibrated}

    @classmethod
    def opened(
        cls, meta: Mapping[str, Any], index: Any, places: NDArray[np.int64], metric: str
    ) -> CandidateStage:
        """Return the stage of a file."""
        stage = cls(FDE(**meta["encoder"]), index, metric)
        stage.places, stage.n_calibrated = places, int(meta["n_calibrated"])
        return stage

    def copy(self) -> CandidateStage:
        """Return a writable copy."""
        twin = CandidateStage(self._limited, self.index.copy(), self.metric)
        twin.places, twin.n_calibrated = np.array(self.places), self.n_calibrated
        return twin


def encoded_stage(index: Any, dim: int) -> CandidateStage:
    """Return the empty stage of encodings that the parameters of a `MultiVector` describe.

    Raises
    ------
    ParameterError
        An encoding for another dimension, or no such encoding; an index of another metric.
    """
    if isinstance(index.encoding, FDE):
        params = index.encoding.get_params()
        if params["dim"] != dim:
            raise ParameterError(
                f"encoding is for vectors of {params['dim']} dimensions and these have {dim}; "
                f"pass FDE(dim={dim}, …)."
            )
    elif index.encoding == "muvera":
        params = {"dim": dim, "random_state": index.random_state}
    else:
        raise ParameterError(
            f"encoding must be 'muvera', 'windows', an FDE or None; got {index.encoding!r}."
        )
    params |= {"n_jobs": index.n_jobs}
    if index.memory_limit is not None:
        params["memory_limit"] = index.memory_limit
    if index.index is None:
        dense: Any = Exact(metric="ip", dtype="int8", n_jobs=index.n_jobs)
    else:
        dense = type(index.index)(**index.index.get_params(deep=False))
        if getattr(dense, "metric", "ip") != "ip":
            raise ParameterError(
                f"index must have metric='ip', which is what encodings approximate; it has "
                f"{dense.metric!r}."
            )
    return CandidateStage(FDE(**params), dense, index.metric)


def _whole_numbers(encoded: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return queries in steps of 1/127 of their largest entry.

    Products of bytes are then exact, and the index has no error bound to settle in float64: five
    times as fast (measured at 10,240 dimensions). The steps are far below the projections' noise.
    """
    largest = np.maximum(np.abs(encoded).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    whole: NDArray[np.float32] = np.rint(encoded * (np.float32(127) / largest))
    return whole


def _items_as_queries(
    store: ItemStore, random_state: int
) -> tuple[TokenVectors, NDArray[np.int64]]:
    """Return some items thinned to the length of queries, and their positions."""
    live = store.live_positions
    rng = np.random.default_rng(random_state)
    chosen = np.sort(rng.choice(live, min(_SAMPLE, len(live)), replace=False))
    tokens = store.tokens(chosen)
    rows, lengths = [], []
    for i, m in enumerate(tokens.lengths.tolist()):
        kept = np.unique(np.linspace(0, m - 1, min(m, _QUERY_VECTORS)).astype(np.int64))
        rows.append(tokens.offsets[i] + kept)
        lengths.append(len(kept))
    if not rows:
        return tokens, chosen
    values = np.asarray(tokens.values[np.concatenate(rows)], np.float32)
    return TokenVectors(values, run_offsets(np.array(lengths, np.int64))), chosen
