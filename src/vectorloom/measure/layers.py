# SPDX-License-Identifier: Apache-2.0
"""A profile of layers: how the cloud of tokens changes its shape through a model.

Of each layer: the intrinsic dimension (TwoNN), the mean cosine of pairs, and the neighbours shared
with the next layer; the same of shuffled input as a control, and over several clouds (prompts) the
correlation of the dimension with a loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.io.pages import Chart
from vectorloom.measure.correlation import correlation
from vectorloom.measure.dimension import intrinsic_dimension
from vectorloom.measure.isotropy_measures import average_cosine
from vectorloom.measure.neighbourhoods import neighbour_overlap
from vectorloom.measure.result import Estimate, Result
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_FEWEST = 12
_FEWEST_CLOUDS = 4


@dataclass(frozen=True, eq=False)
class LayerProfile(Result):
    """Numbers of each layer, the mean over clouds.

    Attributes
    ----------
    dimension, cosine, overlap : ndarray of shape (n_layers,), float64
        The overlap is with the next layer; NaN for the last.
    dimensions : ndarray of shape (n_clouds, n_layers), float64
    shuffled : ndarray of shape (n_layers,), float64, or None
        The dimension of the control.
    with_loss : tuple of Estimate
        Of each layer, Spearman's correlation of the dimension with the loss; empty without losses.
    k, n_clouds : int
    """

    dimension: Doubles
    cosine: Doubles
    overlap: Doubles
    dimensions: Doubles
    shuffled: Doubles | None
    with_loss: tuple[Estimate, ...]
    k: int
    n_clouds: int

    def __str__(self) -> str:
        lines = ["layer  dimension   cosine  overlap" + ("  loss rho" if self.with_loss else "")]
        for i, (d, c, o) in enumerate(zip(self.dimension, self.cosine, self.overlap, strict=True)):
            rho = f"{self.with_loss[i].value:10.3f}" if self.with_loss else ""
            lines.append(f"{i:>5}{d:>11.2f}{c:>9.3f}{o:>9.3f}{rho}")
        return "\n".join([*lines, f"{self.n_clouds} clouds"])

    def plot(self) -> Chart:
        """Draw the dimension by layer, and that of the control.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Line, line_chart

        at = np.arange(len(self.dimension))
        lines = [Line("as it is", at, self.dimension)]
        if self.shuffled is not None:
            lines.append(Line("shuffled", at, self.shuffled))
        return line_chart("Intrinsic dimension by layer", lines, x_label="layer")


def layer_profile(
    clouds: Sequence[Sequence[Any]],
    *,
    losses: Any = None,
    shuffled: Sequence[Sequence[Any]] | None = None,
    k: int = 10,
) -> LayerProfile:
    """Profile the layers of a model over clouds of token vectors.

    Parameters
    ----------
    clouds : sequence of sequence of array-like of shape (n_tokens, dim)
        ``clouds[i][j]``: the tokens of prompt i in layer j; 12 tokens at least, two layers.
    losses : array-like of shape (n_clouds,) or None, default=None
        Say, the mean loss of the next token; 4 clouds at least.
    shuffled : as clouds, or None, default=None
        The same prompts with their tokens in another order.
    k : int, default=10
        Neighbours that adjacent layers are compared by.

    Returns
    -------
    LayerProfile

    Raises
    ------
    ShapeError, ParameterError
        Fewer tokens or layers, other numbers of layers or tokens, NaN.

    Notes
    -----
    Cost: for each cloud and layer 3 * n_tokens**2 * dim. Of few tokens the dimension falls short:
    compare clouds of one length.

    References
    ----------
    .. [1] K. Viswanathan et al., "The geometry of tokens in internal representations of large
       language models", 2025, arXiv:2501.10573.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cloud = [rng.standard_normal((60, m)) @ rng.standard_normal((m, 8)) for m in (2, 6)]
    >>> found = layer_profile([cloud])
    >>> bool(found.dimension[0] < found.dimension[1])
    True
    """
    k = check_count("k", k)
    checked = _checked(clouds, "clouds")
    dimensions = _dimensions(checked)
    n_layers = dimensions.shape[1]
    cosine = np.array([[average_cosine(layer) for layer in cloud] for cloud in checked])
    overlap = np.full((len(checked), n_layers), np.nan)
    for i, cloud in enumerate(checked):
        for j in range(n_layers - 1):
            overlap[i, j] = neighbour_overlap(cloud[j], cloud[j + 1], k).overlap
    with_loss: tuple[Estimate, ...] = ()
    if losses is not None:
        values = np.asarray(losses, np.float64)
        if values.shape != (len(checked),) or len(values) < _FEWEST_CLOUDS:
            raise ParameterError(
                f"losses must be one a cloud, {_FEWEST_CLOUDS} at least; got {values.shape} for "
                f"{len(checked)}."
            )
        with_loss = tuple(
            correlation(dimensions[:, j], values, name=f"layer {j}") for j in range(n_layers)
        )
    control = None if shuffled is None else _dimensions(_checked(shuffled, "shuffled"))
    return LayerProfile(
        dimension=dimensions.mean(axis=0),
        cosine=cosine.mean(axis=0),
        overlap=overlap.mean(axis=0),
        dimensions=dimensions,
        shuffled=None if control is None else control.mean(axis=0),
        with_loss=with_loss,
        k=k,
        n_clouds=len(checked),
    )


def _checked(clouds: Sequence[Sequence[Any]], name: str) -> list[list[Floats]]:
    found = [[as_dense(layer, name=name) for layer in cloud] for cloud in clouds]
    if not found or len({len(cloud) for cloud in found}) != 1 or len(found[0]) < 2:
        raise ShapeError(f"{name} must have one cloud, and all as many layers, two at least.")
    for i, cloud in enumerate(found):
        if len({len(layer) for layer in cloud}) != 1 or len(cloud[0]) < _FEWEST:
            raise ShapeError(
                f"{name}[{i}] must have as many tokens in each layer, {_FEWEST} at least."
            )
    return found


def _dimensions(clouds: list[list[Floats]]) -> Doubles:
    return np.array(
        [[intrinsic_dimension(layer, "twonn").value for layer in cloud] for cloud in clouds]
    )
