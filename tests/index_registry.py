# SPDX-License-Identifier: Apache-2.0
"""Every index there is, in every setting worth a law: a new one joins by one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import vectorloom as vl
from vectorloom.index.multivector.token_codes import TokenCodes


@dataclass(frozen=True)
class Case:
    """One index in one setting.

    `exhaustive` says that its answers are the true ones, and not only near them.
    """

    make: Callable[..., Any]
    params: dict[str, Any]
    exhaustive: bool = True

    @property
    def metric(self) -> str:
        return str(self.params["metric"])

    @property
    def dtype(self) -> str:
        return str(self.params.get("dtype", "float32"))

    @property
    def name(self) -> str:
        words = [self.make.__name__, *(str(value) for value in self.params.values())]
        return "-".join(words)

    def new(self, **more: Any) -> Any:
        return self.make(**self.params, **more)

    def vectors(self, rng: np.random.Generator, n: int, dim: int = 6) -> np.ndarray:
        """Small whole numbers, so that ties abound and every dtype holds them exactly."""
        if self.metric == "hamming":
            return rng.random((n, dim)) < 0.5
        low, high, dtype = (0, 5, np.uint8) if self.dtype == "uint8" else (-3, 4, np.int8)
        x = rng.integers(low, high, (n, dim)).astype(dtype)
        x[:, 0] = np.where((x == 0).all(axis=1), 1, x[:, 0])  # zero rows have no cosine
        return x


#: Indexes of other things than dense rows: their laws are in tests of their own.
ELSEWHERE = {
    vl.index.BM25,  # texts: tests/index/test_bm25.py
    vl.index.MultiVector,  # items of many vectors: tests/index/test_multivector.py
    vl.index.TokenCodes,  # the same as codes: tests/index/test_multivector_smaller.py
    vl.index.Inverted,  # sparse rows: tests/index/test_inverted.py
    TokenCodes,  # codes of token vectors: tests/index/test_multivector.py
    vl.index.TokenCodes,  # the same as codes: tests/index/test_multivector_smaller.py
}

CASES = [
    *(
        Case(vl.index.Exact, {"metric": metric, "dtype": dtype})
        for metric in ("cosine", "ip", "l2")
        for dtype in ("float32", "float16", "bfloat16", "int8", "uint8")
    ),
    *(
        Case(vl.index.Exact, {"metric": metric, "dtype": dtype, "screen": "int8"})
        for metric in ("cosine", "ip", "l2")
        for dtype in ("float32", "float16")
    ),
    Case(vl.index.Exact, {"metric": "hamming", "dtype": "bits"}),
    *(
        Case(vl.index.IVF, {"metric": metric, **more}, exhaustive=False)
        for metric in ("cosine", "ip", "l2")
        for more in (
            {},
            {"n_lists": 5},
            {"n_lists": 5, "dtype": "float16", "spill": False},
            {"n_lists": 5, "dtype": "int8", "code": "int4"},
            {"rerank": False},
            {"n_lists": 5, "code": "lvq:8"},
            {"code": "scalar:8", "rerank": False},
        )
    ),
    *(
        Case(vl.index.Graph, {"metric": metric, **more}, exhaustive=False)
        for metric in ("cosine", "ip", "l2")
        for more in (
            {},
            {"exact_below": 1},
            {"exact_below": 1, "dtype": "int8", "degree": 8},
            {"exact_below": 1, "code": "int8", "reduce": "pca:6"},
        )
    ),
]
