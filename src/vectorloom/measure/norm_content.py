# SPDX-License-Identifier: Apache-2.0
"""What the length of a word vector says: how much the word tells about its surroundings.

With p(c | w) the distribution of contexts around w and p(c) that of all contexts,

    KL(w) = sum_c p(c | w) log(p(c | w) / p(c)),     claim: |x_w - mean|^2 grows with KL(w)    [1]_

Rare words have large KL by chance alone, so the correlation is also taken with the logarithm of the
counts partialled out of both (of ranks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.io.pages import Chart
from vectorloom.measure.correlation import correlation
from vectorloom.measure.result import Estimate, Result
from vectorloom.vectors import as_dense

Doubles = NDArray[np.float64]

_FEWEST = 5


@dataclass(frozen=True, eq=False)
class NormInformation(Result):
    """How squared lengths go with information; ``float(result)`` is the controlled correlation.

    Attributes
    ----------
    plain : Estimate
        Spearman's correlation of squared length and KL.
    controlled : Estimate
        The same after the counts were taken out of both.
    with_counts : float
        Correlation of squared length and counts.
    norms, information : ndarray of shape (n,), float64
        Squared length from the mean, and KL in nats, of each word.
    """

    plain: Estimate
    controlled: Estimate
    with_counts: float
    norms: Doubles
    information: Doubles

    def __float__(self) -> float:
        return self.controlled.value

    def __str__(self) -> str:
        return (
            f"squared length and information: rho {self.plain.value:.3f} "
            f"[{self.plain.low:.3f}, {self.plain.high:.3f}]; with counts held "
            f"{self.controlled.value:.3f} [{self.controlled.low:.3f}, {self.controlled.high:.3f}]; "
            f"length and counts {self.with_counts:.3f}; {len(self.norms):,} words"
        )

    def plot(self) -> Chart:
        """Draw the three correlations.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        bars = [
            Bar("plain", self.plain.value, self.plain.low, self.plain.high),
            Bar(
                "counts held",
                self.controlled.value,
                self.controlled.low,
                self.controlled.high,
            ),
        ]
        return bar_chart("Length and information", bars, x_label="Spearman's correlation")


def norm_information(X: Any, cooccurrences: Any) -> NormInformation:
    """Correlate squared lengths of word vectors with what the words tell.

    Parameters
    ----------
    X : array-like of shape (n, dim), n >= 5
        Vectors of words. The mean, weighted by counts, is taken off.
    cooccurrences : array-like or scipy sparse matrix of shape (n, n_contexts)
        How often each context stands near each word; row sums are the words' counts.

    Returns
    -------
    NormInformation

    Raises
    ------
    ShapeError, ParameterError
        Other numbers of rows, fewer than 5; negative counts; a word that never occurs.

    Notes
    -----
    Cost: the entries of the table. Shown for skip-gram vectors; where vectors were brought to
    length 1 there is nothing left to read.

    References
    ----------
    .. [1] M. Oyama, S. Yokoi and H. Shimodaira, "Norm of word embedding encodes information gain",
       EMNLP 2023, doi:10.18653/v1/2023.emnlp-main.131.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = rng.poisson(3.0, (50, 40)) + np.diag(np.arange(50))[:, :40] * 4
    >>> p = table / table.sum(axis=1, keepdims=True)
    >>> norm_information(np.log(p + 0.01) - np.log(p.mean(axis=0)), table).plain.value > 0.5
    True
    """
    from scipy.sparse import csr_array

    rows = as_dense(X, dtype=np.float64)
    table = csr_array(cooccurrences).astype(np.float64)
    if table.shape[0] != len(rows) or len(rows) < _FEWEST:
        raise ShapeError(
            f"cooccurrences must have a row a word, {_FEWEST} at least; got {table.shape[0]} for "
            f"{len(rows)} vectors."
        )
    counts = np.asarray(table.sum(axis=1)).ravel()
    if (table.data < 0).any() or not np.isfinite(table.data).all() or (counts <= 0).any():
        raise ParameterError(
            "cooccurrences must be counts, 0 or more, with one at least for each word. Drop words "
            "that never occur."
        )
    total = counts.sum()
    centre = counts @ rows / total
    norms = np.einsum("ij,ij->i", rows - centre, rows - centre)
    base = np.asarray(table.sum(axis=0)).ravel() / total
    shares = table.data / np.repeat(counts, np.diff(table.indptr))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(shares > 0, shares * np.log(shares / base[table.indices]), 0.0)
    which = np.repeat(np.arange(len(rows)), np.diff(table.indptr))
    information = np.asarray(np.bincount(which, terms, minlength=len(rows)), np.float64)
    return NormInformation(
        plain=correlation(norms, information, name="plain"),
        controlled=partial_correlation(norms, information, counts),
        with_counts=correlation(norms, counts).value,
        norms=norms,
        information=information,
    )


def partial_correlation(x: Any, y: Any, held: Any) -> Estimate:
    """Return Spearman's correlation of x and y with a third list held.

    Parameters
    ----------
    x, y, held : array-like of shape (n,), n >= 5

    Returns
    -------
    Estimate

    Notes
    -----
    Pearson's correlation of what straight lines over the ranks of `held` leave of the other ranks.

    Examples
    --------
    >>> z = np.arange(30.0)
    >>> noise = np.random.default_rng(0).standard_normal((2, 30))
    >>> abs(partial_correlation(z + noise[0], z + noise[1], z).value) < 0.5
    True
    """
    from scipy.stats import rankdata

    a, b, c = (np.asarray(rankdata(v), np.float64) for v in (x, y, held))
    c = c - c.mean()
    scale = c @ c

    def rest(v: Doubles) -> Doubles:
        off = v - v.mean()
        return np.asarray(off - (off @ c / scale) * c if scale else off)

    return correlation(rest(a), rest(b), "pearson", "controlled")
