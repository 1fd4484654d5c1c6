# SPDX-License-Identifier: Apache-2.0
"""An encoder that remembers: vectors are kept by the content of their text, and never made twice.

The key of a text is SHA-256 of (encoder name, prompt, text). Vectors are rows of float32 in
``vectors.f32``; ``index.sqlite`` holds the key, the row and a CRC-32 of each. A row is written
before its key, so that an interrupted run leaves no key without its vector.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.measure.rows import directions
from vectorloom.progress import progress
from vectorloom.vectors import as_dense

Floats = NDArray[np.float32]

_LOOK = 500  # keys asked of the database at once


class CachedEncoder:
    """Encode texts with any encoder, once each; speaks the protocol of MTEB.

    Parameters
    ----------
    encoder : object or callable
        ``encoder.encode(list_of_texts)`` or ``encoder(list_of_texts)`` returns one vector a text.
    folder : path-like
        Where vectors are kept; made where it is not.
    name : str
        What tells encoders (and their settings) apart: vectors of another name are not used.
    prompts : dict of str to str, or None, default=None
        Text that is put before texts of a kind, such as ``{"query": "query: "}``; it is part of the
        key. Kinds are those of MTEB's ``prompt_type``: ``"query"`` and ``"document"``.
    batch_size : int, default=256
        Texts handed to the encoder at once; what was encoded is kept after each.

    Notes
    -----
    ``encode`` takes what MTEB hands to encoders of either version: a list of texts, or an iterable
    of batches that are dicts with ``"text"``; other keywords are accepted and left aside. One
    process may write at a time; others may read.

    Examples
    --------
    >>> import tempfile
    >>> calls = []
    >>> def encoder(texts):
    ...     calls.append(len(texts))
    ...     return [[float(len(text)), 1.0] for text in texts]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cached = CachedEncoder(encoder, folder, name="lengths")
    ...     first, again = cached.encode(["a", "bb", "a"]), cached.encode(["bb", "ccc"])
    ...     cached.close()
    >>> first.tolist(), again[:, 0].tolist(), calls
    ([[1.0, 1.0], [2.0, 1.0], [1.0, 1.0]], [2.0, 3.0], [2, 1])
    """

    def __init__(
        self,
        encoder: Any,
        folder: str | Path,
        *,
        name: str,
        prompts: dict[str, str] | None = None,
        batch_size: int = 256,
    ) -> None:
        self._ask = encoder.encode if hasattr(encoder, "encode") else encoder
        if not callable(self._ask):
            raise ParameterError(
                f"encoder is {encoder!r:.60}; an object with encode(texts), or a callable, is "
                "expected."
            )
        if not name:
            raise ParameterError("name must tell encoders apart; got an empty one.")
        self.name = name
        self.prompts = dict(prompts or {})
        self.batch_size = check_count("batch_size", batch_size)
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._rows = self.folder / "vectors.f32"
        self._data = _open(self.folder / "index.sqlite")
        self.hits, self.misses = 0, 0

    def encode(self, sentences: Any, *, prompt_type: Any = None, **_: Any) -> Floats:
        """Return one vector a text.

        Parameters
        ----------
        sentences : sequence of str, or iterable of dict
            Texts, or batches with their texts under ``"text"``.
        prompt_type : str or enum, optional
            Kind of text, for `prompts`; an enum counts by its value.
        **_
            What else a benchmark says of its task; left aside.

        Returns
        -------
        ndarray of shape (n, dim), float32

        Raises
        ------
        ShapeError, ParameterError
            The encoder returns another number of vectors, another dimension than before, or NaN; no
            texts, or something else than text.
        FormatError
            The kept file is damaged or cut short.
        """
        kind = str(getattr(prompt_type, "value", prompt_type) or "")
        prompt = self.prompts.get(kind, "")
        texts = [prompt + text for text in as_text_list(sentences)]
        keys = [self._key(text) for text in texts]
        known = self._known(keys)
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        self.hits += len(keys) - len(new)
        self.misses += len(new)
        if new:
            self._encode(list(new), list(new.values()))
            known = self._known(keys)
        return self._read([known[key] for key in keys])

    def similarity(self, A: Any, B: Any) -> Floats:
        """Return the cosine of all rows of A with all rows of B, as MTEB asks for.

        Parameters
        ----------
        A, B : array-like of shape (n, dim), (m, dim)

        Returns
        -------
        ndarray of shape (n, m), float32
        """
        a = directions(as_dense(A, name="A"))
        return np.asarray(a @ directions(as_dense(B, name="B", dim=a.shape[1])).T)

    def similarity_pairwise(self, A: Any, B: Any) -> Floats:
        """Return the cosine of rows i of both.

        Parameters
        ----------
        A, B : array-like of shape (n, dim)

        Returns
        -------
        ndarray of shape (n,), float32
        """
        a = directions(as_dense(A, name="A"))
        b = directions(as_dense(B, name="B", dim=a.shape[1]))
        return np.asarray(np.einsum("ij,ij->i", a, b), np.float32)

    def __len__(self) -> int:
        return int(self._data.execute("SELECT COUNT(*) FROM kept").fetchone()[0])

    def close(self) -> None:
        """Close the database; what was kept stays."""
        self._data.close()

    def __enter__(self) -> CachedEncoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _key(self, text: str) -> bytes:
        # Lengths keep ("ab", "c") apart from ("a", "bc").
        head = f"{len(self.name)}:{self.name}:".encode()
        return hashlib.sha256(head + text.encode("utf-8", "surrogatepass")).digest()

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, tuple[int, int]]:
        unique = list(dict.fromkeys(keys))
        found: dict[bytes, tuple[int, int]] = {}
        for start in range(0, len(unique), _LOOK):
            part = unique[start : start + _LOOK]
            marks = ",".join("?" * len(part))
            rows = self._data.execute(
                f"SELECT key, row, crc FROM kept WHERE key IN ({marks})", part
            )
            found |= {bytes(key): (row, crc) for key, row, crc in rows}
        return found

    def _encode(self, keys: list[bytes], texts: list[str]) -> None:
        with progress(f"encoding with {self.name}", total=len(texts), unit="texts") as bar:
            for start in range(0, len(texts), self.batch_size):
                part = slice(start, start + self.batch_size)
                vectors = as_dense(self._ask(texts[part]), name="vectors of the encoder")
                if len(vectors) != len(texts[part]):
                    raise ShapeError(
                        f"the encoder returned {len(vectors)} vectors for {len(texts[part])} texts."
                    )
                self._keep(keys[part], vectors)
                bar.advance(len(vectors))

    def _keep(self, keys: Sequence[bytes], vectors: Floats) -> None:
        dim = self._dim()
        if dim and dim != vectors.shape[1]:
            raise ShapeError(
                f"the encoder returned {vectors.shape[1]} dimensions and {self.folder} holds "
                f"{dim}. Choose another folder for another encoder."
            )
        dim = vectors.shape[1]
        with self._data:
            taken = self._data.execute("SELECT COALESCE(MAX(row) + 1, 0) FROM kept").fetchone()[0]
            self._data.execute("INSERT OR IGNORE INTO about VALUES ('dim', ?)", (dim,))
            mode = "r+b" if self._rows.exists() else "w+b"
            with self._rows.open(mode) as file:
                file.seek(4 * dim * taken)
                file.write(np.ascontiguousarray(vectors, "<f4").tobytes())
            self._data.executemany(
                "INSERT INTO kept VALUES (?, ?, ?)",
                [
                    (key, taken + i, zlib.crc32(np.ascontiguousarray(row, "<f4").tobytes()))
                    for i, (key, row) in enumerate(zip(keys, vectors, strict=True))
                ],
            )

    def _read(self, places: Sequence[tuple[int, int]]) -> Floats:
        dim = self._dim()
        size = self._rows.stat().st_size // (4 * dim)
        if max(row for row, _ in places) >= size:
            raise FormatError(
                f"{self._rows} holds {size} vectors and more are named: it was cut short. Remove "
                f"{self.folder} and encode again."
            )
        table = np.memmap(self._rows, "<f4", "r", shape=(size, dim))
        found = np.asarray(table[[row for row, _ in places]], np.float32)
        for i, (row, crc) in enumerate(places):
            if zlib.crc32(np.ascontiguousarray(found[i], "<f4").tobytes()) != crc:
                raise FormatError(
                    f"{self._rows}: vector {row} is damaged. Remove {self.folder} and encode again."
                )
        return found

    def _dim(self) -> int:
        found = self._data.execute("SELECT value FROM about WHERE name = 'dim'").fetchone()
        return int(found[0]) if found else 0


def as_text_list(sentences: Any) -> list[str]:
    """Return texts as a list, out of a list or of batches.

    Parameters
    ----------
    sentences : sequence of str, or iterable of dict
        Batches hold their texts under ``"text"``.

    Returns
    -------
    list of str

    Raises
    ------
    ParameterError
        One text by itself, none, or something else.

    Examples
    --------
    >>> as_text_list([{"text": ["a", "b"]}, {"text": ["c"]}])
    ['a', 'b', 'c']
    """
    if isinstance(sentences, str) or not isinstance(sentences, Iterable):
        raise ParameterError(f"a list of texts is expected; got {sentences!r:.60}.")
    texts: list[Any] = []
    for one in sentences:
        texts += list(one["text"]) if isinstance(one, dict) else [one]
    bad = next((text for text in texts if not isinstance(text, str)), None)
    if bad is not None or not texts:
        raise ParameterError(
            f"texts must be str, one at least; got {'none' if bad is None else repr(bad)[:60]}."
        )
    return texts


def _open(path: Path) -> sqlite3.Connection:
    try:
        data = sqlite3.connect(path)
        data.execute("CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value)")
        data.execute(
            "CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, row INTEGER, crc INTEGER)"
        )
    except sqlite3.DatabaseError as error:
        raise FormatError(f"{path} is no index of kept vectors ({error}). Remove it.") from None
    return data
