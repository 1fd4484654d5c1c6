# SPDX-License-Identifier: Apache-2.0
"""The vectors of a suite, as two .npy files that every worker maps.

``set = "sentences"`` (or any other folder of .npy): `$VECTORLOOM_BENCH_DATA` with base.npy and
queries.npy, or its folder <set>. Names in `FILES`: that file below `$VECTORLOOM_DATA`.
``set = "minilm-scifact"``: `$VECTORLOOM_DATA/vectors/<set>/vectors.npz` with arrays corpus and
queries. ``set = "clusters"``: generated, seeded, no file needed. ``set = "splade-like"``: sparse
rows, see `benchmarks.sparse_data`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.sparse_data import SPARSE, splade_like
from benchmarks.suite import DataSpec
from vectorloom.errors import FormatError, ParameterError
from vectorloom.io import read

GENERATED = "clusters"
# Sets without queries of their own, below $VECTORLOOM_DATA: file, array in it, rows held out.
FILES = {
    "sift-5k": ("structured/vectors/sift5k_ngt.npz", "X", 500),
    "mnist-10k": ("structured/vectors/mnist_test10k.npz", "X", 1000),
    "glove-25": ("text/vectors/glove.twitter.27B.25d.top12k.txt.xz", None, 1000),
}
CENTRES = 200


@dataclass(frozen=True)
class Data:
    """Files with float32 rows (unit ones unless asked otherwise), what they hold and a hash."""

    name: str
    base: Path
    queries: Path
    rows: int
    dim: int
    n_queries: int
    sha256: str


def gather(spec: DataSpec, folder: Path) -> Data:
    """Write base.npy and queries.npy of the stated size into ``folder``."""
    if spec.set == SPARSE:
        return _gather_sparse(spec, folder)
    if spec.set == GENERATED:
        base, queries = clusters(spec)
    else:
        base, queries = _stored(spec)
    base = _take("base", base, spec.rows)
    queries = _take("queries", queries, spec.queries)
    if base.ndim != 2 or queries.ndim != 2 or base.shape[1] != queries.shape[1]:
        raise FormatError(
            f"{spec.set}: base has shape {base.shape} and queries {queries.shape}; expected two "
            "matrices with as many columns. Make them again with one model."
        )
    digest = hashlib.sha256()
    for name, rows in (("base", base), ("queries", queries)):
        kept = _unit(name, rows) if spec.unit else np.array(rows, np.float32, order="C")
        digest.update(kept.data)
        np.save(folder / f"{name}.npy", kept)
    return Data(
        name=spec.set,
        base=folder / "base.npy",
        queries=folder / "queries.npy",
        rows=len(base),
        dim=int(base.shape[1]),
        n_queries=len(queries),
        sha256=digest.hexdigest(),
    )


def _gather_sparse(spec: DataSpec, folder: Path) -> Data:
    from scipy import sparse

    base, queries = splade_like(spec.rows)
    queries = queries[: spec.queries] if spec.queries else queries
    digest = hashlib.sha256()
    for name, rows in (("base", base), ("queries", queries)):
        digest.update(rows.indices.tobytes() + rows.data.tobytes())
        sparse.save_npz(folder / f"{name}.npz", rows, compressed=False)
    return Data(
        name=spec.set,
        base=folder / "base.npz",
        queries=folder / "queries.npz",
        rows=base.shape[0],
        dim=int(base.shape[1]),
        n_queries=queries.shape[0],
        sha256=digest.hexdigest(),
    )


def load(path: Path | str) -> Any:
    """Return the rows of a file of `gather`: a mapped array, or a csr matrix."""
    if Path(path).suffix != ".npz":
        return np.load(path, mmap_mode="r")
    from scipy import sparse

    return sparse.load_npz(path).tocsr()


def clusters(spec: DataSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Unit rows around random centres; the same seed gives the same rows."""
    if spec.rows < 1:
        raise ParameterError(
            f"data.rows = {spec.rows}; expected the number of generated rows. Set it in [data]."
        )
    rng = np.random.default_rng(spec.seed)
    centres = rng.standard_normal((CENTRES, spec.dim), np.float32)

    def around(n: int) -> NDArray[np.float32]:
        noise = 0.7 * rng.standard_normal((n, spec.dim), np.float32)
        return np.asarray(centres[rng.integers(CENTRES, size=n)] + noise, np.float32)

    return around(spec.rows), around(spec.queries)


def _stored(spec: DataSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    root = Path(os.environ.get("VECTORLOOM_DATA", "../shared/data")) / "vectors" / spec.set
    if (root / "vectors.npz").is_file():
        with np.load(root / "vectors.npz", allow_pickle=False) as arrays:
            return arrays["corpus"], arrays["queries"]
    if spec.set in FILES:
        return _held_out(spec)
    given = os.environ.get("VECTORLOOM_BENCH_DATA", "")
    folder = Path(given) / spec.set
    if not (given and folder.is_dir()):
        folder = Path(given)
    if given and (folder / "base.npy").is_file() and (folder / "queries.npy").is_file():
        base = np.load(folder / "base.npy", mmap_mode="r", allow_pickle=False)
        return base, np.load(folder / "queries.npy", mmap_mode="r", allow_pickle=False)
    raise ParameterError(
        f"no vectors for data set {spec.set!r}: looked for {root / 'vectors.npz'} and for base.npy "
        f"and queries.npy in VECTORLOOM_BENCH_DATA={given!r}. Point VECTORLOOM_BENCH_DATA at a "
        "folder with both, or run with --smoke."
    )


def _held_out(spec: DataSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One of `FILES`: a seeded part of its rows serves as queries and is no longer searched."""
    path, array, n_queries = FILES[spec.set]
    file = Path(os.environ.get("VECTORLOOM_DATA", "../shared/data")) / path
    if not file.is_file():
        raise ParameterError(
            f"no vectors for data set {spec.set!r}: looked for {file}. Point VECTORLOOM_DATA at "
            "the folder that holds it, or choose another set with --data."
        )
    rows = read(file, vectors=array).values.astype(np.float32)
    rows = rows[rows.any(axis=1)]  # a zero row has no direction
    order = np.random.default_rng(spec.seed).permutation(len(rows))
    asked = np.sort(order[:n_queries])
    return np.ascontiguousarray(np.delete(rows, asked, axis=0)), rows[asked]


def _take(name: str, rows: NDArray[np.float32], wanted: int) -> NDArray[np.float32]:
    # Fewer rows than the suite states would make its name a lie; 1 % is left for a set that lost
    # duplicates on its way.
    if wanted and len(rows) < 0.99 * wanted:
        raise ParameterError(
            f"{name} has {len(rows)} rows; the suite asks for {wanted}. Give a larger set."
        )
    return rows[:wanted] if wanted else rows


def _unit(name: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit float32 rows; what is already unit stays bit for bit as it is."""
    wide = np.array(rows, np.float32, order="C")
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide, dtype=np.float64))
    if not np.isfinite(norms).all() or (norms == 0).any():
        bad = int(np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))[0])
        raise FormatError(f"{name} row {bad} is zero or not finite; expected unit rows. Drop it.")
    off = np.abs(norms - 1.0) > 1e-5
    wide[off] /= norms[off, None]
    return wide
