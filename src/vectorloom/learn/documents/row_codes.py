# SPDX-License-Identifier: Apache-2.0
"""Fewer rows, and smaller ones: the compression of classifiers over n-gram tables.

    row ~ length * direction      length: one of 256 values      direction: one of 256 codewords for
                                                                 each part of a few dimensions

After Joulin, Grave, Bojanowski, Douze, Jégou, Mikolov, "FastText.zip: compressing text
classification models", 2016, arXiv:1612.03651. Its training after the coding is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.io.container import Container
from vectorloom.learn.documents.ngrams import NgramTable, Tokens
from vectorloom.select.kmeans import KMeans

_WORDS = 256  # of a codebook: one byte
_TRAINED_ON = 16_384  # rows a codebook is learned from
_BLOCK = 65_536


class RowCodes:
    """Rows of a table as codes.

    Parameters
    ----------
    lengths : ndarray of shape (n_rows,), uint8
    length_words : ndarray of shape (n_words,), float32
    codes : ndarray of shape (n_rows, n_parts), uint8
    codebooks : ndarray of shape (n_parts, 256, part_size), float32
    """

    def __init__(
        self,
        lengths: NDArray[np.uint8],
        length_words: NDArray[np.float32],
        codes: NDArray[np.uint8],
        codebooks: NDArray[np.float32],
    ) -> None:
        self.lengths = lengths
        self.length_words = length_words
        self.codes = codes
        self.codebooks = codebooks

    @classmethod
    def of(
        cls,
        rows: NDArray[np.float32],
        part_size: int,
        random_state: int,
        n_jobs: int | None,
    ) -> RowCodes:
        """Return the codes of rows.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, dim), float32
        part_size : int
            Divides dim.
        random_state : int
        n_jobs : int or None
        """
        sizes = np.linalg.norm(rows, axis=1).astype(np.float32)[:, None]
        directions = rows / np.maximum(sizes, np.float32(1e-12))
        n_parts = rows.shape[1] // part_size
        codes = np.empty((len(rows), n_parts), dtype=np.uint8)
        codebooks = np.zeros((n_parts, _WORDS, part_size), dtype=np.float32)
        for part in range(n_parts):
            values = np.ascontiguousarray(directions[:, part * part_size : (part + 1) * part_size])
            words, codes[:, part] = _coded(values, random_state + part, n_jobs)
            codebooks[part, : len(words)] = words
        length_words, lengths = _coded(sizes, random_state, n_jobs)
        return cls(lengths, np.ascontiguousarray(length_words[:, 0]), codes, codebooks)

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the rows at some places, decoded.

        Parameters
        ----------
        places : ndarray of shape (n,), int64

        Returns
        -------
        ndarray of shape (n, dim), float32
        """
        parts = np.arange(len(self.codebooks))
        directions = self.codebooks[parts, self.codes[places]].reshape(len(places), -1)
        return np.asarray(directions * self.length_words[self.lengths[places]][:, None])

    def encode(self, table: NgramTable, tokens: Tokens, n_jobs: int | None) -> NDArray[np.float32]:
        """Return the mean rows of texts; only rows that these texts have are decoded.

        Parameters
        ----------
        table : NgramTable
        tokens : Tokens
        n_jobs : int or None

        Returns
        -------
        ndarray of shape (n_texts, dim), float32
        """
        found = table.rows(tokens)
        used = np.unique(found[found >= 0]).astype(np.int64)
        place_of = np.full(len(table) + 1, -1, dtype=np.int32)  # the last: -1
        place_of[used] = np.arange(len(used), dtype=np.int32)
        rows = np.ascontiguousarray(self.rows(used), dtype=np.float32)
        out = np.empty((len(tokens), rows.shape[1]), dtype=np.float32)
        ngrams = _core.Ngrams(place_of[found], tokens.offsets, table.sizes)
        _core.encode_bags(ngrams, rows, mean=True, power=0.0, out=out, n_jobs=n_jobs)
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a file."""
        return {
            "lengths": self.lengths,
            "length_words": self.length_words,
            "codes": self.codes,
            "codebooks": self.codebooks,
        }

    @classmethod
    def load(cls, container: Container, n_rows: int, dim: int) -> RowCodes:
        """Return the codes of a file."""
        codes = container.array("codes", "|u1", (n_rows, None))
        part_size = dim // max(codes.shape[1], 1)
        return cls(
            container.array("lengths", "|u1", (n_rows,)),
            container.array("length_words", "<f4", (_WORDS,)),
            codes,
            container.array("codebooks", "<f4", (codes.shape[1], _WORDS, part_size)),
        )


def _coded(
    values: NDArray[np.float32], random_state: int, n_jobs: int | None
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return 256 codewords, and the nearest one of each row."""
    different = np.unique(values, axis=0)
    if len(different) <= _WORDS:
        words = np.zeros((_WORDS, values.shape[1]), dtype=np.float32)
        words[: len(different)] = different
        words[len(different) :] = different[-1]
    else:
        chosen = values
        if len(values) > _TRAINED_ON:
            random = np.random.default_rng(random_state)
            chosen = values[random.choice(len(values), _TRAINED_ON, replace=False)]
        model = KMeans(_WORDS, random_state=random_state, n_jobs=n_jobs).fit(chosen)
        words = np.ascontiguousarray(model.cluster_centers_, dtype=np.float32)
    codes = np.empty(len(values), dtype=np.uint8)
    halves = np.einsum("ij,ij->i", words, words) / 2
    for start in range(0, len(values), _BLOCK):
        part = values[start : start + _BLOCK]
        codes[start : start + len(part)] = (part @ words.T - halves).argmax(axis=1)
    return words, codes


def covering_rows(
    table: NDArray[np.float32],
    rows: NDArray[np.int32],
    offsets: NDArray[np.int64],
    most: int,
) -> NDArray[np.int64]:
    """Return which rows to keep: the longest of each text first, then the longest of all.

    Parameters
    ----------
    table : ndarray of shape (n_rows, dim), float32
    rows : ndarray of shape (n_tokens, n_sizes), int32
        Of texts; -1 where there is none.
    offsets : ndarray of shape (n_texts + 1,), int64
    most : int

    Returns
    -------
    ndarray of shape (most,), int64
        Rising.
    """
    lengths = np.linalg.norm(table, axis=1)
    kept = np.zeros(len(table), dtype=bool)
    n_kept = 0
    for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        own = rows[start:stop].ravel()
        own = own[own >= 0]
        if n_kept == most:
            break
        if len(own) and not kept[own].any():
            kept[own[lengths[own].argmax()]] = True
            n_kept += 1
    others = np.argsort(-lengths, kind="stable")
    others = others[~kept[others]][: most - n_kept]
    kept[others] = True
    return np.flatnonzero(kept)
