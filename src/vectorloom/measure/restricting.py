# SPDX-License-Identifier: Apache-2.0
"""Restricted vectors: leave out coordinates that tell the domain and not the label.

Of coordinate j let F_d(j) be the F statistic of an analysis of variance by domain, F_y(j) that by
label within domains. Coordinates are dropped in the order of log F_d - log F_y, and how many is
decided by classifiers that are tried on a domain they did not learn from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.io.pages import Chart
from vectorloom.measure.probes import class_codes
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Codes = NDArray[np.int64]

_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)


@dataclass(frozen=True, eq=False)
class Restriction(Result):
    """What leaving coordinates out did; ``restriction.kept`` picks them: ``X[:, kept]``.

    Attributes
    ----------
    kept : ndarray of shape (m,), int64
        Coordinates to keep, by the best mean accuracy out of domain.
    dropped_shares : tuple of float
        Shares of the coordinates that were dropped in turn.
    out_of_domain : ndarray of shape (len(dropped_shares),), float64
        Mean over domains of the accuracy on that domain, learnt from the others; coordinates are
        chosen without it.
    in_domain : ndarray of shape (len(dropped_shares),), float64
        Accuracy on held-out rows of the domains learnt from.
    error : ndarray of shape (len(dropped_shares),), float64
        Half a 95 % interval of `out_of_domain`, over the rows.
    n_domains : int
    """

    kept: NDArray[np.int64]
    dropped_shares: tuple[float, ...]
    out_of_domain: Doubles
    in_domain: Doubles
    error: Doubles
    n_domains: int

    def __str__(self) -> str:
        lines = ["dropped  out of domain       in domain"]
        lines += [
            f"{share:>7.0%}  {o:.3f} ± {e:.3f}  {i:>12.3f}"
            for share, o, e, i in zip(
                self.dropped_shares, self.out_of_domain, self.error, self.in_domain, strict=True
            )
        ]
        return "\n".join([*lines, f"{len(self.kept)} coordinates kept, {self.n_domains} domains"])

    def plot(self) -> Chart:
        """Draw accuracy over the share dropped.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Line, line_chart

        low, high = self.out_of_domain - self.error, self.out_of_domain + self.error
        return line_chart(
            "Leaving out what tells the domain",
            [
                Line("out of domain", self.dropped_shares, self.out_of_domain, low, high),
                Line("in domain", self.dropped_shares, self.in_domain),
            ],
            x_label="share of the coordinates dropped",
        )


def restrict(
    X: Any,
    labels: Any,
    domains: Any,
    *,
    dropped: tuple[float, ...] = _SHARES,
    random_state: int = 0,
) -> Restriction:
    """Find the coordinates that tell the domain and not the label, and what dropping them does.

    Parameters
    ----------
    X : array-like of shape (n, dim)
    labels : array-like of shape (n,)
        Two classes at least, each in two domains.
    domains : array-like of shape (n,)
        Two at least.
    dropped : tuple of float in [0, 1), default=(0, .05, .1, .2, .3, .5, .7)
    random_state : int, default=0
        Of the rows held out in domain.

    Returns
    -------
    Restriction

    Raises
    ------
    ShapeError, ParameterError
        Not one label and domain a row; one class or one domain; shares outside [0, 1); NaN.

    Notes
    -----
    For each domain held out, coordinates are ordered by the other domains alone; with two domains
    nothing tells which coordinates are the domain's (one is left), so the order is then of all rows
    and the numbers are hopeful. `kept` is chosen by the same numbers that are reported: hold a
    domain out of the call to see what it is worth. Cost: n_domains * len(dropped) linear fits.

    References
    ----------
    .. [1] R. Kuznetsov et al., "Robust AI-generated text detection by restricted embeddings",
       Findings of EMNLP 2024, arXiv:2410.08113.

    Examples
    --------
    Coordinate 0 holds the label, coordinate 1 the domain, which goes with the label in one of them:

    >>> rng = np.random.default_rng(0)
    >>> y, d = rng.integers(0, 2, 900), rng.integers(0, 3, 900)
    >>> X = 0.5 * rng.standard_normal((900, 10))
    >>> X[:, 0] += y
    >>> X[:, 1] += 8 * d
    >>> 1 in restrict(X, y, d, dropped=(0.1,)).kept
    False
    """
    rows = as_dense(X)
    codes = class_codes(labels, len(rows))[0]
    places, names = class_codes(domains, len(rows), "domains")
    if not dropped or min(dropped) < 0 or max(dropped) >= 1:
        raise ParameterError(f"dropped is {dropped}; shares from 0 to below 1 are expected.")
    shares = tuple(sorted(dropped))
    n_domains, dim = len(names), rows.shape[1]
    rng = np.random.default_rng(random_state)
    out, into, n_out = (np.zeros((n_domains, len(shares))) for _ in range(3))
    for held in range(n_domains):
        here = places == held
        if len(np.unique(codes[~here])) < 2:
            raise ParameterError(
                f"without domain {names[held]!r} one class is left; each class must be in two "
                "domains at least."
            )
        known = ~here if n_domains > 2 else np.ones(len(rows), bool)
        order = _order(rows[known], codes[known], places[known])
        learn = ~here & (rng.random(len(rows)) > 0.25)
        test = ~here & ~learn
        for j, share in enumerate(shares):
            columns = order[: dim - int(share * dim)]
            model = _fitted(rows[learn][:, columns], codes[learn])
            out[held, j] = float((model(rows[here][:, columns]) == codes[here]).mean())
            into[held, j] = float((model(rows[test][:, columns]) == codes[test]).mean())
            n_out[held, j] = here.sum()
    mean = out.mean(axis=0)
    error = Z95 * np.sqrt((out * (1 - out) / n_out).sum(axis=0)) / n_domains
    best = int(np.argmax(mean))
    kept = np.sort(_order(rows, codes, places)[: dim - int(shares[best] * dim)])
    return Restriction(kept, shares, mean, into.mean(axis=0), error, n_domains)


def _order(rows: Floats, codes: Codes, places: Codes) -> NDArray[np.int64]:
    """Return coordinates, those first that tell the label and not the domain."""
    off = rows.astype(np.float64)
    by_domain = _f_statistic(off, places)
    for place in np.unique(places):
        off[places == place] -= off[places == place].mean(axis=0)
    by_label = _f_statistic(off, codes)
    tiny = np.finfo(np.float64).tiny
    score = np.log(np.maximum(by_domain, tiny)) - np.log(np.maximum(by_label, tiny))
    return np.argsort(score, kind="stable")


def _f_statistic(rows: Doubles, groups: Codes) -> Doubles:
    names, counts = np.unique(groups, return_counts=True)
    if len(names) < 2:
        return np.ones(rows.shape[1])
    means = np.array([rows[groups == name].mean(axis=0) for name in names])
    between = (counts[:, None] * (means - rows.mean(axis=0)) ** 2).sum(axis=0) / (len(names) - 1)
    inside = sum(
        ((rows[groups == name] - mean) ** 2).sum(axis=0)
        for name, mean in zip(names, means, strict=True)
    )
    free = max(len(rows) - len(names), 1)
    return np.asarray(between / np.maximum(inside / free, np.finfo(np.float64).tiny))


def _fitted(rows: Floats, codes: Codes) -> Any:
    from sklearn.linear_model import LogisticRegression

    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    model = LogisticRegression(C=0.1, max_iter=300).fit((rows - mean) / spread, codes)
    return lambda new: model.predict((new - mean) / spread)
