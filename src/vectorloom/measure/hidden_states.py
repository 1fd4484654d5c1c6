# SPDX-License-Identifier: Apache-2.0
"""What of a token's vector is position, and what is context.

For hidden states h of C contexts at T positions, an analysis of variance of vectors:

    h_ct = mu + pos_t + ctx_c + resid_ct,    mu mean of all, pos_t = mean_c h_ct - mu,
                                             ctx_c = mean_t h_ct - mu

The parts sum back to h exactly, and their squared lengths to its variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.io.pages import Chart
from vectorloom.measure.lidar_rank import entropy_rank
from vectorloom.measure.result import Result
from vectorloom.measure.rows import directions

Doubles = NDArray[np.float64]

_LOW_WAVES = 10


@dataclass(frozen=True, eq=False)
class PositionContext(Result):
    """The parts of hidden states, and how they look.

    Attributes
    ----------
    mu : ndarray of shape (dim,)
    pos : ndarray of shape (T, dim)
    ctx : ndarray of shape (C, dim)
    resid : ndarray of shape (C, T, dim)
    shares : dict of str to float
        Of the variance around mu: ``"position"``, ``"context"``, ``"rest"``; sum 1.
    rank : float
        Effective number of dimensions of pos.
    smoothness : float
        Share of the variance of pos in its ten slowest waves (cosine transform): 1 for a smooth
        path.
    incoherence : float
        Largest |cosine| of a pos_t with a ctx_c: near 0 where both are kept apart.
    clustered : float
        Share of contexts whose nearest by cosine is of the same topic; NaN without topics.
    """

    mu: Doubles
    pos: Doubles
    ctx: Doubles
    resid: Doubles
    shares: dict[str, float]
    rank: float
    smoothness: float
    incoherence: float
    clustered: float

    def __str__(self) -> str:
        told = ", ".join(f"{name} {share:.1%}" for name, share in self.shares.items())
        return (
            f"variance: {told}; position has rank {self.rank:.1f}, {self.smoothness:.1%} of it in "
            f"{_LOW_WAVES} slow waves; largest |cosine| with context {self.incoherence:.3f}"
        )

    def plot(self) -> Chart:
        """Draw the shares of the variance.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        bars = [Bar(name, share) for name, share in self.shares.items()]
        return bar_chart("Position and context", bars, x_label="share of the variance")


def position_context(h: Any, *, topics: Any = None) -> PositionContext:
    """Split hidden states into mean, position, context and rest.

    Parameters
    ----------
    h : array-like of shape (C, T, dim), C >= 2, T >= 2
        Hidden states of one layer; all contexts cut to one length.
    topics : array-like of shape (C,) or None, default=None
        Of each context.

    Returns
    -------
    PositionContext

    Raises
    ------
    ShapeError, ParameterError
        Not three axes, one context or position; NaN; all equal; not one topic a context.

    Notes
    -----
    The first position of many models is unlike all others: leave it out to see the rest. Cost:
    C * T * dim.

    References
    ----------
    .. [1] J. Song and Y. Zhong, "Uncovering hidden geometry in transformers via disentangling
       position and context", 2023, arXiv:2310.04861.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> pos, ctx = rng.standard_normal((20, 1, 6)), rng.standard_normal((30, 6))
    >>> found = position_context((pos + ctx).transpose(1, 0, 2))
    >>> found.shares["rest"] < 1e-12
    True
    """
    states = np.asarray(h, np.float64)
    if states.ndim != 3 or states.shape[0] < 2 or states.shape[1] < 2:
        raise ShapeError(
            f"h must be (contexts, positions, dim), two of the first two; got {states.shape}."
        )
    if not np.isfinite(states).all():
        raise ParameterError("h holds NaN or infinity. Drop those contexts.")
    mu = states.mean(axis=(0, 1))
    pos, ctx = states.mean(axis=0) - mu, states.mean(axis=1) - mu
    resid = states - mu - pos - ctx[:, None]
    total = float(np.mean((states - mu) ** 2))
    if total == 0:
        raise ParameterError("all hidden states are equal: there is nothing to split.")
    parts = {"position": pos, "context": ctx, "rest": resid}
    shares = {name: float(np.mean(part**2)) / total for name, part in parts.items()}
    cosines = np.abs(directions(pos) @ directions(ctx).T)
    return PositionContext(
        mu=mu,
        pos=pos,
        ctx=ctx,
        resid=resid,
        shares=shares,
        rank=entropy_rank(np.linalg.svd(pos, compute_uv=False) ** 2),
        smoothness=_smoothness(pos),
        incoherence=float(cosines.max()),
        clustered=_clustered(ctx, topics),
    )


def _smoothness(pos: Doubles) -> float:
    from scipy.fft import dct

    power = np.asarray(dct(pos, axis=0, norm="ortho")) ** 2
    total = float(power[1:].sum())
    return float(power[1 : _LOW_WAVES + 1].sum()) / total if total else 1.0


def _clustered(ctx: Doubles, topics: Any) -> float:
    if topics is None:
        return float("nan")
    names = np.asarray(topics)
    if names.shape != (len(ctx),):
        raise ShapeError(f"topics must be one a context, {len(ctx)}; got shape {names.shape}.")
    cosines = directions(ctx) @ directions(ctx).T
    np.fill_diagonal(cosines, -np.inf)
    return float((names[cosines.argmax(axis=1)] == names).mean())
