# SPDX-License-Identifier: Apache-2.0
"""A linear encoder, a vector quantizer and a linear decoder, trained together by gradients.

    z = E x        q_p = c_p[argmin_k |z_p - c_pk|²]        x̂ = D q        (parts p of the latent)
    loss = |x - x̂|² + |sg(z) - q|² + β |z - sg(q)|²         sg: no gradient flows through

The argmin has no gradient; the *straight-through* estimator gives z the one of q. What a codebook
is made of (free codewords, one linear map of a frozen basis, an affine map of all) is a `Codebook`:
it gives codewords, and takes the gradient of them to its own parameters. So the published remedies
against collapsing codebooks differ in one small class each, and share everything else.

References
----------
.. [1] van den Oord, Vinyals, Kavukcuoglu. Neural discrete representation learning. NeurIPS 2017.
       arXiv:1711.00937
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from vectorloom.compress.codebook.packing import pack_codes, unpack_codes
from vectorloom.compress.compressor import Compressor
from vectorloom.compress.descent import Adam, cosine_rate, minibatches
from vectorloom.compress.products import gram, matmul
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.progress import progress

# Rows x codewords of one block of distances: 4 Mi floats are 16 MB.
_BLOCK = 1 << 22
_MAX_CODEWORDS = 1 << 16


class Codebook(Protocol):
    """What the training needs to know of a codebook."""

    params: dict[str, NDArray[np.float32]]

    def codewords(self) -> NDArray[np.float32]:
        """Return (n_parts, n_codewords, width)."""
        ...

    def gradients(self, by_codeword: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the gradient of each of `params`, given that of the codewords."""
        ...


class FreeCodebook:
    """Codewords that are parameters themselves: the plain codebook of [1]_.

    Only the codewords that some row chose get a gradient; one that is never the nearest never
    moves, which is how a codebook collapses.

    Parameters
    ----------
    codewords : ndarray of shape (n_parts, n_codewords, width), float32
    """

    def __init__(self, codewords: NDArray[np.float32]) -> None:
        self.params = {"codewords": codewords.astype(np.float32)}

    def codewords(self) -> NDArray[np.float32]:
        """Return (n_parts, n_codewords, width)."""
        return self.params["codewords"]

    def gradients(self, by_codeword: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the gradient of each of `params`, given that of the codewords."""
        return {"codewords": by_codeword}


@dataclass
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    n_epochs : int
    batch_size : int
        Rows.
    learning_rate : float
        First rate; it falls to zero along a cosine.
    commitment : float
        β.
    synchronised : float
        Share of the reconstruction's gradient that the codebook gets too; 0 is plain
        straight-through.
    codebook_steps : int
        Steps of the codebook alone before each joint step; 0 does not alternate.
    """

    n_epochs: int
    batch_size: int
    learning_rate: float
    commitment: float
    synchronised: float = 0.0
    codebook_steps: int = 0


@dataclass
class Trained:
    """What training leaves.

    Attributes
    ----------
    encoder : ndarray of shape (n_latent, dim), float32
    decoder : ndarray of shape (dim, n_latent), float32
    codewords : ndarray of shape (n_parts, n_codewords, width), float32
    losses : ndarray of shape (n_epochs,), float64
        Mean squared error of the reconstruction per dimension, of each epoch.
    """

    encoder: NDArray[np.float32]
    decoder: NDArray[np.float32]
    codewords: NDArray[np.float32]
    losses: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def nearest(
    latent: NDArray[np.float32], codewords: NDArray[np.float32], n_jobs: int | None = None
) -> NDArray[np.int32]:
    """Return the nearest codeword of each part of each row; the first of equal ones.

    Parameters
    ----------
    latent : ndarray of shape (n, n_parts * width), float32
    codewords : ndarray of shape (n_parts, n_codewords, width), float32
    n_jobs : int or None, default=None

    Returns
    -------
    ndarray of shape (n, n_parts), int32
    """
    n_parts, n_codewords, width = codewords.shape
    labels = np.empty((len(latent), n_parts), np.int32)
    step = max(1, _BLOCK // n_codewords)
    for part in range(n_parts):
        words = codewords[part]
        halves = 0.5 * np.einsum("kj,kj->k", words, words)
        columns = slice(part * width, (part + 1) * width)
        for start in range(0, len(latent), step):
            rows = slice(start, start + step)
            # Half the squared distance, less |z|²/2, which is the same for all codewords.
            labels[rows, part] = (halves - matmul(latent[rows, columns], words, n_jobs)).argmin(1)
    return labels


def look_up(labels: NDArray[Any], codewords: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the codewords that labels name, side by side.

    Parameters
    ----------
    labels : ndarray of shape (n, n_parts), integer
    codewords : ndarray of shape (n_parts, n_codewords, width), float32

    Returns
    -------
    ndarray of shape (n, n_parts * width), float32
    """
    chosen = codewords[np.arange(len(codewords)), labels]
    return np.ascontiguousarray(chosen.reshape(len(labels), -1))


def sum_by_codeword(
    labels: NDArray[Any], values: NDArray[np.float32], n_codewords: int
) -> NDArray[np.float32]:
    """Return the sum of the rows that chose each codeword: the gradient of `look_up`.

    Parameters
    ----------
    labels : ndarray of shape (n, n_parts), integer
    values : ndarray of shape (n, n_parts * width), float32
    n_codewords : int

    Returns
    -------
    ndarray of shape (n_parts, n_codewords, width), float32
        Summed in the order of the rows, so the same bits always.
    """
    from scipy.sparse import csr_array

    n, n_parts = labels.shape
    width = values.shape[1] // n_parts
    ones = np.ones(n, np.float32)
    ends = np.arange(n + 1)
    out = np.empty((n_parts, n_codewords, width), np.float32)
    for part in range(n_parts):
        chosen = csr_array((ones, labels[:, part], ends), shape=(n, n_codewords))
        out[part] = chosen.T @ values[:, part * width : (part + 1) * width]
    return out


def losses_and_gradients(
    X: NDArray[np.float32],
    encoder: NDArray[np.float32],
    decoder: NDArray[np.float32],
    codewords: NDArray[np.float32],
    schedule: Schedule,
) -> tuple[float, dict[str, NDArray[np.float32]]]:
    """Return the reconstruction error per dimension, and all gradients by straight-through.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
    encoder : ndarray of shape (n_latent, dim), float32
    decoder : ndarray of shape (dim, n_latent), float32
    codewords : ndarray of shape (n_parts, n_codewords, width), float32
    schedule : Schedule

    Returns
    -------
    error : float
    gradients : dict of ndarray
        Of ``"encoder"``, ``"decoder"`` and ``"codewords"``; losses are means over rows and
        dimensions.
    """
    latent = matmul(X, encoder)
    labels = nearest(latent, codewords)
    quantized = look_up(labels, codewords)
    residual = matmul(quantized, decoder) - X
    error = float(np.einsum("ij,ij->", residual, residual)) / residual.size
    by_output = residual * np.float32(2 / residual.size)
    by_quantized = by_output @ decoder
    gap = (quantized - latent) * np.float32(2 / latent.size)
    by_latent = by_quantized - np.float32(schedule.commitment) * gap
    by_codeword = np.asarray(gap + np.float32(schedule.synchronised) * by_quantized, np.float32)
    return error, {
        "decoder": np.asarray(by_output.T @ quantized, np.float32),
        "encoder": by_latent.T @ X,
        "codewords": sum_by_codeword(labels, by_codeword, codewords.shape[1]),
    }


def train(
    X: NDArray[np.float32],
    codebook: Codebook,
    encoder: NDArray[np.float32],
    schedule: Schedule,
    rng: np.random.Generator,
    name: str,
) -> Trained:
    """Train encoder, codebook and decoder; the decoder starts as the encoder's transpose.

    Parameters
    ----------
    X : ndarray of shape (n, dim), float32
        Centred, about unit variance.
    codebook : Codebook
        Changed in place.
    encoder : ndarray of shape (n_latent, dim), float32
        Where to start; rows orthonormal.
    schedule : Schedule
    rng : numpy.random.Generator
        Draws the batches.
    name : str
        For the progress bar.

    Returns
    -------
    Trained
    """
    maps = {"encoder": encoder.copy(), "decoder": np.ascontiguousarray(encoder.T)}
    adam, codebook_adam = Adam(schedule.learning_rate), Adam(schedule.learning_rate)
    n_batches = sum(1 for _ in minibatches(len(X), schedule.batch_size, np.random.default_rng(0)))
    n_steps = schedule.n_epochs * n_batches
    losses = np.zeros(schedule.n_epochs)
    step = 0
    with progress(f"training {name}", total=schedule.n_epochs, unit="epochs") as bar:
        for epoch in range(schedule.n_epochs):
            for rows in minibatches(len(X), schedule.batch_size, rng):
                rate = cosine_rate(step, n_steps, first=schedule.learning_rate)
                batch = X[rows]
                for joint in [False] * schedule.codebook_steps + [True]:
                    error, gradients = losses_and_gradients(
                        batch, maps["encoder"], maps["decoder"], codebook.codewords(), schedule
                    )
                    by_codeword = gradients.pop("codewords")
                    codebook_adam.step(codebook.params, codebook.gradients(by_codeword), rate)
                    if joint:
                        adam.step(maps, gradients, rate)
                losses[epoch] += error * len(rows) / len(X)
                step += 1
            bar.advance(loss=float(losses[epoch]))
    return Trained(maps["encoder"], maps["decoder"], codebook.codewords().copy(), losses)


def usage(labels: NDArray[Any], n_codewords: int) -> tuple[float, float]:
    """Return the share of codewords in use and the perplexity, both means over the parts.

    Parameters
    ----------
    labels : ndarray of shape (n, n_parts), integer
    n_codewords : int

    Returns
    -------
    utilization : float
        From 0 to 1; 1 where each codeword is the nearest of some row.
    perplexity : float
        exp(entropy): how many equally frequent codewords would tell as much; at most
        `n_codewords`.
    """
    shares, perplexities = [], []
    for part in labels.T:
        counts = np.bincount(part, minlength=n_codewords)
        used = counts[counts > 0] / len(part)
        shares.append(len(used) / n_codewords)
        perplexities.append(float(np.exp(-(used * np.log(used)).sum())))
    return float(np.mean(shares)), float(np.mean(perplexities))


class BottleneckVQ(Compressor):
    """Base of the codebooks that are trained by straight-through: everything but the codebook.

    A subclass has the parameters read here and implements `_codebook`.
    """

    output: ClassVar[str] = "codes"

    n_parts: int
    n_codewords: int
    n_latent: int | None
    n_epochs: int
    batch_size: int
    learning_rate: float
    commitment: float
    random_state: int
    n_jobs: int | None

    def _codebook(self, latent: NDArray[np.float32], rng: np.random.Generator) -> Codebook:
        raise NotImplementedError

    def _schedule(self) -> Schedule:
        return Schedule(self.n_epochs, self.batch_size, self.learning_rate, self.commitment)

    def _fit(self, X: NDArray[np.float32], y: Any, queries: NDArray[np.float32] | None) -> None:
        n_latent = self._check_parameters(*X.shape)
        rng = np.random.default_rng(self.random_state)
        self.mean_ = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = X - self.mean_
        spread = float(np.sqrt(np.mean(np.square(centred, dtype=np.float64))))
        self.scale_ = spread if spread > 0 else 1.0
        centred /= np.float32(self.scale_)
        encoder = _first_encoder(centred, n_latent)
        codebook = self._codebook(matmul(centred, encoder, self.n_jobs), rng)
        found = train(centred, codebook, encoder, self._schedule(), rng, type(self).__name__)
        self.encoder_, self.decoder_ = found.encoder, found.decoder
        self.codewords_, self.losses_ = found.codewords, found.losses
        latent = matmul(centred, self.encoder_, self.n_jobs)
        labels = nearest(latent, self.codewords_, self.n_jobs)
        self.utilization_, self.perplexity_ = usage(labels, self.n_codewords)
        self.mismatch_ = mismatch(latent, self.codewords_)

    def _check_parameters(self, n: int, dim: int) -> int:
        n_parts = check_count("n_parts", self.n_parts)
        n_codewords = check_count("n_codewords", self.n_codewords, at_least=2)
        check_count("n_epochs", self.n_epochs)
        check_count("batch_size", self.batch_size)
        check_jobs(self.n_jobs)
        n_latent = dim if self.n_latent is None else check_count("n_latent", self.n_latent)
        for name in ("learning_rate", "commitment"):
            check_positive(name, getattr(self, name), zero=name == "commitment")
        if n_latent > dim:
            raise ParameterError(
                f"n_latent must be at most the {dim} dimensions of X; got {n_latent}."
            )
        if n_latent % n_parts:
            what = "n_latent" if self.n_latent else "dim"
            fits = n_latent - n_latent % n_parts
            raise ParameterError(
                f"{what} = {n_latent} cannot be cut into n_parts={n_parts} equal parts; choose a "
                "divisor" + (f", or n_latent={fits}." if fits else ".")
            )
        if n_codewords > _MAX_CODEWORDS:
            raise ParameterError(
                f"n_codewords must be at most {_MAX_CODEWORDS:,}; got {n_codewords}. Use more "
                "parts instead."
            )
        if n < n_codewords:
            raise ShapeError(
                f"X has {n} rows; n_codewords={n_codewords} needs at least as many. Pass more rows "
                "or choose fewer codewords."
            )
        return n_latent

    def _transform(self, X: NDArray[np.float32]) -> NDArray[np.uint8]:
        centred = (X - self.mean_) / np.float32(self.scale_)
        labels = nearest(matmul(centred, self.encoder_, self.n_jobs), self.codewords_, self.n_jobs)
        return pack_codes(labels, (self.n_codewords - 1).bit_length())

    def _inverse(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        n_parts, n_codewords, _ = self.codewords_.shape
        labels = unpack_codes(codes, n_parts, (n_codewords - 1).bit_length())
        # Codes are bits of anybody's: a label beyond the codebook is read as its last codeword.
        np.minimum(labels, n_codewords - 1, out=labels)
        decoded = matmul(look_up(labels, self.codewords_), self.decoder_, self.n_jobs)
        return np.asarray(decoded * np.float32(self.scale_) + self.mean_)

    def _bytes(self) -> int:
        return -(-self.n_parts * (self.n_codewords - 1).bit_length() // 8)


def _first_encoder(centred: NDArray[np.float32], n_latent: int) -> NDArray[np.float32]:
    dim = centred.shape[1]
    if n_latent == dim:
        return np.eye(dim, dtype=np.float32)
    _, vectors = np.linalg.eigh(gram(centred))
    return np.ascontiguousarray(vectors[:, ::-1][:, :n_latent].T, np.float32)


def check_positive(name: str, value: Any, *, zero: bool = False) -> None:
    """Refuse a number that is not finite and above 0 (or 0 itself, where `zero`).

    Parameters
    ----------
    name : str
        The parameter.
    value : float
    zero : bool, default=False

    Raises
    ------
    ParameterError
    """
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not (0 < value < np.inf or (zero and value == 0)):
        bound = "at least 0" if zero else "above 0"
        raise ParameterError(f"{name} must be a finite number {bound}; got {value!r}.")


def mismatch(latent: NDArray[np.float32], codewords: NDArray[np.float32]) -> float:
    """Return how far the codebook's mean and spread are from those of what it is to code.

    Parameters
    ----------
    latent : ndarray of shape (n, n_parts * width), float32
    codewords : ndarray of shape (n_parts, n_codewords, width), float32

    Returns
    -------
    float
        |mean - mean|² + |deviation - deviation|² over all dimensions, as a share of the variance of
        `latent`; 0 where both moments agree.
    """
    words = codewords.transpose(1, 0, 2).reshape(codewords.shape[1], -1).astype(np.float64)
    rows = latent.astype(np.float64)
    means = rows.mean(axis=0) - words.mean(axis=0)
    spreads = rows.std(axis=0) - words.std(axis=0)
    total = float(rows.var(axis=0).sum())
    return float(means @ means + spreads @ spreads) / total if total > 0 else 0.0
