# SPDX-License-Identifier: Apache-2.0
"""Fewer vectors an item, by merging those that are alike.

    Ward's clustering of an item's m vectors into ceil(m / factor) groups: again and again the two
    groups a, b are joined whose join adds least to the squares within,
        |a| |b| / (|a| + |b|) * ||mean a - mean b||^2,
    and each group becomes its mean, scaled to unit length where the vectors had that.

Clavié, Chaffin, Adams. "Reducing the footprint of multi-vector retrieval with minimal performance
impact via token pooling", 2024, arXiv:2409.14683. At most so many an item: clusters as the views of
a document, Zhang et al. "Multi-view document representation learning for open-domain dense
retrieval", ACL 2022, doi:10.18653/v1/2022.acl-long.414 (which learns its views).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.index.multivector.token_vectors import TokenVectors, as_float_tokens, run_offsets
from vectorloom.progress import progress


def pool_tokens(
    X: Any,
    factor: float = 2.0,
    keep_first: int = 0,
    normalise: bool = True,
    most: int | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Merge the vectors of each document that are alike, before it is indexed.

    Use it to halve or third the memory and the time of `MultiVector`; queries stay as they are. To
    make vectors smaller instead of fewer, see `TokenCodes`.

    Parameters
    ----------
    X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
        Documents, as `MultiVector` takes them.
    factor : float, default=2.0
        Vectors before for one after; an item of m keeps ceil(m / factor).
    keep_first : int, default=0
        Vectors at the start of an item that are left alone (a [CLS] or a marker of documents).
    normalise : bool, default=True
        Whether means are scaled to unit length, for vectors that were.
    most : int or None, default=None
        The most vectors an item keeps, those of `keep_first` not counted: a few views of a
        document, whatever its length.

    Returns
    -------
    values : ndarray of shape (sum of new lengths, dim), float32
    offsets : ndarray of shape (n + 1,), int64

    Raises
    ------
    ShapeError, ParameterError
        What `MultiVector` refuses; a factor below 1.

    Notes
    -----
    Clustering is SciPy's ``linkage(method="ward")``, m**2 * dim an item: about 2 ms for 180
    vectors of 384 dimensions. Deterministic. A group whose mean is zero keeps its first vector.

    References
    ----------
    .. [1] Clavié, Chaffin, Adams. 2024, arXiv:2409.14683.

    Examples
    --------
    >>> import numpy as np
    >>> tokens = np.array([[[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0], [-0.8, 0.6]]])
    >>> values, offsets = pool_tokens(tokens, factor=2)
    >>> values.round(3), offsets
    (array([[ 0.949,  0.316],
           [-0.949,  0.316]], dtype=float32), array([0, 2]))
    """
    tokens = as_float_tokens(X)
    first = check_count("keep_first", keep_first, at_least=0)
    cap = None if most is None else check_count("most", most)
    if not np.isfinite(factor) or factor < 1:
        raise ParameterError(f"factor must be at least 1; got {factor!r}.")
    pooled = []
    with progress("pooling", total=len(tokens), unit="items") as bar:
        for item in tokens.items():
            rest = item[first:]
            wanted = int(np.ceil(len(rest) / factor))
            wanted = wanted if cap is None else min(wanted, cap)
            groups = ward_groups(rest, wanted) if 0 < wanted < len(rest) else np.arange(len(rest))
            means = group_means(rest, groups, normalise=normalise)
            pooled.append(np.concatenate([item[:first], means]))
            bar.advance()
    out = joined(pooled, tokens.dim)
    return out.values, out.offsets


def ward_groups(vectors: NDArray[np.float32], n_groups: int) -> NDArray[np.int64]:
    """Return the group of each vector, numbered by first appearance."""
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(vectors.astype(np.float64), method="ward")
    labels = fcluster(tree, n_groups, criterion="maxclust")
    _, first, numbers = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    groups: NDArray[np.int64] = order[numbers]
    return groups


def group_means(
    vectors: NDArray[np.float32], groups: NDArray[np.int64], *, normalise: bool
) -> NDArray[np.float32]:
    """Return the mean of each group, of unit length where asked."""
    n = int(groups.max()) + 1 if len(groups) else 0
    sums = np.zeros((n, vectors.shape[1]))
    np.add.at(sums, groups, vectors)
    means = sums / np.maximum(np.bincount(groups, minlength=n), 1)[:, None]
    lengths = np.linalg.norm(means, axis=1)
    for group in np.flatnonzero(lengths <= 1e-12).tolist():
        means[group] = vectors[int(np.argmax(groups == group))]
    if normalise:
        lengths = np.linalg.norm(means, axis=1)
        means /= np.where(lengths > 0, lengths, 1.0)[:, None]
    return means.astype(np.float32)


def joined(items: list[NDArray[np.float32]], dim: int) -> TokenVectors:
    """Return matrices as one, with offsets."""
    lengths = np.fromiter((len(item) for item in items), np.int64, len(items))
    values = np.concatenate(items) if items else np.empty((0, dim), np.float32)
    return TokenVectors(values.astype(np.float32, copy=False), run_offsets(lengths))
