# SPDX-License-Identifier: Apache-2.0
"""What weights of terms begin with: a vocabulary, and latent semantic analysis over it.

    W ≈ U S Vᵀ       rows (1 + log tf) idf at length 1
    E_i = idf_i v_i / mean |h|,   O_j = c v_j / |v_j|^0.6

Plain SVD (O = V) expands to frequent terms alone, since the few directions that it keeps have
little of rare ones; dividing by a power of their length gives those a share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count, check_jobs
from vectorloom.learn.documents.expansion_head import Floats, Head
from vectorloom.learn.documents.ngrams import Tokens, offsets_of
from vectorloom.learn.steps import held_out_split

_SVD_TEXTS = 50_000  # at most so many begin the head
_SVD_ITERATIONS = 3
_RARITY = np.float32(0.6)
_STRONG = 100  # `strength` is of the so manieth strongest term of a text
_LOOKED_AT = 256  # texts from which sizes and biases are taken
_COUNTS = (
    "vector_size",
    "min_df",
    "max_learned",
    "batch_size",
    "group_size",
    "query_expansions",
)
_LEAST, _MOST = np.finfo(float).tiny, np.finfo(float).max
_RANGES = (
    (("length_power", "head_share", "b"), 0.0, 1.0, "from 0 to 1"),
    (("learning_rate", "temperature", "strength"), _LEAST, _MOST, "positive"),
    (("flops", "k1"), 0.0, _MOST, "at least 0"),
)


def check_settings(encoder: Any) -> None:
    """Refuse parameters of an expansion encoder that are out of range."""
    for name in _COUNTS:
        check_count(name, getattr(encoder, name))
    for name in ("n_expansions", "epochs", "random_state"):
        check_count(name, getattr(encoder, name), at_least=0)
    check_jobs(encoder.n_jobs)
    if encoder.patience is not None:
        check_count("patience", encoder.patience)
        if not encoder.validation_share:
            raise ParameterError("patience needs texts held out: set validation_share=0.05.")
    for names, low, high, allowed in _RANGES:
        for name in names:
            if not low <= getattr(encoder, name) <= high:
                raise ParameterError(f"{name} must be {allowed}; got {getattr(encoder, name)!r}.")
    held_out_split(2, encoder.validation_share, 0)


class Vocabulary:
    """Terms and their numbers.

    Parameters
    ----------
    names : list of str
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._number = {name: i for i, name in enumerate(names)}

    def __len__(self) -> int:
        return len(self._number)

    def numbers(self, words: list[list[str]]) -> Tokens:
        """Return the numbers of the terms of texts; unknown ones are left out."""
        number = self._number
        found = [[number[word] for word in text if word in number] for text in words]
        flat = np.array([term for text in found for term in text], dtype=np.int32)
        return Tokens(flat, offsets_of(map(len, found), len(found)))


def learn_vocabulary(words: list[list[str]]) -> tuple[Vocabulary, NDArray[np.int64]]:
    """Return the terms of texts, the most frequent first, and how many texts have each.

    Parameters
    ----------
    words : list of lists of str

    Raises
    ------
    ParameterError
        There are none.

    Examples
    --------
    >>> vocabulary, df = learn_vocabulary([["sea", "boat"], ["sea", "sea"]])
    >>> vocabulary.names, df.tolist()
    (['sea', 'boat'], [2, 1])
    """
    df: dict[str, int] = {}
    for text in words:
        for word in set(text):
            df[word] = df.get(word, 0) + 1
    if not df:
        raise ParameterError(
            f"no word is left of {len(words)} texts. Are they empty or all stop words? Pass "
            "stop_words=None."
        )
    names = sorted(df, key=lambda word: (-df[word], word))
    return Vocabulary(names), np.array([df[name] for name in names], dtype=np.int64)


def first_head(
    counts: Any,
    df: NDArray[np.int64],
    n_learned: int,
    *,
    dim: int,
    power: float,
    strength: float,
    n_expansions: int,
    seed: int,
) -> Head:
    """Return the head before training.

    Parameters
    ----------
    counts : csr matrix of shape (n, n_terms), float32
    df : ndarray of shape (n_terms,), int64
    n_learned, dim, power, strength, n_expansions, seed
        As in `vectorloom.learn.ExpansionEncoder`.

    Returns
    -------
    Head
        Queries have no bias yet, see `open_queries`.
    """
    idf = (1 + np.log((1 + counts.shape[0]) / (1 + df[:n_learned]))).astype(np.float32)
    columns = _directions(counts[:, :n_learned].tocsr(), idf, dim, seed)
    lengths = np.linalg.norm(columns, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    head = Head(
        columns * idf[:, None],
        columns / lengths**_RARITY,
        np.zeros(n_learned, dtype=np.float32),
        np.zeros(n_learned, dtype=np.float32),
        np.zeros(counts.shape[1], dtype=np.float32),
        power,
    )
    if not columns.size:
        return head
    rng = np.random.default_rng(seed)
    n = counts.shape[0]
    some = counts[np.sort(rng.choice(n, min(n, _LOOKED_AT), replace=False))]
    head.reading /= head.read(some).lengths.mean(dtype=np.float64).astype(np.float32)
    logits = head.read(some).x @ head.writing.T
    strong = _weakest(logits, min(_STRONG, -(-n_learned // 10)))
    factor = np.float32(strength / strong if strong > 0 else strength)
    head.writing *= factor
    head.bias[:] = -_weakest(logits, n_expansions) * factor
    return head


def _directions(weights: Any, idf: Floats, dim: int, seed: int) -> Floats:
    """Return V: a row for each learned term."""
    from vectorloom.learn.latent_semantic import semantic_directions

    n, m = weights.shape
    if not m:
        return np.zeros((0, 0), dtype=np.float32)
    weights.data = (1 + np.log(weights.data)) * idf[weights.indices]
    if n > _SVD_TEXTS:
        chosen = np.random.default_rng(seed).choice(n, _SVD_TEXTS, replace=False)
        weights = weights[np.sort(chosen)]
    sizes = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    weights = weights[sizes > 0]
    weights.data /= np.repeat(sizes[sizes > 0], np.diff(weights.indptr))
    seeds = np.random.SeedSequence(seed).generate_state(2).tolist()
    directions, _ = semantic_directions(
        weights.astype(np.float32),
        dim,
        residual_share=0.0,
        residual_weight=1.0,
        n_iter=_SVD_ITERATIONS,
        seeds=(seeds[0], seeds[1]),
    )
    return np.ascontiguousarray(directions.T)


def open_queries(head: Head, counts: Any, n_expansions: int) -> None:
    """Set the bias of queries so that these are expanded by so many terms in the mean."""
    logits = head.read(counts).x @ head.writing.T
    if logits.size:
        head.query_bias[:] = -_weakest(logits, n_expansions)


def _weakest(logits: Floats, wanted: int) -> float:
    """Return the logit above which `wanted` of a row are, in the mean."""
    share = min(wanted / logits.shape[1], 1.0)
    return float(np.quantile(logits, 1 - share))
