# SPDX-License-Identifier: Apache-2.0
"""The index that a recipe builds: reduce, search, score the best again.

answer = top k by the kept rows of { top depth * k of route(reduce(q)) }
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.compress.compressor import Compressor, unit
from vectorloom.errors import ParameterError
from vectorloom.estimator import Estimator, check_choice, check_count, check_jobs
from vectorloom.index.dense.exact import Exact
from vectorloom.index.dense.graph import Graph
from vectorloom.index.dense.ivf import IVF
from vectorloom.index.dense.row_index import RowIndex
from vectorloom.index.hits import Hits, distances_from_scores, pad_hits
from vectorloom.io.container import Container, register_loader
from vectorloom.tune.code_scan import CodeScan, holder_of
from vectorloom.tune.pipeline_parts import METRICS, Parts, read_parts, write_parts
from vectorloom.tune.recipe import Recipe
from vectorloom.vectors import as_dense, as_ids

KIND = "tune.pipeline"
_WALKED = 64  # rows from which a graph has links; `Graph` by itself scans its first thousands


class Pipeline(Estimator):
    """Index made by a recipe, searched as the recipe says.

    Parameters
    ----------
    recipe : Recipe or str
    metric : {"cosine", "ip", "l2"}, default="cosine"
    n_jobs : int or None, default=None
        Threads; None and -1 take all that the process is allowed.
    random_state : int, default=0

    Attributes
    ----------
    recipe_ : Recipe
    reducer_ : Compressor or None
        Fitted.
    inner_ : Exact, IVF, Graph or CodeScan
        What is searched, in the reduced space where there is a reducer.
    rows_ : Exact or None
        The vectors as they came, where a re-check needs them.
    dim_ : int
        Dimensions of a vector and of a query.
    nbytes_ : int
        Bytes held, all parts.

    Raises
    ------
    ParameterError, ShapeError
        See `vectorloom.index.Exact`.

    Notes
    -----
    Under cosine rows are brought to length 1 before they are reduced or coded, and compared by
    inner product there. Without a re-check, scores behind a reducer or codes are estimates.

    The index does not change: to add rows, build it again, or, where it has no reducer, no codes
    and no re-check, change ``pipeline.inner_``.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((300, 16), dtype=np.float32)
    >>> index = Pipeline("pca:12 | int8 | scan | rerank:float16").fit(x)
    >>> index.search(x[:2], k=1).ids.ravel().tolist()
    [0, 1]
    """

    def __init__(
        self,
        recipe: Recipe | str,
        metric: str = "cosine",
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.recipe = recipe
        self.metric = metric
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, ids: Any = None, queries: Any = None) -> Pipeline:
        """Build, forgetting what was held before.

        Parameters
        ----------
        X : array-like of shape (n, dim)
        ids : array-like of shape (n,), int64 or str, default=None
            None gives 0, 1, …, n - 1.
        queries : array-like of shape (m, dim), default=None
            Sample queries, for reducers that learn from them.

        Returns
        -------
        self
        """
        recipe = Recipe.parse(self.recipe)
        check_choice("metric", self.metric, METRICS)
        check_count("random_state", self.random_state, at_least=0)
        jobs = check_jobs(self.n_jobs)
        rows = as_dense(X)
        names = as_ids(ids, len(rows))
        reducer = None
        found: Any = rows
        if recipe.reduce is not None or recipe.scans_codes:
            asked = None if queries is None else as_dense(queries, name="queries")
            if self.metric == "cosine":
                found, asked = unit(rows), None if asked is None else unit(asked)
            if recipe.reduce is not None:
                reducer = self._compressor(recipe.reduce).fit(found, queries=asked)
                found = np.ascontiguousarray(reducer.transform(found), np.float32)
        inner: RowIndex | CodeScan
        if recipe.scans_codes:
            inner = self._codes(recipe, found, names)
        else:
            metric = "ip" if reducer is not None and self.metric == "cosine" else self.metric
            inner = make_index(recipe, metric, jobs, self.random_state).fit(found, names)
        kept = None
        if recipe.rerank is not None:
            dtype = recipe.rerank.partition(",")[0]
            kept = Exact(self.metric, dtype=dtype, screen=None, n_jobs=jobs).fit(rows, names)
        self._adopt(recipe, reducer, inner, kept)
        return self

    def _adopt(
        self,
        recipe: Recipe,
        reducer: Compressor | None,
        inner: RowIndex | CodeScan,
        kept: Exact | None,
    ) -> None:
        self._look(recipe)
        self.reducer_ = reducer
        self.inner_ = inner
        self.rows_ = kept

    def _look(self, recipe: Recipe) -> None:
        self.recipe_ = recipe
        # Read once: text is parsed more slowly than some indexes answer.
        self._depth, self._effort = recipe.depth, recipe.effort

    def searched_by(self, recipe: Recipe | str) -> Pipeline:
        """Look as far as another recipe of the same index says, from now on.

        Parameters
        ----------
        recipe : Recipe or str

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            A recipe of another index.
        """
        self._fitted()
        wanted = Recipe.parse(recipe)
        if wanted.built != self.recipe_.built:
            raise ParameterError(
                f"{str(wanted)!r} is built otherwise than this index, {str(self.recipe_.built)!r}; "
                "build it."
            )
        self.recipe = wanted
        self._look(wanted)
        return self

    def _compressor(self, text: str) -> Compressor:
        from vectorloom.compress.recipe import from_text

        made = from_text(text)
        for part in getattr(made, "steps", [made]):
            part.set_params(
                **{
                    name: value
                    for name, value in (
                        ("n_jobs", self.n_jobs),
                        ("random_state", self.random_state),
                    )
                    if name in part._parameters()
                }
            )
        return made

    def _codes(self, recipe: Recipe, rows: NDArray[np.float32], names: NDArray[Any]) -> CodeScan:
        compressor = self._compressor(recipe.code).fit(rows)
        estimated = "l2" if self.metric == "l2" else "ip" if recipe.reduce else self.metric
        codes = compressor.transform(rows)
        return CodeScan(compressor, codes, holder_of(names), estimated, _has_screen(recipe))

    # ---- reading -------------------------------------------------------------------------------

    @property
    def ids_(self) -> NDArray[Any]:
        """Ids in the order of rows, shape (n,), int64 or object; a copy."""
        inner = self._fitted()
        if isinstance(inner, CodeScan):
            return inner.ids.take(np.arange(len(inner)))
        return inner.ids_

    @property
    def dim_(self) -> int:
        """Dimensions of a vector and of a query."""
        inner = self._fitted()
        if self.reducer_ is not None:
            return self.reducer_.n_features_in_
        return inner.compressor.n_features_in_ if isinstance(inner, CodeScan) else inner.dim_

    @property
    def nbytes_(self) -> int:
        """Bytes held in memory or mapped from a file: all parts."""
        held = self._fitted().nbytes_ + (0 if self.rows_ is None else self.rows_.nbytes_)
        if self.reducer_ is not None:
            from vectorloom.compress.storage import flatten

            held += sum(array.nbytes for array in flatten(self.reducer_)[1].values())
        return held

    def __len__(self) -> int:
        return len(self.inner_) if hasattr(self, "inner_") else 0

    # ---- searching -----------------------------------------------------------------------------

    def search(
        self,
        queries: Any,
        k: int = 10,
        where: Any = None,
        exact: bool = False,
        depth: int | None = None,
        **effort: Any,
    ) -> Hits:
        """Return the k nearest rows of each query, as far as the recipe looks.

        Parameters
        ----------
        queries : array-like of shape (n_queries, dim)
        k : int, default=10
        where : mask, ids, or a list of one filter a query, default=None
            As for `vectorloom.index.Exact.search`.
        exact : bool, default=False
            Look at all rows: by the kept ones where there is a re-check.
        depth : int, default=None
            Times k that are scored again; None is the recipe's.
        **effort
            ``recall``, ``nprobe`` or ``ef``, in place of the recipe's.

        Returns
        -------
        Hits
        """
        inner = self._fitted()
        k, jobs = check_count("k", k), check_jobs(self.n_jobs)
        if self.rows_ is not None and exact:
            return _search(self.rows_, jobs, queries, k, where=where)
        if self.reducer_ is not None:
            _set_jobs(self.reducer_, jobs)
        asked, offset = self._mapped(queries)
        times = self._depth if depth is None else check_count("depth", depth)
        wide = k if self.rows_ is None else max(k, times * k)
        if isinstance(inner, CodeScan):
            _set_jobs(inner.compressor, jobs)
            hits = inner.search(asked, wide, where)
        else:
            chosen = effort or self._effort
            options = {"exact": exact} | ({} if isinstance(inner, Exact) else chosen)
            hits = _search(inner, jobs, asked, wide, where=where, **options)
        if self.rows_ is not None:
            return self._again(queries, hits, k, jobs)
        if self.reducer_ is not None:
            return self._estimated(hits, offset)
        return hits

    def _mapped(self, queries: Any) -> tuple[Any, NDArray[np.float32] | None]:
        """Return queries in the space that is searched, and what their scores lack."""
        if self.reducer_ is None:
            return queries, None
        asked = as_dense(queries, name="queries", dim=self.dim_)
        if self.metric == "cosine":
            asked = unit(asked)
        metric = "l2" if self.metric == "l2" else "ip"
        found = self.reducer_._map_queries(asked, metric)
        if found is None:
            return self.reducer_.transform_queries(asked, metric), None
        return found

    def _estimated(self, hits: Hits, offset: NDArray[np.float32] | None) -> Hits:
        """Return hits of the reduced space under the metric that was asked for."""
        scores = hits.scores.astype(np.float64)
        if offset is not None:
            scores = scores + offset[:, None]
        if self.metric == "l2":
            scores = np.minimum(scores, 0.0)
        distances = distances_from_scores(scores, self.metric)
        return Hits(hits.ids, scores.astype(np.float32), distances, hits.counts, self.metric)

    def _again(self, queries: Any, hits: Hits, k: int, n_jobs: int | None) -> Hits:
        """Score the best of a search by the kept rows, and keep the k best of these."""
        kept = self.rows_
        assert kept is not None  # asked by search alone
        store = kept._fitted()
        asked = as_dense(queries, name="queries", dim=store.dim)
        width = hits.ids.shape[1]
        at = store.find(hits.ids.ravel()).reshape(len(asked), width)
        at[np.arange(width) >= hits.counts[:, None]] = -1
        keys = store.ids.tie_keys()
        by_tie = np.argsort(at if keys is None else keys[at], axis=1)
        at = np.take_along_axis(at, by_tie, axis=1)
        found = np.asarray(
            _core.score_rows(store.rows, store.row_norms, store.metric, asked, at, n_jobs)
        )
        best = np.argsort(-found, axis=1, kind="stable")[:, : min(k, store.n)]
        positions = np.take_along_axis(at, best, axis=1)
        scores = np.take_along_axis(found, best, axis=1)
        counts = (positions >= 0).sum(axis=1)
        ids = store.ids.take(positions[positions >= 0])
        return pad_hits(ids, positions, scores, counts, k, self.metric)

    # ---- files ---------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write recipe and index to one file, which `vl.open` maps again.

        Parameters
        ----------
        path : path-like
            Its folder must exist. An older file there is replaced in one step, at the very end.

        Notes
        -----
        Parts are written beside it first, so the disk must hold the index twice for a moment.
        """
        inner = self._fitted()
        meta = {
            "recipe": str(self.recipe_),
            "metric": self.metric,
            "random_state": self.random_state,
        }
        write_parts(path, KIND, meta, Parts(self.reducer_, inner, self.rows_))

    @classmethod
    def _from_container(cls, file: Container) -> Pipeline:
        meta = file.meta
        recipe = Recipe.parse(meta["recipe"])
        check_choice("metric", meta["metric"], METRICS)
        made = cls(recipe, meta["metric"], random_state=meta["random_state"])
        parts = read_parts(file, is_quick=_has_screen(recipe))
        made._adopt(recipe, *parts)
        return made

    def _fitted(self) -> RowIndex | CodeScan:
        self._check_fitted("inner_")
        return self.inner_


def make_index(
    recipe: Recipe, metric: str, n_jobs: int | None, random_state: int
) -> Exact | IVF | Graph:
    """Return the unfitted index of a recipe's code and route.

    Parameters
    ----------
    recipe : Recipe
        Not of a quantizer's codes.
    metric : {"cosine", "ip", "l2"}
    n_jobs : int or None
    random_state : int
    """
    settings, code = dict(recipe.settings), recipe.code
    common: dict[str, Any] = {"n_jobs": n_jobs, "random_state": random_state}
    if recipe.kind == "scan":
        screen = "auto" if _has_screen(recipe) else None
        return Exact(metric, dtype=code, screen=screen, n_jobs=n_jobs)
    if recipe.kind == "graph":
        return Graph(metric, dtype=code, exact_below=_WALKED, **settings, **common)
    if code in ("int8", "int4"):
        return IVF(metric, rerank=False, code=code, **settings, **common)
    return IVF(metric, dtype=code, **settings, **common)


def _has_screen(recipe: Recipe) -> bool:
    return recipe.settings.get("screen") not in (False, "None")


def _search(index: Any, n_jobs: int | None, *args: Any, **options: Any) -> Hits:
    index.n_jobs = n_jobs
    hits: Hits = index.search(*args, **options)
    return hits


def _set_jobs(compressor: Any, n_jobs: int | None) -> None:
    for part in getattr(compressor, "steps_", [compressor]):
        if hasattr(part, "n_jobs"):
            part.n_jobs = n_jobs


register_loader(KIND, Pipeline._from_container)
