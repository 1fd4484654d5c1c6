# SPDX-License-Identifier: Apache-2.0
"""Vectors of an item in nested groups: a budget chosen at search time, learned for each.

An item keeps vectors v_1, v_2, …: the ordered means of its Ward tree (`nest_tokens`), mapped by W
and of unit length. For budgets n_1 < n_2 < … the loss is the mean over budgets of the contrast of
MaxSim over the first n_g vectors (`late_contrast`), so that every prefix ranks by itself. Queries
keep their vectors.

Xiao et al. "MetaEmbed: scaling multimodal retrieval at test-time with flexible late interaction",
ICLR 2026. There the vectors come from learned tokens that the model reads with the item; here they
are made of frozen vectors, and what is learned is one map of all of them. Learned attention over
the vectors in the place of the ordered means was measured, and is worse (see the docs).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.index.multivector.learned_pooling import LearnedPooling
from vectorloom.index.multivector.nested_tokens import ordered_means
from vectorloom.io.container import register_loader

KIND = "index.nested_multi_vector"

Floats = NDArray[np.float32]


class NestedMultiVector(LearnedPooling):
    """Few vectors an item, in an order that every prefix of is a form of the item.

    Use it to keep one index whose cost is chosen at each search: ``MultiVector(encoding=None)`` of
    its vectors, and ``search(..., budget=n)``. Without queries to learn from it is `nest_tokens`.

    Parameters
    ----------
    n : sequence of int, default=(1, 2, 4, 8)
        Budgets that are trained, ascending; the last is what an item keeps. Those in between work
        too.
    n_epochs : int, default=20
        Passes over the pairs.
    batch_size : int, default=48
        Pairs a step, each the others' negatives.
    temperature : float, default=0.03
    learning_rate : float, default=1e-4
        Largest change of an entry of W in a step. With a hundred queries 3e-4 was too much.
    random_state : int, default=0

    Attributes
    ----------
    map_ : ndarray of shape (dim, dim), float32
        W.
    losses_ : ndarray of shape (n_epochs,), float64
    held_out_losses_ : ndarray of shape (n_epochs + 1,), float64
        Of a fifth of the queries, before training first. The map of the least one is kept; empty
        below ten queries, and the last map is then.

    Raises
    ------
    ParameterError, ShapeError
        Budgets that do not ascend; what `MultiVector` refuses.

    Notes
    -----
    Cost: 5 ms an item of 180 vectors; an epoch of 100 queries of 20 vectors takes a tenth of a
    second. Deterministic. Vectors count with unit length.

    References
    ----------
    .. [1] Xiao et al. "MetaEmbed", ICLR 2026, arXiv:2509.18095.

    Examples
    --------
    >>> import numpy as np
    >>> import vectorloom as vl
    >>> tokens = np.random.default_rng(0).standard_normal((40, 12, 16))
    >>> nested = NestedMultiVector(n=[1, 2, 4], n_epochs=2).fit(tokens, tokens[:, :3])
    >>> index = vl.index.MultiVector(encoding=None).fit(nested.encode_documents(tokens))
    >>> index.n_vectors_, index.search(tokens[:2, :3], k=1, budget=2).ids.shape
    (160, (2, 1))
    """

    _kind = KIND
    _maps_queries = False

    def __init__(
        self,
        n: Sequence[int] = (1, 2, 4, 8),
        n_epochs: int = 20,
        batch_size: int = 48,
        temperature: float = 0.03,
        learning_rate: float = 1e-4,
        random_state: int = 0,
    ) -> None:
        self.n = n
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.random_state = random_state

    def _budgets(self) -> tuple[int, ...]:
        if isinstance(self.n, str | bytes) or not hasattr(self.n, "__len__") or len(self.n) == 0:
            raise ParameterError(f"n must be whole numbers such as [1, 2, 4, 8]; got {self.n!r}.")
        budgets = tuple(check_count("n", value) for value in self.n)
        if list(budgets) != sorted(set(budgets)):
            raise ParameterError(f"n must ascend, such as [1, 2, 4, 8]; got {list(budgets)}.")
        return budgets

    def _check(self) -> None:
        super()._check()
        self._budgets()

    def _means_of(self, item: Floats, weights: Floats) -> Floats:
        return ordered_means(item, self._budgets()[-1])


register_loader(KIND, NestedMultiVector._from_container)
