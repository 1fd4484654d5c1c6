# SPDX-License-Identifier: Apache-2.0
"""Classifiers over the mean of n-gram rows: what those of bytes and those of words share.

x = mean of E[g] over the n-grams g of an item          p = softmax(W x + b)
L = - log p(label)                                      E, W and b descend together
"""

from __future__ import annotations

import os
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import FormatError, NotFittedError, ParameterError, ShapeError
from vectorloom.estimator import Estimator, check_count, check_jobs
from vectorloom.io.container import Container, write_container
from vectorloom.io.strings import pack_strings, unpack_strings
from vectorloom.learn.documents.ngrams import NgramTable, Tokens, check_buckets, encode_texts
from vectorloom.learn.documents.row_codes import RowCodes, covering_rows
from vectorloom.learn.documents.stored import plain_params, stored_buckets
from vectorloom.learn.steps import Checkpoint, Steps, held_out_split


class BagClassifier(Estimator):
    """Base of `ByteSteady` and `TextClassifier`.

    A subclass names its file kind in `_KIND`, turns items into tokens in `_cut` and says in
    `_sizes` how many tokens its n-grams have.
    """

    _KIND = ""

    vector_size: int
    n_buckets: int
    min_df: int
    epochs: int
    batch_size: int
    learning_rate: float
    validation_share: float
    patience: int | None
    n_jobs: int | None
    random_state: int

    classes_: NDArray[Any]
    table_: NDArray[np.float32]
    coef_: NDArray[np.float32]
    intercept_: NDArray[np.float32]

    def _cut(self, items: Any) -> Tokens:
        """Return items as tokens, or refuse them."""
        raise NotImplementedError

    def _sizes(self) -> list[int]:
        """Return how many tokens the n-grams have."""
        raise NotImplementedError

    def fit(
        self,
        items: Any,
        y: Any,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        checkpoint_every: float = 300.0,
    ) -> Any:
        """Learn from items and their labels.

        Parameters
        ----------
        items : iterable
        y : array-like of shape (n,), of str or int
            At least two different labels.
        checkpoint : path-like, optional
            File that the state of the training is written to.
        resume : bool, default=False
            Go on from `checkpoint`; other settings or other items are refused.
        checkpoint_every : float, default=300.0
            Seconds.

        Returns
        -------
        self
        """
        self._check()
        state = Checkpoint(checkpoint, resume, checkpoint_every)
        state.check()
        tokens = self._cut(items)
        classes, labels = _labels(y, len(tokens))
        self._table, _ = NgramTable.of(tokens, self._sizes(), self.n_buckets, self.min_df)
        if not len(self._table):
            raise ParameterError(
                f"no n-gram is in at least {self.min_df} of {len(tokens)} items; lower min_df, or "
                "bring longer items."
            )
        self._codes: RowCodes | None = None
        self._train(tokens, labels, len(classes), state)
        self.classes_ = classes
        return self

    def _train(
        self, tokens: Tokens, labels: NDArray[np.int32], n_classes: int, state: Checkpoint
    ) -> None:
        random = np.random.default_rng(self.random_state)
        shape = (len(self._table), self.vector_size)
        table = random.uniform(-1, 1, shape).astype(np.float32) / np.float32(self.vector_size)
        arrays = {
            "table": table,
            "squares": np.zeros(len(table), dtype=np.float32),
            "head": np.zeros((n_classes, self.vector_size + 1), dtype=np.float32),
            "head_squares": np.zeros(n_classes, dtype=np.float32),
        }
        train, held_out = held_out_split(len(tokens), self.validation_share, self.random_state)
        rows = self._table.rows(tokens)
        trainer = _core.BagClassifier(
            _core.Ngrams(rows, tokens.offsets, self._table.sizes),
            labels,
            train,
            *arrays.values(),
            batch=self.batch_size,
            epochs=self.epochs,
            rate=float(self.learning_rate),
            seed=self.random_state,
        )

        def loss() -> float:
            total, _, n = trainer.evaluate(held_out, self.n_jobs)
            return float(total / n)

        settings = plain_params(self, but=("n_jobs",))
        settings["items"] = zlib.crc32(np.ascontiguousarray(rows).view(np.uint8).data)
        settings["labels"] = zlib.crc32(labels.view(np.uint8).data)
        steps = Steps(
            trainer,
            arrays,
            settings,
            self.epochs,
            "learning classes",
            n_jobs=self.n_jobs,
            held_out=loss if len(held_out) else None,
            patience=self.patience,
        )
        steps.run(state)
        self.losses_, self.held_out_losses_ = steps.losses, steps.held_out_losses
        self.table_ = table
        self.coef_, self.intercept_ = arrays["head"][:, :-1], arrays["head"][:, -1]

    def transform(self, items: Any) -> NDArray[np.float32]:
        """Return the mean row of the n-grams of each item.

        Parameters
        ----------
        items : iterable

        Returns
        -------
        ndarray of shape (n, vector_size), float32
            Zero where an item has no known n-gram.
        """
        self._check_fitted("classes_")
        tokens, n_jobs = self._cut(items), check_jobs(self.n_jobs)
        if self._codes is None:
            return encode_texts(
                self._table, self.table_, tokens, mean=True, power=0.0, n_jobs=n_jobs
            )
        return self._codes.encode(self._table, tokens, n_jobs)

    def decision_function(self, items: Any) -> NDArray[np.float32]:
        """Return the scores W x + b.

        Parameters
        ----------
        items : iterable

        Returns
        -------
        ndarray of shape (n, n_classes), float32
        """
        vectors = self.transform(items)
        return np.asarray(vectors @ self.coef_.T + self.intercept_)

    def predict_proba(self, items: Any) -> NDArray[np.float32]:
        """Return the shares of the classes, in the order of `classes_`.

        Parameters
        ----------
        items : iterable

        Returns
        -------
        ndarray of shape (n, n_classes), float32
        """
        scores = self.decision_function(items)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def predict(self, items: Any) -> NDArray[Any]:
        """Return the most likely class of each item; of equal ones, the first of `classes_`.

        Parameters
        ----------
        items : iterable

        Returns
        -------
        ndarray of shape (n,), dtype of `classes_`
        """
        scores = self.decision_function(items)
        return np.asarray(self.classes_[scores.argmax(axis=1)])

    def score(self, items: Any, y: Any) -> float:
        """Return the share of items that are given their label.

        Parameters
        ----------
        items : iterable
        y : array-like of shape (n,)

        Returns
        -------
        float
        """
        found, wanted = self.predict(items), np.asarray(y)
        if found.shape != wanted.shape:
            raise ShapeError(f"y must have shape {found.shape}; got {wanted.shape}.")
        return float(np.mean(found == wanted))

    def compress(
        self, items: Any = None, *, max_rows: int | None = None, part_size: int = 2
    ) -> Any:
        """Return a copy whose rows are fewer and stored as codes.

        Parameters
        ----------
        items : iterable, optional
            Items of the kind that will come. Of each, the longest row stays, where `max_rows`
            allows, so that none is left without a known n-gram.
        max_rows : int or None, default=None
            The longest rows stay; None keeps all.
        part_size : int, default=2
            Dimensions that share one byte; must divide `vector_size`. 1 is nearly lossless.

        Returns
        -------
        classifier
            Of the same class. It cannot be compressed again.

        Notes
        -----
        A row's length and its direction are coded apart: one byte for the length, one for each
        part of the direction, codebooks by k-means [1]_. A row then takes 5 + vector_size /
        part_size bytes instead of 4 + 4 * vector_size.

        References
        ----------
        .. [1] Joulin, Grave, Bojanowski, Douze, Jégou, Mikolov. FastText.zip: compressing text
               classification models. 2016. arXiv:1612.03651
        """
        self._check_fitted("classes_")
        if self._codes is not None:
            raise ParameterError("this classifier is compressed already; compress the first one.")
        check_count("part_size", part_size)
        if self.vector_size % part_size:
            raise ParameterError(
                f"part_size must divide vector_size, {self.vector_size}; got {part_size}."
            )
        kept = np.arange(len(self.table_))
        if max_rows is not None and check_count("max_rows", max_rows) < len(kept):
            rows, offsets = np.empty((0, 1), np.int32), np.zeros(1, np.int64)
            if items is not None:
                tokens = self._cut(items)
                rows, offsets = self._table.rows(tokens), tokens.offsets
            kept = covering_rows(self.table_, rows, offsets, max_rows)
        found = type(self)(**self.get_params(deep=False))
        found._table = NgramTable(
            self._sizes(), self.n_buckets, np.ascontiguousarray(self._table.buckets[kept])
        )
        found._codes = RowCodes.of(self.table_[kept], part_size, self.random_state, self.n_jobs)
        found.classes_, found.coef_, found.intercept_ = self.classes_, self.coef_, self.intercept_
        found.losses_, found.held_out_losses_ = self.losses_, self.held_out_losses_
        return found

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise NotFittedError(
                f"this {type(self).__name__} has seen no items yet; call fit(items, y) first."
            )

    def _check(self) -> None:
        for name in ("vector_size", "min_df", "epochs", "batch_size"):
            check_count(name, getattr(self, name))
        check_count("random_state", self.random_state, at_least=0)
        check_buckets(self.n_buckets)
        check_jobs(self.n_jobs)
        if not 0 < self.learning_rate < np.inf:
            raise ParameterError(f"learning_rate must be positive; got {self.learning_rate!r}.")
        if self.patience is not None:
            check_count("patience", self.patience)
            if not self.validation_share:
                raise ParameterError("patience needs items held out: set validation_share=0.1.")
        held_out_split(2, self.validation_share, 0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted classifier to one file; `vectorloom.open` maps it.

        Parameters
        ----------
        path : path-like
            Replaced in one step if it exists.

        Raises
        ------
        NotFittedError
            Nothing to save yet.
        """
        self._check_fitted("classes_")
        meta = {
            "params": plain_params(self),
            "n_classes": len(self.classes_),
            "losses": self.losses_,
            "held_out_losses": self.held_out_losses_,
            "coded": self._codes is not None,
        }
        arrays: dict[str, NDArray[Any]] = {
            "buckets": self._table.buckets,
            "coef": np.ascontiguousarray(self.coef_),
            "intercept": np.ascontiguousarray(self.intercept_),
        }
        if self.classes_.dtype == np.int64:
            arrays["classes"] = self.classes_
        else:
            arrays["classes"], arrays["class_offsets"] = pack_strings(self.classes_.tolist())
        arrays |= {"table": self.table_} if self._codes is None else self._codes.arrays()
        write_container(path, self._KIND, meta, arrays)

    @classmethod
    def _load(cls, container: Container) -> Any:
        params, n_classes = dict(container.meta["params"]), container.meta["n_classes"]
        model = cls(**params)
        model._check()
        dim = model.vector_size
        model._table = stored_buckets(container, model._sizes(), model.n_buckets)
        model._codes = None
        if container.meta["coded"]:
            model._codes = RowCodes.load(container, len(model._table), dim)
        else:
            model.table_ = container.array("table", "<f4", (len(model._table), dim))
        model.coef_ = container.array("coef", "<f4", (n_classes, dim))
        model.intercept_ = container.array("intercept", "<f4", (n_classes,))
        if "class_offsets" in container.arrays:
            data = container.array("classes", "|u1", (None,))
            offsets = container.array("class_offsets", "<i8", (n_classes + 1,))
            model.classes_ = unpack_strings(data, offsets, where=str(container.path))
        else:
            model.classes_ = container.array("classes", "<i8", (n_classes,))
        if n_classes < 2:
            raise FormatError(f"{container.path}: fewer than two classes; the file is damaged.")
        model.losses_ = list(container.meta["losses"])
        model.held_out_losses_ = list(container.meta["held_out_losses"])
        return model


def _labels(y: Any, n: int) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return the different labels, sorted, and which of them each item has."""
    values = y.tolist() if hasattr(y, "tolist") else list(y)
    if len(values) != n:
        raise ShapeError(f"y must have one label an item; got {len(values)} for {n} items.")
    are_str = all(isinstance(value, str) for value in values)
    if not are_str and not all(
        isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in values
    ):
        raise ParameterError("labels must be all str or all int. Turn them into one of the two.")
    names = sorted(set(values))
    if len(names) < 2:
        raise ParameterError(
            f"all {n} items have the label {names[0]!r}; at least two labels are needed."
        )
    place = {name: i for i, name in enumerate(names)}
    classes = np.empty(len(names), dtype=object) if are_str else np.array(names, dtype=np.int64)
    classes[:] = names
    return classes, np.array([place[value] for value in values], dtype=np.int32)
