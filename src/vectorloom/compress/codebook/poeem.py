# SPDX-License-Identifier: Apache-2.0
"""Poeem: rotation and product codebooks learned together, from queries and the rows they want.

    x̂ = Rᵀ y,  y = C[code(R x)]
    loss = - mean_q log softmax_j(q · x̂_j / τ)[wanted row of q] + γ mean |R x - y|² / mean |x|²
    ∂loss/∂(R x) := ∂loss/∂y                                  straight through the argmin
    R ← G(i, j, θ) R,   θ = - η (A_ij - A_ji),   A = (∂loss/∂R) Rᵀ          over disjoint pairs

A gradient step would leave the rotations. A Givens rotation turns two rows of R in their plane, so
R stays orthogonal without any projection; pairs are taken by how steeply the loss falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.codebook.bottleneck import check_positive, look_up, sum_by_codeword
from vectorloom.compress.codebook.opq import OPQ
from vectorloom.compress.codebook.pq import check_bits, check_parts, seed_of, train_parts
from vectorloom.compress.codebook.ranking import (
    CodedSpace,
    candidates,
    dimension_units,
    part_labels,
    score_spread,
    split,
    top_rows,
)
from vectorloom.compress.codebook.rotated import common_length
from vectorloom.compress.contrastive import cross_entropy
from vectorloom.compress.descent import Adam, cosine_rate, minibatches
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count, check_jobs
from vectorloom.progress import progress


@dataclass
class Batch:
    """Queries, the rows they are scored against, and which of these each wants.

    Attributes
    ----------
    queries : ndarray of shape (m, dim)
    rows : ndarray of shape (n, dim)
    targets : ndarray of shape (m, n)
        Rows sum to one.
    """

    queries: NDArray[Any]
    rows: NDArray[Any]
    targets: NDArray[Any]


class Poeem(OPQ):
    """Rotation and product codes trained end to end for the rows that queries want.

    Use it where you know which rows answer which queries (clicks, judged pairs). From queries
    alone, `DistillVQ` learns more, because it is given the whole ranking; without either use `OPQ`.

    Parameters
    ----------
    n_parts : int or None, default=None
        Parts of the rotated vector, a divisor of dim; None takes about eight dimensions a part.
    bits : int, default=8
        Of one code, 1 to 8.
    start : {"opq", "pq"}, default="opq"
        Where rotation and codebooks start: those of `OPQ`, or no rotation and those of `PQ`.
    n_epochs : int, default=4
        Passes over the queries; the best of all epochs, the start included, is kept.
    batch_size : int, default=64
        Queries.
    n_sampled : int, default=1000
        Rows at random that join the wanted and the nearest rows of a batch.
    n_nearest : int, default=20
        Nearest rows of each query that join them; without pairs, the first `n_wanted` of these are
        what it wants.
    n_wanted : int, default=10
        Rows that each query wants where no pairs are given.
    temperature : float, default=0.3
        τ as a multiple of the standard deviation of the scores.
    learning_rate : float, default=0.01
        Of the codebooks, as a multiple of the root mean square of each coded dimension.
    angle : float, default=0.003
        Root mean square of the angles of one step, in radians.
    distortion : float, default=0.1
        Weight γ of the reconstruction error.
    emphasis : float, default=0.5
    keep_norms : bool, default=True
        As for `OPQ`; the lengths are put back after training, which does not see them.
    random_state : int, default=0
    n_jobs : int or None, default=None

    Attributes
    ----------
    rotation_, inverse_ : ndarray of shape (dim, dim), float32
        The learned turn of the start's map, and back.
    codebooks_ : ndarray of shape (n_parts, 2**bits, dim / n_parts), float32
    losses_ : ndarray of shape (n_epochs,), float64
    held_out_ : ndarray of shape (n_epochs + 1,), float64
        Loss over 15 % of the queries that are not learned from, before and after each epoch; what
        is kept is that of its smallest entry.

    Raises
    ------
    ShapeError
        Fewer than eight queries, pairs of another number, or `n_parts` does not divide dim.
    ParameterError
        No queries, or a number out of range.

    Notes
    -----
    Pairs are given as ``fit(X, y, queries=Q)`` with y[i] the row of X that query i wants, so y has
    one entry a query, not a row.

    The paper trains the encoders of queries and items, too; here the vectors are given, so that
    part is left out. Its rotation is learned by a step of steepest descent over Givens angles, as
    is ours; which pairs turn is chosen greedily from the steepest.

    Each step costs one encoding of its rows and two products of dim² with them. An integer
    `random_state` gives the same bits at any `n_jobs`.

    References
    ----------
    .. [1] Zhang, Shen, Qiu, Jiang, Wang, Xu, Xiao, Long, Yang. Joint learning of deep retrieval
           model and product quantization based embedding index. SIGIR 2021. arXiv:2105.03933

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((600, 16)).astype(np.float32)
    >>> vq = Poeem(n_parts=4, bits=4).fit(X, queries=X[:100] + 0.1)
    >>> vq.bytes_per_vector_, vq.rotation_.shape
    (4, (16, 16))
    """

    _uses_queries: ClassVar[bool] = True
    _needs_queries: ClassVar[bool] = True

    def __init__(
        self,
        n_parts: int | None = None,
        bits: int = 8,
        *,
        start: str = "opq",
        n_epochs: int = 4,
        batch_size: int = 64,
        n_sampled: int = 1000,
        n_nearest: int = 20,
        n_wanted: int = 10,
        temperature: float = 0.3,
        learning_rate: float = 0.01,
        angle: float = 0.003,
        distortion: float = 0.1,
        emphasis: float = 0.5,
        keep_norms: bool = True,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_parts = n_parts
        self.bits = bits
        self.start = start
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.n_sampled = n_sampled
        self.n_nearest = n_nearest
        self.n_wanted = n_wanted
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.angle = angle
        self.distortion = distortion
        self.emphasis = emphasis
        self.keep_norms = keep_norms
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        assert queries is not None
        self._check_training()
        near = top_rows(queries, X, min(self.n_nearest, len(X)), self.n_jobs)
        wanted = self._wanted(X, y, queries)
        rng = np.random.default_rng(seed_of(self.random_state))
        judge, learn = split(len(queries), rng)
        rotation, inverse, self.codebooks_ = self._start(X)
        space = CodedSpace(X, rotation, inverse, self.keep_norms, self.n_jobs)
        asked = space.ask(queries)
        lesson = Lesson(space, asked, wanted, near, self.n_sampled)
        length = float(np.mean(np.einsum("ij,ij->i", space.rows, space.rows), dtype=np.float64))
        weights = Weights(
            self.temperature * score_spread(asked[judge], space.rows, rng, self.n_jobs),
            self.distortion / length if length > 0 else 0.0,
        )
        turn = self._train(lesson, learn, judge, weights, rng)
        self.rotation_ = np.ascontiguousarray(turn @ rotation, np.float32)
        self.inverse_ = np.ascontiguousarray(inverse @ turn.T, np.float32)

    def _check_training(self) -> None:
        check_jobs(self.n_jobs)
        check_choice("start", self.start, ("opq", "pq"))
        for name in ("n_epochs", "batch_size", "n_nearest", "n_wanted"):
            check_count(name, getattr(self, name))
        check_count("n_sampled", self.n_sampled, at_least=0)
        for name in ("temperature", "learning_rate"):
            check_positive(name, getattr(self, name))
        for name in ("angle", "distortion"):
            check_positive(name, getattr(self, name), zero=True)

    def _wanted(
        self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32]
    ) -> NDArray[np.intp]:
        """Return the rows each query wants, (n_queries, n_wanted)."""
        if y is None:
            return top_rows(queries, X, min(self.n_wanted, len(X)), self.n_jobs)
        pairs = np.asarray(y)
        if pairs.shape != (len(queries),) or pairs.dtype.kind not in "iu":
            raise ShapeError(
                f"y must name one row of X for each of the {len(queries)} queries, as integers; "
                f"got {pairs.dtype} of shape {pairs.shape}. Leave it out to learn from queries."
            )
        if pairs.min() < 0 or pairs.max() >= len(X):
            raise ParameterError(
                f"y names row {int(pairs.max() if pairs.max() >= len(X) else pairs.min())}; rows "
                f"of X are 0 to {len(X) - 1}."
            )
        return pairs.astype(np.intp)[:, None]

    def _start(
        self, X: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return the first map, its inverse and the first codebooks."""
        self.length_, self.length_unit_ = common_length(X)
        if self.start == "opq":
            found = OPQ(
                self.n_parts,
                self.bits,
                emphasis=self.emphasis,
                keep_norms=self.keep_norms,
                random_state=self.random_state,
                n_jobs=self.n_jobs,
            ).fit(X)
            return found.rotation_, found.inverse_, found.codebooks_
        n_parts = check_parts(self.n_parts, X.shape[1])
        books = train_parts(
            X, n_parts, check_bits(self.bits), random_state=self.random_state, n_jobs=self.n_jobs
        )
        same = np.eye(X.shape[1], dtype=np.float32)
        return same, same.copy(), books

    def _train(
        self,
        lesson: Lesson,
        learn: NDArray[np.intp],
        judge: NDArray[np.intp],
        weights: Weights,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Set the codebooks, and return the turn of the coded space that goes with them."""
        judged = lesson.batch(judge, rng)
        rows = lesson.space.rows
        turn = best = np.eye(rows.shape[1], dtype=np.float32)
        unit = dimension_units(rows, self.codebooks_.shape)
        params = {"codebooks": self.codebooks_ / unit}
        adam = Adam(self.learning_rate)
        held_out = [joint_loss(judged, turn, self.codebooks_, weights)[0]]
        self.losses_ = np.zeros(self.n_epochs)
        count = sum(1 for _ in minibatches(len(learn), self.batch_size, np.random.default_rng(0)))
        step, n_steps = 0, self.n_epochs * count
        with progress("training Poeem", total=self.n_epochs, unit="epochs") as bar:
            for epoch in range(self.n_epochs):
                for places in minibatches(len(learn), self.batch_size, rng):
                    batch = lesson.batch(learn[places], rng)
                    loss, by = joint_loss(batch, turn, params["codebooks"] * unit, weights)
                    share = cosine_rate(step, n_steps, first=1.0)
                    rate = self.learning_rate * share
                    adam.step(params, {"codebooks": by["codebooks"] * unit}, rate)
                    turn = turned_by_givens(turn, by["rotation"], self.angle * share)
                    self.losses_[epoch] += loss * len(places) / len(learn)
                    step += 1
                now = params["codebooks"] * unit
                held_out.append(joint_loss(judged, turn, now, weights)[0])
                if held_out[-1] == min(held_out):
                    best, self.codebooks_ = turn, now
                bar.advance(loss=float(self.losses_[epoch]), held_out=held_out[-1])
        self.held_out_ = np.array(held_out)
        # Rounding of some thousand rotations: the nearest orthogonal matrix is a few ulps away.
        left, _, right = np.linalg.svd(best.astype(np.float64))
        return np.asarray(left @ right)


@dataclass
class Weights:
    """Temperature of the ranking loss, and weight of the mean squared distortion."""

    temperature: float
    distortion: float


@dataclass
class Lesson:
    """Coded rows, queries, the rows these want and their nearest ones; makes batches."""

    space: CodedSpace
    queries: NDArray[np.float32]
    wanted: NDArray[np.intp]
    near: NDArray[np.intp]
    n_sampled: int

    def batch(self, places: NDArray[np.intp], rng: np.random.Generator) -> Batch:
        """Return the batch of these queries."""
        wanted = self.wanted[places]
        known = np.concatenate([wanted, self.near[places]], axis=1)
        chosen = candidates(known, len(self.space.rows), self.n_sampled, rng)
        targets = np.zeros((len(places), len(chosen)), np.float32)
        columns = np.searchsorted(chosen, wanted)
        np.put_along_axis(targets, columns, np.float32(1 / wanted.shape[1]), axis=1)
        return Batch(self.queries[places], self.space.rows[chosen], targets)


def joint_loss(
    batch: Batch,
    rotation: NDArray[Any],
    codebooks: NDArray[Any],
    weights: Weights,
    labels: NDArray[Any] | None = None,
) -> tuple[float, dict[str, NDArray[Any]]]:
    """Return the loss of a batch and its gradients by straight-through.

    Parameters
    ----------
    batch : Batch
    rotation : ndarray of shape (dim, dim)
    codebooks : ndarray of shape (n_parts, n_codewords, width)
    weights : Weights
    labels : ndarray of shape (n, n_parts), integer, or None
        Codes of the rows; None finds the nearest.

    Returns
    -------
    loss : float
    gradients : dict of ndarray
        Of ``"rotation"`` and ``"codebooks"``.
    """
    turned = batch.rows @ rotation.T
    if labels is None:
        labels = part_labels(np.ascontiguousarray(turned, np.float32), codebooks)
    decoded = look_up(labels, codebooks)
    asked = batch.queries @ rotation.T
    loss, by_score = cross_entropy(asked @ decoded.T, batch.targets, weights.temperature)
    by_decoded = by_score.T @ asked
    gap = turned - decoded
    loss += weights.distortion * float(np.einsum("ij,ij->", gap, gap)) / len(gap)
    pulled = gap * gap.dtype.type(2 * weights.distortion / len(gap))
    by_rotation = (by_score @ decoded).T @ batch.queries + (by_decoded + pulled).T @ batch.rows
    by_codebooks = sum_by_codeword(labels, by_decoded - pulled, codebooks.shape[1])
    return loss, {"rotation": by_rotation, "codebooks": by_codebooks}


def turned_by_givens(rotation: NDArray[Any], gradient: NDArray[Any], angle: float) -> NDArray[Any]:
    """Return the rotation after one step of steepest descent over disjoint pairs of its rows.

    Parameters
    ----------
    rotation : ndarray of shape (dim, dim)
    gradient : ndarray of shape (dim, dim)
        Of the loss in the rotation.
    angle : float
        Root mean square of the angles, in radians.

    Returns
    -------
    ndarray of shape (dim, dim)
        Orthogonal as `rotation` is, up to rounding.
    """
    along = gradient @ rotation.T
    steepness = along - along.T  # minus the slope of the loss in the angle of (i, j)
    first, second = disjoint_pairs(np.abs(steepness))
    slopes = steepness[first, second]
    size = float(np.sqrt(np.mean(np.square(slopes)))) if len(slopes) else 0.0
    if size == 0 or angle == 0:
        return rotation
    theta = (slopes * (angle / size))[:, None].astype(rotation.dtype)
    turned = rotation.copy()
    turned[first] = np.cos(theta) * rotation[first] - np.sin(theta) * rotation[second]
    turned[second] = np.sin(theta) * rotation[first] + np.cos(theta) * rotation[second]
    return turned


def disjoint_pairs(weights: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return pairs (i, j), i < j, no index twice, taken greedily from the largest weights.

    Parameters
    ----------
    weights : ndarray of shape (dim, dim)
        Symmetric, not negative.

    Returns
    -------
    first, second : ndarray of shape (n_pairs,), intp
        At most dim / 2; the search ends after the 8 * dim largest weights.
    """
    dim = len(weights)
    rows, columns = np.triu_indices(dim, 1)
    values = weights[rows, columns]
    keep = min(8 * dim, len(values))
    if keep == 0:
        return rows, columns
    largest = np.argpartition(-values, keep - 1)[:keep]
    largest = np.sort(largest)[np.argsort(-values[np.sort(largest)], kind="stable")]
    used = np.zeros(dim, bool)
    chosen = []
    for at in largest.tolist():
        i, j = rows[at], columns[at]
        if not used[i] and not used[j] and values[at] > 0:
            used[i] = used[j] = True
            chosen.append(at)
    return rows[chosen], columns[chosen]
