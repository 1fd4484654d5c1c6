# SPDX-License-Identifier: Apache-2.0
"""Gradient descent for the compressors that are trained by it: Adam, a schedule, minibatches.

    m ← β₁ m + (1 - β₁) g            v ← β₂ v + (1 - β₂) g²
    θ ← θ - η λ θ - η (m / (1 - β₁ᵗ)) / (sqrt(v / (1 - β₂ᵗ)) + ε)

Weight decay λ is decoupled from the gradient (AdamW): it shrinks θ by the rate alone, so that large
gradients do not hide it. Gradients are written by hand in each method and checked against finite
differences in its test; nothing here differentiates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count


class Adam:
    """Adam with decoupled weight decay, stepping a dictionary of arrays in place.

    The sign descends: pass the gradient of a loss. For a plain quadratic, solve instead.

    Parameters
    ----------
    learning_rate : float, default=1e-3
        η, above 0. About the largest change of one entry in one step.
    betas : tuple of (float, float), default=(0.9, 0.999)
        Decay of the running mean and of the running square, each from 0 to below 1.
    eps : float, default=1e-8
        Keeps entries whose gradient is always zero where they are.
    weight_decay : float, default=0.0
        λ, at least 0; `learning_rate` times this share of each entry goes at each step.

    Raises
    ------
    ParameterError
        A number out of its range.

    Notes
    -----
    Cost: four passes over each array a step, and twice the memory of the parameters. Entries are
    stepped in their own dtype (float32 or float64) and independently of each other, so the result
    does not depend on threads.

    References
    ----------
    .. [1] Kingma, Ba. Adam: a method for stochastic optimization. ICLR 2015. arXiv:1412.6980
    .. [2] Loshchilov, Hutter. Decoupled weight decay regularization. ICLR 2019. arXiv:1711.05101

    Examples
    --------
    >>> params = {"w": np.array([1.0, -2.0], dtype=np.float32)}
    >>> adam = Adam(learning_rate=0.1)
    >>> for _ in range(200):
    ...     adam.step(params, {"w": 2 * params["w"]})  # of the loss |w|²
    >>> bool(np.abs(params["w"]).max() < 1e-3)
    True
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not 0 < learning_rate < math.inf:
            raise ParameterError(
                f"learning_rate must be a number above 0; got {learning_rate!r}. 1e-3 is usual."
            )
        if not all(0 <= beta < 1 for beta in betas):
            raise ParameterError(
                f"betas must be two numbers from 0 to below 1; got {betas!r}. (0.9, 0.999) is "
                "usual."
            )
        if not 0 < eps < math.inf:
            raise ParameterError(f"eps must be a number above 0; got {eps!r}. 1e-8 is usual.")
        if not 0 <= weight_decay < math.inf:
            raise ParameterError(
                f"weight_decay must be a number of at least 0; got {weight_decay!r}."
            )
        self.learning_rate = learning_rate
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.n_steps = 0
        self._moments: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}

    def step(
        self,
        params: Mapping[str, NDArray[Any]],
        grads: Mapping[str, NDArray[Any]],
        learning_rate: float | None = None,
    ) -> None:
        """Move each array of `params` that has a gradient, in place.

        Parameters
        ----------
        params : dict of ndarray, float32 or float64
            Changed in place; arrays without an entry in `grads` stay as they are.
        grads : dict of ndarray
            Gradients of the loss, each of the shape of its parameter.
        learning_rate : float, optional
            η of this step, for a schedule; the constructor's by default.

        Raises
        ------
        ParameterError
            A gradient of no parameter; then nothing is moved.
        ShapeError
            A gradient of another shape; then nothing is moved.
        """
        for name, gradient in grads.items():
            if name not in params:
                raise ParameterError(
                    f"there is a gradient of {name!r}; parameters are {', '.join(params)}."
                )
            if gradient.shape != params[name].shape:
                raise ShapeError(
                    f"the gradient of {name!r} has shape {gradient.shape}; its parameter has "
                    f"{params[name].shape}."
                )
        self.n_steps += 1
        rate = self.learning_rate if learning_rate is None else learning_rate
        for name, gradient in grads.items():
            self._step_one(name, params[name], gradient, rate)

    def _step_one(
        self, name: str, param: NDArray[Any], gradient: NDArray[Any], rate: float
    ) -> None:
        if name not in self._moments:
            self._moments[name] = (np.zeros_like(param), np.zeros_like(param))
        mean, square = self._moments[name]
        beta1, beta2 = self.betas
        gradient = gradient.astype(param.dtype, copy=False)
        mean *= beta1
        mean += (1 - beta1) * gradient
        square *= beta2
        square += (1 - beta2) * np.square(gradient)
        # The two corrections are folded into scalars: one temporary array instead of three.
        correction1 = 1 - beta1**self.n_steps
        correction2 = 1 - beta2**self.n_steps
        change = np.sqrt(square)
        change /= math.sqrt(correction2)
        change += self.eps
        np.divide(mean, change, out=change)
        change *= rate / correction1
        if self.weight_decay:
            param *= 1 - rate * self.weight_decay
        param -= change


def cosine_rate(step: int, n_steps: int, *, first: float, last: float = 0.0) -> float:
    """Return the learning rate of a step: half a cosine from `first` down to `last`.

    Parameters
    ----------
    step : int
        From 0; beyond `n_steps` the rate stays `last`.
    n_steps : int
        Steps in all.
    first : float
        Rate of step 0.
    last : float, default=0.0
        Rate after the last step.

    Returns
    -------
    float

    Examples
    --------
    >>> [round(cosine_rate(step, 4, first=1.0), 3) for step in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if n_steps <= 0 or step >= n_steps:
        return last
    return last + 0.5 * (first - last) * (1 + math.cos(math.pi * step / n_steps))


def minibatches(n: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield the positions 0 … n - 1 in a random order, `size` at a time: one epoch.

    Parameters
    ----------
    n : int
        How many there are.
    size : int
        Positions of a batch, at least 1. The last batch holds the rest, unless that is under half a
        batch: then the batch before takes it too, since a gradient of a few rows is mostly noise.
    rng : numpy.random.Generator
        One permutation is drawn from it, when the first batch is asked for.

    Yields
    ------
    ndarray of shape (about size,), intp
        Each position comes exactly once an epoch.

    Examples
    --------
    >>> [len(rows) for rows in minibatches(9, 4, np.random.default_rng(0))]
    [4, 5]
    >>> [len(rows) for rows in minibatches(11, 4, np.random.default_rng(0))]
    [4, 4, 3]
    """
    check_count("n", n, at_least=0)
    check_count("size", size)
    order = rng.permutation(n)
    n_full, rest = divmod(n, size)
    n_batches = n_full + (n_full == 0 or 2 * rest >= size) if rest else n_full
    for batch in range(n_batches):
        stop = n if batch == n_batches - 1 else (batch + 1) * size
        yield order[batch * size : stop]
