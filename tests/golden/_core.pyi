"""
The compiled core of vectorloom. Private: the public interface is the Python package.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy
from numpy.typing import NDArray


def simd_level() -> str:
    """The CPU level kernels use now."""

def simd_levels() -> list[str]:
    """The CPU levels this host can run, weakest first."""

def set_simd_level(name: str) -> None:
    """Use the kernels of the named level from now on."""

def kernel_levels() -> dict:
    """The CPU level of the kernels in use, for each family of kernels."""

def compiler() -> str:
    """The compiler this module was built with."""

def cpu_features() -> str:
    """CPU features that matter here, space separated."""

def allowed_threads() -> int:
    """CPUs this process may use: affinity, cgroup quota and OMP_NUM_THREADS."""

def resolve_jobs(n_jobs: int | None = None) -> int:
    """The number of threads that n_jobs stands for."""

def aligned_empty(shape: Sequence[int], dtype: str) -> NDArray:
    """Uninitialised array whose first byte lies on a 64-byte boundary."""

class Rows:
    """A view of stored vectors: n rows of one element kind."""

    def __init__(self, values: Annotated[NDArray, dict(shape=(None, None), order='C', device='cpu', writable=False)], kind: str, scales: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None) -> None: ...

    def __len__(self) -> int: ...

    @property
    def dim(self) -> int: ...

class Screen:
    """An int8 copy of float rows that proposes candidates."""

    @staticmethod
    def build(rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, metric: str, rotation: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], rotation_error: float, head_dims: int, center: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> Screen: ...

    @staticmethod
    def open(arrays: dict) -> Screen: ...

    def append(self, rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, n_jobs: int | None = None) -> None:
        """Encode the rows that are new."""

    def arrays(self) -> dict:
        """Views of its arrays, for saving."""

    def __len__(self) -> int: ...

    @property
    def head_dims(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

def exact_search(rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, screen: Screen | None, metric: str, queries: Annotated[NDArray, dict(shape=(None, None), order='C', device='cpu', writable=False)], k: int, mask: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, tie_keys: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> tuple:
    """(positions, scores, counts) of the true k best."""

def exact_range(rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, screen: Screen | None, metric: str, queries: Annotated[NDArray, dict(shape=(None, None), order='C', device='cpu', writable=False)], threshold: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, tie_keys: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> tuple:
    """
    (lims, positions, scores) of all rows whose score is at least the threshold.
    """

def exact_knn_graph(rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, screen: Screen | None, metric: str, k: int, n_jobs: int | None = None) -> tuple:
    """(positions, scores) of the k nearest other rows of each row."""

def norms(rows: Rows, n_jobs: int | None = None) -> NDArray[numpy.float64]:
    """Euclidean norm of each row, float64."""

def decode(rows: Rows, positions: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> NDArray[numpy.float32]:
    """float32 values of the rows at the positions."""

def quantize_int8(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> tuple:
    """(codes, scales): each row divided by max|x| / 127 and rounded."""
