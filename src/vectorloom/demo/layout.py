# SPDX-License-Identifier: Apache-2.0
"""A flat picture of vectors: the same vectors give the same picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PCA_DIMS = 40  # t-SNE on the strongest directions is faster and less noisy than on all of them
_ITERATIONS = 500


def sample_positions(n: int, size: int, *, random_state: int = 0) -> NDArray[np.int64]:
    """Positions of a random sample without repeats, in ascending order; all when n <= size."""
    draw = np.random.default_rng(random_state).permutation(n)[:size]
    return np.sort(draw).astype(np.int64)


def flat_layout(vectors: NDArray[np.float32], *, random_state: int = 0) -> NDArray[np.float32]:
    """Place vectors in the unit square so that near neighbours stay near (t-SNE on a PCA).

    Parameters
    ----------
    vectors : ndarray of shape (n, dim), float32

    Returns
    -------
    ndarray of shape (n, 2), float32
        Within [0, 1]. With a handful of points, where t-SNE means nothing, a plain PCA.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    n, dim = vectors.shape
    if n == 1:
        return np.zeros((1, 2), dtype=np.float32)
    n_flat = min(n, dim, _PCA_DIMS)
    # One thread: the order of float sums, and so the picture, must not depend on the machine's.
    with threadpool_limits(limits=1):
        flat = PCA(n_flat, random_state=random_state).fit_transform(vectors)
        if n >= 50 and n_flat > 2:
            flat = TSNE(
                2,
                perplexity=min(20, n // 5),
                init="pca",
                max_iter=_ITERATIONS,
                random_state=random_state,
                n_jobs=1,
            ).fit_transform(flat)
    if flat.shape[1] < 2:
        flat = np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    flat = flat[:, :2] - flat[:, :2].min(axis=0)
    unit: NDArray[np.float32] = (flat / max(float(flat.max()), 1e-12)).astype(np.float32)
    return unit
