# SPDX-License-Identifier: Apache-2.0
"""Which features of things word vectors hold: a probe for each norm that people gave.

For each feature (is round, has fur, is eaten) with enough words, F1 of a logistic regression on
held-out words, five folds; grouped by the kind of the feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.io.pages import Chart
from vectorloom.measure.result import Result
from vectorloom.measure.rows import Z95
from vectorloom.progress import progress
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_FOLDS = 5


@dataclass(frozen=True, eq=False)
class FeatureNorms(Result):
    """How well single features are read off; ``float(result)`` is the mean F1.

    Attributes
    ----------
    f1 : dict of str to float
        Of each feature that had enough words.
    by_kind : dict of str to float
        Mean over features of a kind.
    by_kind_error : dict of str to float
        Half a 95 % interval over features.
    chance : float
        Mean F1 of saying yes always.
    n_words, n_left_out : int
        Words, and features with too few of them.
    """

    f1: dict[str, float]
    by_kind: dict[str, float]
    by_kind_error: dict[str, float]
    chance: float
    n_words: int
    n_left_out: int

    def __float__(self) -> float:
        return float(np.mean(list(self.f1.values())))

    def __str__(self) -> str:
        lines = [
            f"{kind} {value:.3f} ± {self.by_kind_error[kind]:.3f}"
            for kind, value in sorted(self.by_kind.items(), key=lambda item: item[1])
        ]
        return "\n".join(
            [
                f"F1 of features {float(self):.3f} (always yes {self.chance:.3f}), {len(self.f1)} "
                f"features of {self.n_words:,} words; {self.n_left_out} have too few words",
                *lines,
            ]
        )

    def plot(self) -> Chart:
        """Draw the mean of each kind.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        bars = [
            Bar(kind, value, value - self.by_kind_error[kind], value + self.by_kind_error[kind])
            for kind, value in self.by_kind.items()
        ]
        return bar_chart("Features that vectors hold", bars, x_label="F1 on held-out words")


def feature_norms(
    X: Any,
    norms: Any,
    *,
    features: Any = None,
    kinds: Any = None,
    least: int = 10,
    random_state: int = 0,
) -> FeatureNorms:
    """Measure which features of things can be read off their word vectors.

    Parameters
    ----------
    X : array-like of shape (n, dim)
        Vectors of words.
    norms : array-like of shape (n, m)
        Above 0 where people said that feature j is true of word i.
    features : sequence of str of length m, or None, default=None
        Names; None: their numbers.
    kinds : sequence of str of length m, or None, default=None
        Such as "visual", "encyclopaedic"; None: one kind.
    least : int, default=10
        Words that must have a feature, and lack it.
    random_state : int, default=0
        Of the folds.

    Returns
    -------
    FeatureNorms

    Raises
    ------
    ShapeError, ParameterError
        Other numbers of rows, names or kinds; no feature with enough words; NaN.

    Notes
    -----
    Norms list what came to mind: a feature that is true and was not named counts as false. Cost:
    5 m linear fits.

    References
    ----------
    .. [1] L. Lucy and J. Gauthier, "Are distributional representations ready for the real world?
       Evaluating word vectors for grounded perceptual meaning", RoboNLP 2017.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((200, 6))
    >>> found = feature_norms(
    ...     X, np.stack([X[:, 0] > 0.5, X[:, 1] ** 2 > 1], axis=1), features=["straight", "bent"]
    ... )
    >>> found.f1["straight"] > 0.8 > found.f1["bent"]
    True
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    rows = as_dense(X)
    table = np.asarray(norms)
    if table.ndim != 2 or len(table) != len(rows):
        raise ShapeError(f"norms must have a row a word, {len(rows)}; got shape {table.shape}.")
    m = table.shape[1]
    names = [str(i) for i in range(m)] if features is None else [str(name) for name in features]
    groups = ["all"] * m if kinds is None else [str(kind) for kind in kinds]
    if len(names) != m or len(groups) != m:
        raise ShapeError(f"features and kinds must be {m}; got {len(names)} and {len(groups)}.")
    least = check_count("least", least, at_least=_FOLDS)
    truth = table > 0
    counts = truth.sum(axis=0)
    usable = np.flatnonzero((counts >= least) & (len(rows) - counts >= least))
    if not len(usable):
        raise ParameterError(
            f"no feature has {least} words with it and {least} without. Lower `least`, or give "
            "more words."
        )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=random_state)
    f1, base = {}, []
    with progress("probing features", total=len(usable), unit="features") as bar:
        for j in usable:
            said = cross_val_predict(_model(), rows, truth[:, j], cv=folds)
            f1[names[j]] = _f1(said, truth[:, j])
            base.append(_f1(np.ones(len(rows), bool), truth[:, j]))
            bar.advance()
    by_kind, error = {}, {}
    for kind in dict.fromkeys(groups[j] for j in usable):
        values = [f1[names[j]] for j in usable if groups[j] == kind]
        by_kind[kind] = float(np.mean(values))
        error[kind] = float(Z95 * np.std(values) / np.sqrt(len(values)))
    return FeatureNorms(f1, by_kind, error, float(np.mean(base)), len(rows), m - len(usable))


def _model() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=300)
    )


def _f1(said: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    both = int((said & truth).sum())
    return 2 * both / (int(said.sum()) + int(truth.sum())) if both else 0.0
