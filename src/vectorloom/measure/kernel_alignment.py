# SPDX-License-Identifier: Apache-2.0
"""Centred kernel alignment: whether two spaces place items alike, up to rotation and scale.

    CKA(X, Y) = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y))

With linear kernels and centred X, Y the biased HSIC is ||X^T Y||_F^2 (but for a constant). The
unbiased one leaves the diagonals of K = X X^T and L = Y Y^T out,

    HSIC_1 = [tr(K L) + 1'K1 1'L1 / ((n-1)(n-2)) - 2 / (n-2) 1'K L 1] / (n (n-3)),

and may be averaged over batches before the division. All of its terms follow from X^T Y and row
sums, so that n x n matrices are never made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.measure.rows import as_two

Doubles = NDArray[np.float64]


def cka(X: Any, Y: Any, *, unbiased: bool = True, batch_size: int | None = None) -> float:
    """Return the linear CKA of two spaces.

    Parameters
    ----------
    X : array-like of shape (n, dim_x)
    Y : array-like of shape (n, dim_y)
        Row i of both is the same item.
    unbiased : bool, default=True
        Whether the diagonals are left out. The biased form is near 1 for any two spaces of more
        dimensions than rows.
    batch_size : int or None, default=None
        Averages HSIC over batches of so many rows in order (the last, where smaller, is left out),
        as programs do that cannot hold all rows [2]_; at least 4. None: one batch of all rows,
        which costs no more here.

    Returns
    -------
    float
        1: the same up to rotation, scale and offset. 0: nothing in common; the unbiased form may
        fall a little below.

    Raises
    ------
    ShapeError
        Not as many rows, or fewer than 4 (2 for the biased form).
    ParameterError
        NaN; rows that are all equal; `batch_size` with the biased form, whose bias depends on it.

    Notes
    -----
    Cost: n * dim_x * dim_y. In float64, deterministic. It changes under other linear maps than
    rotations and scale (SVCCA does not), and is ruled by the directions of most variance: two
    spaces may agree in their first direction and nothing else.

    References
    ----------
    .. [1] S. Kornblith, M. Norouzi, H. Lee and G. Hinton, "Similarity of neural network
       representations revisited", ICML 2019.
    .. [2] T. Nguyen, M. Raghu and S. Kornblith, "Do wide and deep networks learn the same things?",
       ICLR 2021 (batches); L. Song et al., JMLR 13 (2012) (unbiased HSIC).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 5))
    >>> turned = 3 * X @ np.linalg.qr(rng.standard_normal((5, 5)))[0] + 1
    >>> round(cka(X, turned), 6), abs(cka(X, rng.standard_normal((200, 5)))) < 0.05
    (1.0, True)
    """
    a, b = as_two(X, Y)
    n = len(a)
    if not unbiased:
        if batch_size is not None:
            raise ParameterError(
                "batch_size goes with unbiased=True: the bias of the other form depends on it."
            )
        _require_rows(n, 2)
        return _ratio(*(_biased(p, q) for p, q in ((a, b), (a, a), (b, b))))
    size = n if batch_size is None else check_count("batch_size", batch_size, at_least=4)
    _require_rows(n, 4)
    size = min(size, n)
    starts = range(0, n - size + 1, size)
    sums = np.zeros(3)
    for start in starts:
        p, q = a[start : start + size], b[start : start + size]
        sums += [_unbiased(p, q), _unbiased(p, p), _unbiased(q, q)]
    return _ratio(*(float(s) for s in sums))


def _require_rows(n: int, least: int) -> None:
    if n < least:
        raise ShapeError(f"X and Y have {n} rows; at least {least} are needed.")


def _ratio(both: float, of_x: float, of_y: float) -> float:
    if of_x <= 0 or of_y <= 0:
        which = "X" if of_x <= 0 else "Y"
        raise ParameterError(
            f"{which} has no variation that its rows share (all rows equal, or too few of them). "
            "Give more rows."
        )
    return both / float(np.sqrt(of_x) * np.sqrt(of_y))


def _biased(a: Doubles, b: Doubles) -> float:
    cross = (a - a.mean(axis=0)).T @ (b - b.mean(axis=0))
    return float(np.sum(cross**2))


def _unbiased(a: Doubles, b: Doubles) -> float:
    """Return HSIC_1 of one batch. Centring first changes nothing but the rounding."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    n = len(a)
    squares_a, squares_b = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
    trace = float(np.sum((a.T @ b) ** 2)) - float(squares_a @ squares_b)
    rows_a, rows_b = a @ a.sum(axis=0) - squares_a, b @ b.sum(axis=0) - squares_b
    middle = float(rows_a.sum()) * float(rows_b.sum()) / ((n - 1) * (n - 2))
    return (trace + middle - 2.0 / (n - 2) * float(rows_a @ rows_b)) / (n * (n - 3))
