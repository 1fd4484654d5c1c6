# SPDX-License-Identifier: Apache-2.0
"""What the code of a graph's node is to keep, as users ask for it: elements and directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_choice, check_count
from vectorloom.index.dense.graph_memory import MOST_BYTES, MOST_FLOATS, SAMPLE, code_bytes
from vectorloom.index.dense.lists import directions

if TYPE_CHECKING:
    from vectorloom.compress.reduce.linear import LinearReducer
    from vectorloom.index.dense.store import RowStore

#: Bits of an element by its name; 0 lets the points choose.
ELEMENTS = {"int4": 4, "int8": 8, "float32": 32}


def bits_for(dim: int) -> int:
    """Return the bits of an element where none are asked for."""
    return 32 if dim <= MOST_FLOATS else 8 if dim <= MOST_BYTES else 4


class Head(NamedTuple):
    """What a code is asked to keep of a point; what is not said is chosen by the points.

    Attributes
    ----------
    bits : {0, 4, 8, 32}
        Of an element.
    size : int
        Of the principal directions that are kept.
    directions : ndarray of shape (m, dim) or None
        To keep the span of, in their place.
    """

    bits: int = 0
    size: int = 0
    directions: NDArray[np.float32] | None = None


def check_code(code: Any, reduce: Any) -> None:
    """Refuse what is no code of a graph.

    Raises
    ------
    ParameterError
    """
    if code is not None:
        check_choice("code", code, tuple(ELEMENTS))
    if isinstance(reduce, int | np.integer) or reduce is None:
        if reduce is not None:
            check_count("reduce", reduce)
        return
    _reducer(reduce)


def most_code_bytes(code: str | None, reduce: Any, dim: int) -> int:
    """Return the most that the code of a point of `dim` takes."""
    if code is None and reduce is None:
        return code_bytes(dim)
    size = dim if reduce is None else reduce
    if not isinstance(size, int | np.integer):
        size = getattr(_reducer(reduce), "n_components", dim)
    return code_bytes(dim, ELEMENTS.get(code or "", bits_for(dim)), min(int(size), dim))


def head_for(code: str | None, reduce: Any, store: RowStore) -> Head:
    """Return what the codes of a store's rows are to keep; a reducer is fitted to some of them.

    Raises
    ------
    ParameterError
        More directions than dimensions, or a reducer of vectors of another dimension.
    """
    bits = ELEMENTS.get(code or "", 0)
    if reduce is None:
        return Head(bits)
    if isinstance(reduce, int | np.integer):
        if reduce > store.dim:
            raise ParameterError(
                f"reduce must be at most the dimension {store.dim}; got {reduce}. Choose fewer."
            )
        return Head(bits, int(reduce))
    reducer = _reducer(reduce)
    if not hasattr(reducer, "components_"):
        size = getattr(reducer, "n_components", store.dim)
        if store.n <= size <= store.dim:  # fewer rows than directions: they span all there is
            return Head(bits, size)
        reducer = type(reducer)(**reducer.get_params(deep=False))
        at = np.unique(np.linspace(0, store.n - 1, min(store.n, SAMPLE)).astype(np.int64))
        reducer.fit(directions(store, at))
    if reducer.n_features_in_ != store.dim:
        raise ParameterError(
            f"reduce was fitted to vectors of {reducer.n_features_in_} dimensions and the rows "
            f"have {store.dim}; fit it to these."
        )
    return Head(bits, 0, reducer._decoder())


def _reducer(reduce: Any) -> LinearReducer:
    from vectorloom.compress.recipe import from_text
    from vectorloom.compress.reduce.linear import LinearReducer

    reducer = from_text(reduce) if isinstance(reduce, str) else reduce
    if not isinstance(reducer, LinearReducer):
        raise ParameterError(
            "reduce must be a number of directions, a linear reducer such as vl.compress.PCA(160) "
            f"or LeanVec(160), or its recipe 'pca:160'; got {reduce!r}. A walk scores elements of "
            "rows; for codebooks and the like use IVF(code=…)."
        )
    return reducer
