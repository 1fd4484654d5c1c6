from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

def simd_level() -> str: ...
def simd_levels() -> list[str]: ...
def set_simd_level(name: str) -> None: ...
def cpu_features() -> str: ...
def allowed_threads() -> int: ...
def resolve_jobs(n_jobs: int | None) -> int: ...
def aligned_empty(shape: tuple[int, ...], dtype: str) -> NDArray[Any]: ...

class Rows:
    def __init__(
        self, values: NDArray[Any], kind: str, scales: NDArray[Any] | None = None
    ) -> None: ...

def quantize_int8(X: NDArray[Any], n_jobs: int | None = None) -> tuple[NDArray[Any], NDArray[Any]]: ...
def norms(rows: Rows, n_jobs: int | None = None) -> NDArray[Any]: ...
def scores(
    rows: Rows,
    queries: NDArray[Any],
    metric: str,
    positions: NDArray[Any],
    n_jobs: int | None = None,
) -> NDArray[Any]: ...

class Screen:
    @staticmethod
    def build(
        rows: Rows, norms: NDArray[Any] | None, metric: str, n_jobs: int | None = None
    ) -> Screen: ...
    @staticmethod
    def open(arrays: Mapping[str, NDArray[Any]]) -> Screen: ...
    def append(
        self, rows: Rows, norms: NDArray[Any] | None, start: int, n_jobs: int | None = None
    ) -> None: ...
    def arrays(self) -> dict[str, NDArray[Any]]: ...
    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def prefix(self) -> int: ...

def exact_search(
    rows: Rows,
    norms: NDArray[Any] | None,
    screen: Screen | None,
    metric: str,
    queries: NDArray[Any],
    k: int,
    mask: NDArray[Any] | None = None,
    tie_keys: NDArray[Any] | None = None,
    n_jobs: int | None = None,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...
def exact_range(
    rows: Rows,
    norms: NDArray[Any] | None,
    screen: Screen | None,
    metric: str,
    queries: NDArray[Any],
    threshold: NDArray[Any],
    mask: NDArray[Any] | None = None,
    tie_keys: NDArray[Any] | None = None,
    n_jobs: int | None = None,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...
def exact_knn_graph(
    rows: Rows,
    norms: NDArray[Any] | None,
    metric: str,
    k: int,
    n_jobs: int | None = None,
    memory_limit: int = 0,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
