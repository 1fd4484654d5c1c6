"""
The compiled core of vectorloom. Private: the public interface is the Python package.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, overload

import numpy
from numpy.typing import NDArray


def end_thread(ident: int, ended: bool) -> None:
    """
    Whether what the core does in a thread (`threading.get_ident`) is to end with KeyboardInterrupt; signals reach the main thread alone.
    """

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

def matmul(a: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], b: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None))]:
    """A @ B.T in float32; an element depends on its two rows alone."""

def gram(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], mean: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> Annotated[NDArray[numpy.float64], dict(shape=(None, None))]:
    """(X - mean).T @ (X - mean) in float64."""

def moments(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> tuple:
    """
    (mean, (X - mean).T @ (X - mean)) in float64; the mean has shape (1, dim).
    """

def hadamard(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], signs: Annotated[NDArray[numpy.int8], dict(shape=(None, None), order='C', device='cpu', writable=False)], inverse: bool = False, n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None))]:
    """
    Rotate rows by signs and Walsh-Hadamard transforms; signs is int8 (rounds, dim).
    """

@overload
def all_finite(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> bool:
    """Whether there is neither NaN nor infinity."""

@overload
def all_finite(x: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> bool: ...

def any_zero_row(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> bool:
    """Whether some row has nothing but zeros."""

def kmeans(rows: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], k: int, init: str | Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)] = 'k-means++', max_iter: int = 25, tol: float = 0.0, seed: int = 0, *, max_ratio: float = 0.0, spherical: bool = False, relaxation: float = 1.9, weights: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, max_points_per_centroid: int = 0, progress: Callable | None = None, n_jobs: int | None = None) -> tuple: ...

def assign(rows: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], centroids: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> tuple: ...

def best_scores(scores: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], k: int, mask: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, ties: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> tuple:
    """(positions, scores, counts) of the k largest of each row, best first."""

class LevelCodec:
    """
    Rows coded as mean + weight * (a * levels + b), see core/compress/levels.h.
    """

    def __init__(self, means: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], weight: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, bits: int, residual_bits: int = 0, factors: str = 'none', first_unit: float = 1.0, second_unit: float = 1.0, signs: Annotated[NDArray[numpy.int8], dict(shape=(None, None), order='C', device='cpu', writable=False)] | None = None) -> None: ...

    @property
    def row_bytes(self) -> int: ...

    @property
    def first_level_bytes(self) -> int: ...

    def encode(self, vectors: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], labels: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> NDArray[numpy.uint8]: ...

    def decode(self, codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> NDArray[numpy.float32]: ...

    def norms(self, codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> NDArray[numpy.float32]: ...

    def row_factors(self, codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> NDArray[numpy.float32]: ...

    def scores(self, queries: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], metric: str = 'ip', first_only: bool = False, n_jobs: int | None = None) -> NDArray[numpy.float32]: ...

    def score_rows(self, query: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], rows: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], first_only: bool = False) -> NDArray[numpy.float32]: ...

class CodeSearch:
    """Scans of codes that nobody changes, in one call."""

    def __init__(self, codec: LevelCodec, codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], metric: str, norms: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, ties: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, ids: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> None: ...

    def __call__(self, queries: object, k: int) -> object:
        """
        (ids, scores, distances, counts), or None where queries need conversion or a message, or one has fewer than k hits.
        """

def pq_train(X: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_parts: int, n_codewords: int, n_iter: int = 25, seed: int = 0, max_rows: int = 0, n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None, None))]:
    """Codebooks (n_parts, n_codewords, dim / n_parts) by Lloyd's iterations."""

def pq_encode(X: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], codebooks: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], n_jobs: int | None = None, rotation: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)] | None = None, origin: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None) -> Annotated[NDArray[numpy.uint8], dict(shape=(None, None))]:
    """
    Codes of the nearest codewords, bit-packed, one row of bytes a vector. With a rotation the codes of X @ rotation.T, products rounded relative to X - origin.
    """

def pq_decode(codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], codebooks: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None))]:
    """The codewords that codes stand for."""

def pq_scores(tables: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], bits: int = 8, n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None))]:
    """
    Sums (n_queries, n) of the entries of tables (n_queries, n_parts, n_codewords).
    """

def additive_train(X: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_codebooks: int, n_codewords: int, beam: int, max_iter: int, rounds: int, n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None, None))]:
    """
    Codebooks (n_codebooks, n_codewords, dim) whose sums come near the rows, which must be in random order.
    """

def additive_encode(X: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], codebooks: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], beam: int, sweeps: int = 0, n_jobs: int | None = None) -> Annotated[NDArray[numpy.uint8], dict(shape=(None, None))]:
    """One byte a codebook: the sums a beam search finds."""

def additive_decode(codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], codebooks: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None))]:
    """The sums that codes stand for."""

def additive_refit(X: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], codebooks: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], passes: int, n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None, None))]:
    """Codebooks moved towards the least squares fit of given codes."""

def pq_pack4(codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_parts: int) -> Annotated[NDArray[numpy.uint8], dict(shape=(None, None))]:
    """4-bit codes in blocks of 32 rows."""

def pq_unpack4(blocks: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], n: int, n_parts: int) -> Annotated[NDArray[numpy.uint8], dict(shape=(None, None))]:
    """Rows of blocks of 4-bit codes."""

def pq_scan4(tables: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], blocks: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], n: int, n_jobs: int | None = None) -> tuple:
    """
    Scores from tables rounded to bytes, and the bound of the rounding for each query.
    """

def float8_encode(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], format: str, factor: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> Annotated[NDArray[numpy.uint8], dict(shape=(None, None))]:
    """Codes nearest to factor * x, ties to even, saturating."""

def float8_decode(codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], format: str, scale: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None))]:
    """scale * value of each code, as float32."""

def float8_scores(queries: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], format: str, metric: str, scale: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None))]:
    """float32 queries against codes: ip, l2 (negated) or cosine."""

def float16_encode(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], kind: str, n_jobs: int | None = None) -> Annotated[NDArray[numpy.uint16], dict(shape=(None, None))]:
    """
    float32 to float16 or bfloat16, to nearest, ties to even; overflow is refused.
    """

def float16_decode(codes: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], kind: str, n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None))]:
    """float16 or bfloat16 to float32."""

def float16_scores(queries: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], codes: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], kind: str, metric: str, n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None))]:
    """float32 queries against float16 or bfloat16 rows."""

def nonuniform_encode(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], bits: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], thresholds: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> Annotated[NDArray[numpy.uint8], dict(shape=(None, None))]:
    """Rank of each value among its dimension's thresholds, packed."""

def nonuniform_decode(codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], bits: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], levels: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> Annotated[NDArray[numpy.float32], dict(shape=(None, None))]:
    """The level of each code."""

class Rows:
    """A view of stored vectors: n rows of one element kind."""

    def __init__(self, values: Annotated[NDArray, dict(shape=(None, None), order='C', device='cpu', writable=False)], kind: str, scales: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None) -> None: ...

    def __len__(self) -> int: ...

    @property
    def dim(self) -> int: ...

class Screen:
    """An int8 copy of float rows that proposes candidates."""

    @staticmethod
    def build(rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, metric: str, rotation: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], rotation_error: float, head_dims: int, center: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None, order: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None) -> Screen: ...

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

class ExactSearch:
    """Scans of rows that nobody changes, in one call."""

    def __init__(self, rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, screen: Screen | None, metric: str, ties: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, ids: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, n_jobs: int | None) -> None: ...

    def __call__(self, queries: object, k: int) -> object:
        """
        (ids, scores, distances, counts), or None where queries need conversion or a message, or one has fewer than k hits.
        """

def exact_range(rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, screen: Screen | None, metric: str, queries: Annotated[NDArray, dict(shape=(None, None), order='C', device='cpu', writable=False)], threshold: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)], mask: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, tie_keys: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> tuple:
    """
    (lims, positions, scores) of all rows whose score is at least the threshold.
    """

def score_rows(rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, metric: str, queries: Annotated[NDArray, dict(shape=(None, None), order='C', device='cpu', writable=False)], positions: Annotated[NDArray[numpy.int64], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> NDArray[numpy.float64]:
    """
    float64 scores (n_queries, m) of the rows at positions (n_queries, m); -1: none there.
    """

def exact_knn_graph(rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, screen: Screen | None, metric: str, k: int, n_jobs: int | None = None) -> tuple:
    """(positions, scores) of the k nearest other rows of each row."""

def norms(rows: Rows, n_jobs: int | None = None) -> NDArray[numpy.float64]:
    """Euclidean norm of each row, float64."""

def decode(rows: Rows, positions: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> NDArray[numpy.float32]:
    """float32 values of the rows at the positions."""

def quantize_int8(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> tuple:
    """(codes, scales): each row divided by max|x| / 127 and rounded."""

class GraphCore:
    """
    A proximity graph of rows that stay where they are; every call names them again.
    """

    def __init__(self, rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, metric: str, radius: float, matrix: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], origin: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], head_bits: int, head_dim: int, degree: int = 48, candidates: int = 48, probes: int = 48, list_rows: int = 256, entries: int = 256, alpha: float = 1.100000023841858, refined: int = 64, first_degree: int = 32, seed: int = 0, n_jobs: int | None = None, folder: str = '', room: int | None = None) -> None: ...

    @staticmethod
    def open(arrays: dict, matrix: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], origin: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], head_bits: int, head_dim: int, n_rows: int, copy: bool = False) -> GraphCore:
        """The graph of a file's arrays, which it looks at or copies."""

    def search(self, rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, metric: str, radius: float, queries: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], k: int, effort: int, reach: float = 0.0, mask: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_matches: int = 0, budget: int = 0, ties: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, without: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, on_disk: bool = False, n_jobs: int | None = None) -> tuple:
        """Positions, scores and counts; a count is -1 beyond the budget."""

    def range(self, rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, metric: str, radius: float, queries: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], least: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)], effort: int, reach: float, mask: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_matches: int = 0, budget: int = 0, ties: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, on_disk: bool = False, n_jobs: int | None = None) -> tuple:
        """
        (lims, positions, scores) of rows whose score is at least that, and whether each query was done.
        """

    def insert(self, rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, metric: str, radius: float, first: int, alpha: float = 1.100000023841858, n_jobs: int | None = None) -> None:
        """Takes rows in, from `first` on."""

    def compact(self, moved: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> bool:
        """
        Follows rows to their new positions, -1 for removed ones; False: none is left.
        """

    def arrays(self) -> dict:
        """Views of all a file needs, valid until a change."""

    def times(self) -> dict:
        """Seconds of each phase of the build."""

    def unreached(self) -> int:
        """Nodes no entry leads to."""

    def __len__(self) -> int:
        """Nodes: rows that differ."""

    @property
    def nbytes(self) -> int: ...

    @property
    def degree(self) -> int:
        """Links a node has at most."""

class GraphSearch:
    """Walks of a graph that nobody changes, in one call."""

    def __init__(self, graph: GraphCore, rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, metric: str, radius: float, ties: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, ids: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, on_disk: bool, n_jobs: int | None) -> None: ...

    def __call__(self, queries: object, k: int, effort: int, reach: float) -> object:
        """
        (ids, scores, distances, counts), or None where queries need conversion or a message, or one has fewer than k hits.
        """

def distances(scores: Annotated[NDArray[numpy.float64], dict(order='C', device='cpu', writable=False)], metric: str) -> NDArray[numpy.float32]:
    """float32 distances of float64 scores."""

def narrow_scores(scores: Annotated[NDArray[numpy.float64], dict(order='C', device='cpu', writable=False)]) -> NDArray[numpy.float32]:
    """Scores as float32, never -0; beyond its range they are infinite."""

class Lists:
    """Coded rows in the order of inverted lists."""

    @staticmethod
    def build(rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, metric: str, centroids: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], labels: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], others: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, rotation: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], rotation_error: float, head_dims: int, rest_bits: int, final: bool, center: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> Lists: ...

    @staticmethod
    def open(arrays: dict, centroids: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> Lists: ...

    def arrays(self) -> dict:
        """Views of its arrays, for saving."""

    @property
    def nbytes(self) -> int: ...

    def decode(self, places: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> NDArray[numpy.float32]:
        """
        Rotated rows (n, rotated) as their codes have them; of unit length under cosine.
        """

    def search(self, rows: Rows | None, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, queries: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], n_probes: int, gap: float, caution: float, reach: float, guess: float, k: int, mask: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, tie_keys: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None, on_disk: bool = False) -> tuple:
        """
        (positions, scores, counts) of the k best within each query's probed lists.
        """

    def range(self, rows: Rows | None, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, queries: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], least: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)], n_probes: int, gap: float, caution: float, reach: float, floors: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, along: float = 0.0, mask: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, tie_keys: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None, on_disk: bool = False) -> tuple:
        """
        (lims, positions, scores) of the rows of probed lists whose score is at least that.
        """

class ListsSearch:
    """Searches of lists that nobody changes, in one call."""

    def __init__(self, lists: Lists, rows: Rows | None, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, ties: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, ids: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, on_disk: bool, n_jobs: int | None) -> None: ...

    def __call__(self, queries: object, k: int, n_probes: int, gap: float, caution: float, reach: float, guess: float) -> object:
        """
        (ids, scores, distances, counts), or None where queries need conversion or a message, or one has fewer than k hits.
        """

def assign_lists(rows: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], centroids: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], twice: bool, weight: float = 1.0, n_jobs: int | None = None) -> tuple:
    """
    (labels, others): the list of the nearest centroid, and a second one or None.
    """

def propose_by_lookup(queries: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], columns: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], products: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], centre_squares: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], gaps: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], n_probes: int, codes: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], starts: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], order: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], squares: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], metric: str, width: int, mask: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> NDArray[numpy.int64]:
    """
    Positions (n_queries, width) of the best rows of probed lists by product codes.
    """

def maxsim_search(rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, screen: Screen | None, metric: str, offsets: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], queries: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], query_offsets: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], k: int, mask: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, tie_keys: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, estimate: bool = False, n_jobs: int | None = None) -> tuple:
    """
    (positions, scores, counts) of the k best items, runs of rows, by MaxSim; estimate: by int8 products alone.
    """

def maxsim_rerank(rows: Rows, norms: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, screen: Screen | None, metric: str, offsets: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], queries: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], query_offsets: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], candidates: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], limits: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], k: int, tie_keys: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, n_jobs: int | None = None) -> tuple:
    """
    The same among the items candidates[limits[q]:limits[q + 1]] of each query.
    """

def maxsim_will_need(rows: Rows, screen: Screen | None, offsets: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], candidates: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> None:
    """Begin to read the mapped vectors and codes of items; returns at once."""

def fde_pool(planes: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], projected: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], offsets: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], repetitions: int, n_bits: int, is_document: bool, fill_empty: bool, n_jobs: int | None = None) -> NDArray[numpy.float32]:
    """Fixed-dimensional encodings of runs of projected vectors, float32."""

class CorpusCore:
    def __init__(self, classes: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], lower: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], *, by_blanks: bool, lowercase: bool, digits: bool, min_length: int, max_length: int, limit: int) -> None: ...

    def add_text(self, text: object, ends_line: bool, forgiving: bool) -> int: ...

    def add_words(self, words: list) -> None: ...

    def split(self, text: object) -> list: ...

    def take_tokens(self) -> NDArray[numpy.int32]: ...

    def finish(self, min_count: int, max_words: int) -> tuple: ...

    @property
    def pending(self) -> int: ...

    @property
    def n_tokens(self) -> int: ...

    @property
    def n_words(self) -> int: ...

    @property
    def lost(self) -> int: ...

def renumber(tokens: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu')], numbers: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], open: bool) -> tuple: ...

class GloveTrainer:
    def __init__(self, offsets: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], columns: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], values: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], *, dim: int, x_max: float, power: float, rate: float, seed: int) -> None: ...

    def epoch(self, n_jobs: int | None = None) -> float: ...

    def vectors(self, out: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')]) -> None: ...

def word_subwords(words: list, min_n: int, max_n: int, n_buckets: int) -> tuple: ...

def cooccurrence(tokens: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], n_words: int, window: int, weight: int, n_jobs: int | None = None) -> tuple: ...

def row_matrix(n: int, dim: int, scale: float = 0.0, seed: int = 0) -> NDArray[numpy.float32]: ...

class WordTrainer:
    def __init__(self, tokens: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], counts: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], inputs: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], outputs: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], bag_offsets: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, bag_rows: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, texts: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')] | None = None, *, window: int, negative: int, tree: bool, cbow: bool, cbow_mean: bool, deterministic: bool, sample: float, noise_exponent: float, alpha: float, min_alpha: float, epochs: int, seed: int, text: int = 0, binary: bool = False, infer_words: int = 0, infer_ridge: float = 0.0) -> None: ...

    def infer(self, begin: int, end: int, n_jobs: int | None = None) -> None: ...

    def run(self, begin: int, end: int, n_jobs: int | None = None) -> tuple: ...

    def evaluate(self, n_jobs: int | None = None) -> tuple: ...

    @property
    def n_steps(self) -> int: ...

class MatrixTrainer:
    def __init__(self, tokens: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], counts: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], inputs: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], outputs: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], *, mean_size: int, matrix_size: int, window: int, negative: int, deterministic: bool, sample: float, noise_exponent: float, alpha: float, min_alpha: float, epochs: int, seed: int) -> None: ...

    def run(self, begin: int, end: int, n_jobs: int | None = None) -> tuple: ...

    def evaluate(self, n_jobs: int | None = None) -> tuple: ...

    def encode(self, begin: int, end: int, texts: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], n_jobs: int | None = None) -> None: ...

    @property
    def n_steps(self) -> int: ...

class SentenceTrainer:
    def __init__(self, tokens: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], counts: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], grams: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], inputs: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], outputs: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], *, n_orders: int, negative: int, deterministic: bool, sample: float, noise_exponent: float, alpha: float, min_alpha: float, epochs: int, seed: int) -> None: ...

    def run(self, begin: int, end: int, n_jobs: int | None = None) -> tuple: ...

    def evaluate(self, n_jobs: int | None = None) -> tuple: ...

    @property
    def n_steps(self) -> int: ...

class Ngrams:
    def __init__(self, rows: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)], offsets: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], sizes: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> None: ...

def encode_bags(ngrams: Ngrams, table: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], *, mean: bool, power: float, out: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], n_jobs: int | None = None) -> None: ...

class DualTrainer:
    def __init__(self, ngrams: Ngrams, heads: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], items: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], neighbours: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)], table: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], squares: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu')], *, batch: int, group: int, epochs: int, rate: float, scale: float, power: float, head_share: float, whole_share: float, shortest: int, longest: int, seed: int) -> None: ...

    def run(self, begin: int, end: int, n_jobs: int | None = None) -> tuple: ...

    def evaluate(self, items: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> tuple: ...

    @property
    def n_steps(self) -> int: ...

class BagClassifier:
    def __init__(self, ngrams: Ngrams, labels: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], items: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], table: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], squares: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu')], head: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], head_squares: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu')], *, batch: int, epochs: int, rate: float, seed: int) -> None: ...

    def run(self, begin: int, end: int, n_jobs: int | None = None) -> tuple: ...

    def evaluate(self, items: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], n_jobs: int | None = None) -> tuple: ...

    @property
    def n_steps(self) -> int: ...

class SparseRows:
    """Sparse rows: starts, ascending terms, weights."""

    def __init__(self, starts: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], terms: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], weights: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], n: int) -> None: ...

    def fits(self, n_terms: int) -> bool:
        """Whether terms ascend within each row, below n_terms."""

class Postings:
    """Lists of postings of sparse rows."""

    @staticmethod
    def build(rows: SparseRows, n_terms: int, n_jobs: int | None = None) -> Postings: ...

    @staticmethod
    def open(arrays: dict, n: int, n_terms: int) -> Postings: ...

    def arrays(self) -> dict:
        """Views of its arrays, for saving."""

    def __len__(self) -> int: ...

    def search(self, rows: SparseRows, queries: SparseRows, k: int, mask: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, tie_keys: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, skip: float = 0.0, rescored: int = 0, n_jobs: int | None = None) -> tuple:
        """
        (positions, scores, counts) of the k best rows; exact where rescored is 0.
        """

class Words:
    """Words of texts, numbered as they come."""

    def __init__(self, ranges: Annotated[NDArray[numpy.uint32], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> None: ...

    def __len__(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    def cut(self, texts: list, grow: bool) -> tuple:
        """
        (starts, numbers) of lower-cased texts; unknown words are taken in or left out.
        """

    def take(self, words: list) -> NDArray[numpy.int32]:
        """Numbers of words as they are; unknown ones are taken in."""

    def listed(self, first: int) -> list:
        """Words from this number on."""

def count_terms(starts: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], words: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], term_of: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, n_terms: int) -> tuple:
    """(starts, terms, counts, lengths) of texts that were cut into words."""
