# SPDX-License-Identifier: Apache-2.0
"""The tree of topics: the smallest joins the one it is most like, until one is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vectorloom.learn.topics.density import unit


def merge_tree(vectors: NDArray[np.float32], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the order in which topics are merged.

    Parameters
    ----------
    vectors : ndarray of shape (k, dim), float32
        Unit vectors of the topics.
    sizes : ndarray of shape (k,), int64
        Texts of each.

    Returns
    -------
    ndarray of shape (k - 1, 4), float64
        Of each step: the topic that vanishes, the one it joins, the cosine between them, and the
        texts of both. Step s makes topic k + s, whose vector is the mean of both by their sizes.

    Examples
    --------
    >>> vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    >>> merge_tree(vectors, np.array([5, 3, 2])).round(3).tolist()
    [[2.0, 1.0, 0.8, 5.0], [0.0, 3.0, 0.252, 10.0]]
    """
    k = len(vectors)
    rows = {topic: vectors[topic].astype(np.float64) for topic in range(k)}
    texts = {topic: int(sizes[topic]) for topic in range(k)}
    steps = []
    for made in range(k, 2 * k - 1):
        small = min(rows, key=lambda topic: (texts[topic], topic))
        others = [topic for topic in rows if topic != small]
        scores = np.stack([rows[topic] for topic in others]) @ rows[small]
        near = others[int(scores.argmax())]
        sum_of_both = rows[small] * texts[small] + rows[near] * texts[near]
        steps.append((small, near, scores.max(), texts[small] + texts[near]))
        rows[made] = unit(sum_of_both[None])[0].astype(np.float64)
        texts[made] = texts[small] + texts[near]
        for gone in (small, near):
            del rows[gone], texts[gone]
    return np.array(steps, dtype=np.float64).reshape(k - 1, 4)


def cut_tree(tree: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Return the group, of n, that each topic of a tree falls into; numbered by first topic."""
    k = len(tree) + 1
    group = np.arange(2 * k - 1)
    for step in range(k - 2, -1, -1):
        if step < k - n:
            a, b = tree[step, :2].astype(np.int64)
            group[[a, b]] = group[k + step]
    return np.unique(group[:k], return_inverse=True)[1].astype(np.int64)
