# SPDX-License-Identifier: Apache-2.0
"""What makers of few vectors an item share that learn a map from queries: parameters, files."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.estimator import Estimator, check_count
from vectorloom.index.multivector.late_contrast import (
    Local,
    MapTrainer,
    Padded,
    Trained,
    as_pairs,
    padded,
)
from vectorloom.index.multivector.token_pooling import joined
from vectorloom.index.multivector.token_vectors import TokenVectors, as_float_tokens, unit_rows
from vectorloom.io.container import Container, write_container
from vectorloom.progress import progress

Floats = NDArray[np.float32]


class LearnedPooling(Estimator):
    """Base of `NestedMultiVector`, `CRISP` and `MultiView`.

    A subclass says by what means an item's vectors are stood for (`_means_of`), where training
    starts (`_start`) and which prefixes it looks at (`_budgets`).
    """

    _kind: str
    _maps_queries: bool

    n_epochs: int
    batch_size: int
    temperature: float
    learning_rate: float
    random_state: int

    map_: Floats
    losses_: NDArray[np.float64]
    held_out_losses_: NDArray[np.float64]

    def fit(self, X: Any, queries: Any = None, pairs: Any = None) -> Any:
        """Learn the map from queries and the documents that answer them.

        Parameters
        ----------
        X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)
            Documents.
        queries : as X, or None, default=None
            Judged ones, or what comes by nature with a document: its title, a question it was
            written for. None learns nothing: the map leaves vectors as they are.
        pairs : array-like of shape (n_pairs, 2), int, or None, default=None
            Query and document, by their places. None takes the i-th query to be answered by the
            i-th document.

        Returns
        -------
        self

        Raises
        ------
        ShapeError, ParameterError
            What `MultiVector` refuses; queries that are not one a document without `pairs`; pairs
            out of range, or of one document only.
        """
        self._check()
        tokens = self._unit(X, "X", None)
        start = self._start(tokens)
        if queries is None:
            if pairs is not None:
                raise ParameterError("pairs name queries; pass queries= too.")
            trained = Trained(start, np.empty(0), np.empty(0))
        else:
            trained = self._train(tokens, start, queries, pairs)
        self.map_ = trained.weights
        self.losses_, self.held_out_losses_ = trained.losses, trained.held_out
        return self

    def _train(self, tokens: TokenVectors, start: Floats, queries: Any, pairs: Any) -> Trained:
        data = as_pairs(queries, pairs, len(tokens), tokens.dim)
        # Documents that no query asks for teach nothing, and need not be pooled.
        asked, places = np.unique(data.pairs[:, 1], return_inverse=True)
        data.pairs[:, 1] = places.ravel()
        trainer = MapTrainer(
            data,
            budgets=self._budgets(),
            both=self._maps_queries,
            temperature=float(self.temperature),
            learning_rate=float(self.learning_rate),
            batch_size=self.batch_size,
            n_epochs=self.n_epochs,
            random_state=self.random_state,
            local=self._local,
        )
        part = tokens.take(asked)
        return trainer.train(start, self._viewer(part))

    def encode_documents(self, X: Any) -> tuple[Floats, NDArray[np.int64]]:
        """Return the few vectors of documents, for `MultiVector`.

        Parameters
        ----------
        X : tuple (values, offsets), or list of matrices, or array of shape (n, m, dim)

        Returns
        -------
        values : ndarray of shape (sum of lengths, n_components), float32
            Of unit length.
        offsets : ndarray of shape (n + 1,), int64
        """
        tokens = self._unit(X, "X", self._fitted().shape[1])
        made = []
        with progress("encoding", total=len(tokens), unit="items") as bar:
            for item in tokens.items():
                made.append(self._mapped(self._means_of(item, self.map_)))
                bar.advance()
        out = joined(made, len(self.map_))
        return out.values, out.offsets

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was learned to one file, which `vl.open` reads again.

        Parameters
        ----------
        path : path-like
            Its folder must exist.
        """
        self._fitted()
        arrays: dict[str, NDArray[Any]] = {"map": self.map_, "losses": self.losses_}
        arrays["held_out"] = self.held_out_losses_
        params = {k: _plain(v) for k, v in self.get_params(deep=False).items()}
        write_container(path, self._kind, {"params": params}, arrays)

    @classmethod
    def _from_container(cls, file: Container) -> Any:
        encoder = cls(**file.meta["params"])
        encoder._check()
        encoder.map_ = np.array(file.array("map", "<f4", (None, None)))
        if not np.isfinite(encoder.map_).all():
            raise FormatError(f"{file.path}: the map is not finite.")
        encoder.losses_ = np.array(file.array("losses", "<f8", (None,)))
        encoder.held_out_losses_ = np.array(file.array("held_out", "<f8", (None,)))
        return encoder

    # ---- for subclasses ------------------------------------------------------------------------

    @property
    def _local(self) -> Local | None:
        """What is added to the loss, if anything."""
        return None

    def _means_of(self, item: Floats, weights: Floats) -> Floats:
        """Return the means that stand for an item, which are to be mapped by W."""
        raise NotImplementedError

    def _start(self, tokens: TokenVectors) -> Floats:
        return np.eye(tokens.dim, dtype=np.float32)

    def _budgets(self) -> tuple[int, ...]:
        raise NotImplementedError

    def _viewer(self, tokens: TokenVectors) -> Callable[[Floats], Padded]:
        """Return what gives, of W, the means of all these items: found once, as they come."""
        start = np.empty((0, 0), np.float32)
        means = padded(
            [self._means_of(item, start) for item in tokens.items()], self._budgets()[-1]
        )
        return lambda weights: means

    def _check(self) -> None:
        check_count("n_epochs", self.n_epochs, at_least=0)
        check_count("batch_size", self.batch_size, at_least=2)
        for name in ("temperature", "learning_rate"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ParameterError(f"{name} must be above 0; got {value!r}.")

    def _mapped(self, rows: Floats) -> Floats:
        out = rows @ self.map_.T
        lengths = np.linalg.norm(out, axis=1, keepdims=True)
        lost = lengths[:, 0] <= 1e-12
        if lost.any():
            raise ParameterError("the map sends a vector to zero; learn it from more queries.")
        mapped: Floats = (out / lengths).astype(np.float32)
        return mapped

    def _fitted(self) -> Floats:
        self._check_fitted("map_")
        return self.map_

    def _unit(self, X: Any, name: str, dim: int | None) -> TokenVectors:
        tokens = as_float_tokens(X, name=name, dim=dim)
        if len(tokens) == 0:
            raise ShapeError(f"{name} must have at least one item; got none.")
        return TokenVectors(unit_rows(tokens.values, name=name), tokens.offsets)


def _plain(value: Any) -> Any:
    return [int(v) for v in value] if isinstance(value, list | tuple | np.ndarray) else value
