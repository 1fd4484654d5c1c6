# SPDX-License-Identifier: Apache-2.0
"""Probes: how well simple classifiers do on the vectors, by the number of labelled rows.

linear   multinomial logistic regression on standardized columns, the L2 penalty chosen on
         held-out training rows
knn      vote of the k nearest by cosine, weight exp(cos / 0.07)              [2]_
mixed    (1 - w) linear + w knn, probabilities, w chosen on held-out training rows  [1]_
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count
from vectorloom.io.pages import Chart
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95, directions
from vectorloom.progress import progress
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Codes = NDArray[np.int64]

KINDS = ("linear", "knn", "mixed")
_TEMPERATURE = 0.07
_WEIGHTS = np.linspace(0.0, 1.0, 11)
_HELD = 0.25  # of the training rows, by which penalties and the weight of "mixed" are chosen
_FEW = 4  # training rows of a class below which none is held out
_PENALTIES = (0.001, 0.01, 0.1, 1.0)  # sklearn's C


@dataclass(frozen=True, eq=False)
class Probe(Result):
    """Accuracy of probes by the number of labelled rows a class.

    Attributes
    ----------
    shots : tuple of int
        Labelled rows a class; the last stands for all training rows where it is 0.
    accuracy : dict of str to ndarray of shape (len(shots),)
        Mean over draws of the accuracy on held-out rows.
    error : dict of str to ndarray of shape (len(shots),)
        Half a 95 % interval: of the draws of training rows and of the held-out rows.
    chance : float
        Share of the largest class.
    n_train, n_test, n_classes : int
    """

    shots: tuple[int, ...]
    accuracy: dict[str, Doubles]
    error: dict[str, Doubles]
    chance: float
    n_train: int
    n_test: int
    n_classes: int

    def best(self) -> str:
        """Return the kind that does best with the most labelled rows.

        Returns
        -------
        str
        """
        return max(self.accuracy, key=lambda kind: self.accuracy[kind][-1])

    def __str__(self) -> str:
        heads = ["all" if s == 0 else f"{s}" for s in self.shots]
        lines = [f"{'a class':<8}" + "".join(f"{head:>16}" for head in heads)]
        for kind, values in self.accuracy.items():
            told = (f"{v:.3f} ± {e:.3f}" for v, e in zip(values, self.error[kind], strict=True))
            lines.append(f"{kind:<8}" + "".join(f"{one:>16}" for one in told))
        return "\n".join(
            [
                *lines,
                f"chance {self.chance:.3f}; {self.n_classes} classes, {self.n_train:,} rows to "
                f"learn from, {self.n_test:,} held out",
            ]
        )

    def plot(self) -> Chart:
        """Draw accuracy over labelled rows, or bars where there is one number of rows.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, Line, bar_chart, line_chart

        if len(self.shots) == 1:
            bars = [
                Bar(kind, v[0], v[0] - self.error[kind][0], v[0] + self.error[kind][0])
                for kind, v in self.accuracy.items()
            ]
            return bar_chart("Accuracy of probes", bars, x_label="accuracy on held-out rows")
        x = [s or max(1, self.n_train // self.n_classes) for s in self.shots]
        return line_chart(
            "Accuracy of probes",
            [
                Line(kind, x, v, v - self.error[kind], v + self.error[kind])
                for kind, v in self.accuracy.items()
            ],
            x_label="labelled rows a class, each step doubles",
            log_x=True,
            y_range=(0.0, 1.0),
            guide=self.chance,
        )


def probe(
    X: Any,
    labels: Any,
    *,
    kinds: Sequence[str] = KINDS,
    shots: Sequence[int] = (0,),
    test: tuple[Any, Any] | None = None,
    k: int = 20,
    draws: int = 5,
    random_state: int = 0,
) -> Probe:
    """Measure how well simple classifiers read labels off the vectors.

    Parameters
    ----------
    X : array-like of shape (n, dim)
    labels : array-like of shape (n,)
        Two classes at least.
    kinds : sequence of {"linear", "knn", "mixed"}, default all
    shots : sequence of int, default=(0,)
        Labelled rows a class to learn from, such as (1, 4, 16, 0); 0 takes all training rows.
    test : tuple of array-like, or None, default=None
        Held-out rows and labels. None: a quarter of the rows of each class.
    k : int, default=20
        Neighbours that vote; fewer where there are fewer.
    draws : int, default=5
        Draws of training rows for each number of shots; 1 is enough for all of them.
    random_state : int, default=0

    Returns
    -------
    Probe

    Raises
    ------
    ShapeError, ParameterError
        Not one label a row; one class; a class with one row; more shots than a class has.

    Notes
    -----
    Cost: kinds * shots * draws fits; a linear one is about 500 * n * dim * classes. The linear
    probe asks whether labels are there at all, the vote whether neighbours have them.

    References
    ----------
    .. [1] M. Jia et al., "Rethinking nearest neighbors for visual classification", 2021,
       arXiv:2112.08459.
    .. [2] Z. Wu et al., "Unsupervised feature learning via non-parametric instance discrimination",
       CVPR 2018.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1, 2], 60)
    >>> X = rng.standard_normal((180, 8)) + 4 * np.eye(8)[y]
    >>> bool(probe(X, y).accuracy["linear"][-1] > 0.9)
    True
    """
    for kind in kinds:
        check_choice("kinds", kind, KINDS)
    k = check_count("k", k)
    draws = check_count("draws", draws)
    rng = np.random.default_rng(random_state)
    train, y, held, truth, n_classes = _split(X, labels, test, rng)
    fewest = int(np.bincount(y, minlength=n_classes).min())
    for s in shots:
        if s < 0 or s > fewest:
            raise ParameterError(
                f"shots has {s}; each class must have so many training rows, and the smallest has "
                f"{fewest}. Give fewer, or 0 for all."
            )
    found: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    with progress("probing", total=len(shots) * len(kinds), unit="settings") as bar:
        for s in shots:
            parts = [_drawn(y, s, rng) for _ in range(1 if s == 0 else draws)]
            for kind in kinds:
                found[kind].append(
                    [_accuracy(kind, train[p], y[p], held, truth, n_classes, k) for p in parts]
                )
                bar.advance()
    return Probe(
        shots=tuple(shots),
        accuracy={kind: np.array([np.mean(v) for v in lists]) for kind, lists in found.items()},
        error={
            kind: np.array([_half(v, len(truth)) for v in lists]) for kind, lists in found.items()
        },
        chance=float(np.bincount(truth).max() / len(truth)),
        n_train=len(y),
        n_test=len(truth),
        n_classes=n_classes,
    )


def class_codes(labels: Any, n: int, name: str = "labels") -> tuple[Codes, NDArray[Any]]:
    """Return labels as numbers from 0 on, and what they stand for.

    Parameters
    ----------
    labels : array-like of shape (n,)
    n : int
        Rows there are.
    name : str, default="labels"

    Returns
    -------
    codes : ndarray of shape (n,), int64
    classes : ndarray
        Two at least.

    Raises
    ------
    ShapeError, ParameterError
        Not one a row, or one class only.
    """
    values = np.asarray(labels)
    if values.shape != (n,):
        raise ShapeError(f"{name} must be one a row, {n}; got shape {values.shape}.")
    classes, codes = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise ParameterError(
            f"{name} are all {classes.tolist()[0]!r}: nothing can be told apart. Give two classes "
            "or more."
        )
    return codes.astype(np.int64), classes


def _split(
    X: Any, labels: Any, test: tuple[Any, Any] | None, rng: np.random.Generator
) -> tuple[Floats, Codes, Floats, Codes, int]:
    rows = as_dense(X)
    codes, classes = class_codes(labels, len(rows))
    if test is not None:
        held = as_dense(test[0], name="test", dim=rows.shape[1])
        place = {value: i for i, value in enumerate(classes.tolist())}
        truth = np.array([place.get(value, -1) for value in np.asarray(test[1]).tolist()])
        if truth.shape != (len(held),) or (truth < 0).any():
            raise ParameterError(
                "test must hold one label a row, of the classes of labels; got another number or "
                "another class."
            )
        return rows, codes, held, truth, len(classes)
    out = np.zeros(len(rows), bool)
    for code in range(len(classes)):
        at = rng.permutation(np.flatnonzero(codes == code))
        if len(at) < 2:
            raise ParameterError(
                f"class {classes[code]!r} has one row; one to learn from and one to hold out are "
                "needed. Drop the class, or give test."
            )
        out[at[: max(1, len(at) // 4)]] = True
    return rows[~out], codes[~out], rows[out], codes[out], len(classes)


def _drawn(y: Codes, shots: int, rng: np.random.Generator) -> Codes:
    if shots == 0:
        return np.arange(len(y))
    return np.concatenate(
        [rng.permutation(np.flatnonzero(y == c))[:shots] for c in range(int(y.max()) + 1)]
    )


def _accuracy(
    kind: str, X: Floats, y: Codes, held: Floats, truth: Codes, n_classes: int, k: int
) -> float:
    if kind == "linear":
        chances = _linear(X, y, held, n_classes)
    elif kind == "knn":
        chances = _vote(X, y, held, n_classes, k)
    else:
        w = _mixing(X, y, n_classes, k)
        chances = (1 - w) * _linear(X, y, held, n_classes) + w * _vote(X, y, held, n_classes, k)
    return float((chances.argmax(axis=1) == truth).mean())


def _linear(X: Floats, y: Codes, held: Floats, n_classes: int) -> Doubles:
    from sklearn.linear_model import LogisticRegression

    mean, spread = X.mean(axis=0), X.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    chances = np.zeros((len(held), n_classes))
    known = np.unique(y)
    if len(known) == 1:
        chances[:, known[0]] = 1.0
        return chances
    ready = (X - mean) / spread
    out = _held_out(y, n_classes)
    best, c = -1.0, _PENALTIES[1]
    for tried in _PENALTIES if out.any() else ():
        model = LogisticRegression(C=tried, max_iter=300).fit(ready[~out], y[~out])
        right = float((model.predict(ready[out]) == y[out]).mean())
        best, c = (right, tried) if right > best else (best, c)
    model = LogisticRegression(C=c, max_iter=300).fit(ready, y)
    chances[:, model.classes_] = model.predict_proba((held - mean) / spread)
    return chances


def _held_out(y: Codes, n_classes: int) -> NDArray[np.bool_]:
    """Mark a quarter of the training rows of each class; none where a class has fewer than 4."""
    out = np.zeros(len(y), bool)
    if int(np.bincount(y, minlength=n_classes).min()) >= _FEW:
        for c in range(n_classes):
            at = np.flatnonzero(y == c)
            out[at[: max(1, int(len(at) * _HELD))]] = True
    return out


def _vote(X: Floats, y: Codes, held: Floats, n_classes: int, k: int) -> Doubles:
    a, b = directions(X), directions(held)
    k = min(k, len(a))
    scores = b @ a.T
    near = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    cosines = np.take_along_axis(scores, near, 1).astype(np.float64)
    weights = np.exp((cosines - 1) / _TEMPERATURE)
    chances = np.zeros((len(b), n_classes))
    np.add.at(chances, (np.arange(len(b))[:, None], y[near]), weights)
    return np.asarray(chances / np.maximum(chances.sum(axis=1, keepdims=True), 1e-300))


def _mixing(X: Floats, y: Codes, n_classes: int, k: int) -> float:
    """Choose the weight of the vote on held-out training rows; a half where there are too few."""
    out = _held_out(y, n_classes)
    if not out.any():
        return 0.5
    linear = _linear(X[~out], y[~out], X[out], n_classes)
    vote = _vote(X[~out], y[~out], X[out], n_classes, k)
    right = [
        float((((1 - w) * linear + w * vote).argmax(axis=1) == y[out]).mean()) for w in _WEIGHTS
    ]
    return float(_WEIGHTS[int(np.argmax(right))])


def _half(values: list[float], n_test: int) -> float:
    mean = float(np.mean(values))
    chance = mean * (1 - mean) / n_test
    drawn = float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0
    return float(Z95 * np.sqrt(chance + drawn))
