# SPDX-License-Identifier: Apache-2.0
"""What the trained codes have in common: contrastive losses with their gradients, by hand.

    s_ij = cos(a_i, b_j)        p_i = softmax(s_i / τ)        loss = - mean_i Σ_j t_ij log p_ij
    ∂loss/∂s_ij = (p_ij - t_ij) / (τ n)

`t_i` is a distribution over the columns: 1 on the diagonal is InfoNCE [1]_, equal shares of the
rows with the same label is supervised contrast [2]_, and the softmax of similarities before
compression asks the code to keep neighbourhoods.

References
----------
.. [1] van den Oord, Li, Vinyals. Representation learning with contrastive predictive coding. 2018.
       arXiv:1807.03748
.. [2] Khosla et al. Supervised contrastive learning. NeurIPS 2020. arXiv:2004.11362
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Added to lengths, so that a row of zeros stays zero.
_TINY = 1e-12


def unit_rows(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the rows scaled to length one, and their lengths as a column.

    Parameters
    ----------
    values : ndarray of shape (n, dim), float

    Returns
    -------
    unit : ndarray of shape (n, dim)
        Rows of zeros stay zero.
    lengths : ndarray of shape (n, 1)
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", values, values))[:, None] + values.dtype.type(_TINY)
    return values / lengths, lengths


def through_unit_rows(
    gradient: NDArray[Any], unit: NDArray[Any], lengths: NDArray[Any]
) -> NDArray[Any]:
    """Return the gradient of the rows, given that of the rows scaled to length one.

    Parameters
    ----------
    gradient : ndarray of shape (n, dim)
        Of the loss, in the scaled rows.
    unit : ndarray of shape (n, dim)
    lengths : ndarray of shape (n, 1)
        Both as `unit_rows` gave them.

    Returns
    -------
    ndarray of shape (n, dim)
    """
    along = np.einsum("ij,ij->i", gradient, unit)[:, None]
    # A row of zeros has no direction to turn: it stays where it is.
    return np.where(lengths > 2 * _TINY, (gradient - along * unit) / lengths, 0)


def softmax_rows(logits: NDArray[Any]) -> NDArray[Any]:
    """Return the softmax of each row; -inf marks an entry that does not take part.

    Parameters
    ----------
    logits : ndarray of shape (n, m), float

    Returns
    -------
    ndarray of shape (n, m)
    """
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def cross_entropy(
    scores: NDArray[Any],
    targets: NDArray[Any],
    temperature: float,
    mask: NDArray[np.bool_] | None = None,
) -> tuple[float, NDArray[Any]]:
    """Return the mean cross entropy of softmax(scores / temperature), and its gradient in scores.

    Parameters
    ----------
    scores : ndarray of shape (n, m), float
    targets : ndarray of shape (n, m), float
        Rows sum to one.
    temperature : float
        Above 0; smaller looks at the nearest columns only.
    mask : ndarray of shape (n, m), bool, or None
        True where a column does not take part for that row: itself, for one.

    Returns
    -------
    loss : float
    gradient : ndarray of shape (n, m)
    """
    logits = scores / scores.dtype.type(temperature)
    if mask is not None:
        logits = np.where(mask, -np.inf, logits)
    shares = softmax_rows(logits)
    logs = np.log(np.maximum(shares, np.finfo(shares.dtype).tiny))
    loss = -float(np.einsum("ij,ij->", targets, logs)) / len(scores)
    return loss, (shares - targets) / scores.dtype.type(temperature * len(scores))


def neighbour_targets(
    vectors: NDArray[Any], temperature: float, others: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Return, for each row, the softmax of its cosine with the other rows: what to keep.

    Parameters
    ----------
    vectors : ndarray of shape (n, dim), float
    temperature : float
        Above 0.
    others : ndarray of shape (m, dim) or None, default=None
        Rows to look at; None looks at `vectors` themselves, each row at all but itself.

    Returns
    -------
    ndarray of shape (n, m)
        Rows sum to one.
    """
    unit, _ = unit_rows(vectors)
    against = unit if others is None else unit_rows(others)[0]
    logits = (unit @ against.T) / vectors.dtype.type(temperature)
    if others is None:
        np.fill_diagonal(logits, -np.inf)
    return softmax_rows(logits)


def contrast(
    codes: NDArray[Any], targets: NDArray[Any], temperature: float
) -> tuple[float, NDArray[Any]]:
    """Return the loss of one batch against itself under cosine, and its gradient in the codes.

    Parameters
    ----------
    codes : ndarray of shape (n, dim), float
    targets : ndarray of shape (n, n), float
        Rows sum to one; the diagonal is zero.
    temperature : float

    Returns
    -------
    loss : float
    gradient : ndarray of shape (n, dim)
    """
    unit, lengths = unit_rows(codes)
    loss, by_score = cross_entropy(
        unit @ unit.T, targets, temperature, np.eye(len(codes), dtype=bool)
    )
    # Both sides of the product are the codes.
    by_unit = (by_score + by_score.T) @ unit
    return loss, through_unit_rows(by_unit, unit, lengths)


def cross_contrast(
    codes: NDArray[Any], fixed: NDArray[Any], targets: NDArray[Any], temperature: float
) -> tuple[float, NDArray[Any]]:
    """Return the loss of a batch against fixed codes of the same rows, and its gradient.

    Parameters
    ----------
    codes : ndarray of shape (n, dim), float
    fixed : ndarray of shape (n, dim), float
        Not moved: the codes of an old version.
    targets : ndarray of shape (n, n), float
        Rows sum to one; the diagonal is zero.
    temperature : float

    Returns
    -------
    loss : float
    gradient : ndarray of shape (n, dim)
        In `codes`.
    """
    unit, lengths = unit_rows(codes)
    others, _ = unit_rows(fixed)
    loss, by_score = cross_entropy(
        unit @ others.T, targets, temperature, np.eye(len(codes), dtype=bool)
    )
    return loss, through_unit_rows(by_score @ others, unit, lengths)


def batch_size(n: int) -> int:
    """Return the rows of a batch: 512, fewer of a small set so that an epoch has some steps.

    Parameters
    ----------
    n : int
        Training rows.

    Returns
    -------
    int
    """
    return min(n, max(32, min(512, n // 8)))


def neighbourhood_batch(
    X: NDArray[Any],
    rng: np.random.Generator,
    *,
    pool: int = 4096,
    neighbours: int = 8,
) -> NDArray[np.intp]:
    """Draw rows that come in neighbourhoods: a random batch holds hardly any near pairs.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float
    rng : numpy.random.Generator
    pool : int, default=4096
        Rows drawn at random, among which neighbours are looked for.
    neighbours : int, default=8
        Nearest rows by cosine that are taken of each seed, itself among them.

    Returns
    -------
    ndarray of shape (at most `batch_size`,), intp
        Distinct positions, ascending.
    """
    drawn = rng.choice(len(X), min(pool, len(X)), replace=False)
    seeds = max(1, batch_size(len(X)) // neighbours)
    unit, _ = unit_rows(X[drawn])
    near = unit[:seeds] @ unit.T
    n_near = min(neighbours, len(drawn))
    chosen = np.argpartition(-near, n_near - 1, axis=1)[:, :n_near]
    return np.unique(drawn[chosen])
