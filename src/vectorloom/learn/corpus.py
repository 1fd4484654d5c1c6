# SPDX-License-Identifier: Apache-2.0
"""A corpus: text from wherever it lies, read as a stream, cut into words, counted, numbered.

One pass, whatever the size: words get provisional numbers as they come, the numbers go to a
temporary file once they are many, and the final numbers (by frequency) replace them there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import CapacityError, ParameterError, ShapeError
from vectorloom.estimator import check_choice, check_count
from vectorloom.learn.corpus_files import Piece, file_pieces, files_of
from vectorloom.progress import Progress, progress

# Code points beyond are rare and no letters that have another case, as of Unicode 16.
_N_CODES = 0x33500
_LETTERS = {"L", "M"}
# Ideographs, kana and what goes with them.
_ALONE = ((0x2E80, 0x2FE0), (0x3005, 0x3008), (0x3040, 0x3100), (0x31F0, 0x3200), (0xF900, 0xFB00))
# Large blocks that need no look at each code point: first, last, class.
_BLOCKS = (
    (0x3400, 0x4DC0, 3),
    (0x4E00, 0xA000, 3),
    (0xAC00, 0xD7A4, 1),  # Hangul
    (0xD7FC, 0xF900, 0),  # surrogates, private use
    (0x12000, 0x1A000, 1),  # cuneiform, hieroglyphs, Tangut
    (0x1F000, 0x20000, 0),  # pictographs
    (0x20000, 0x33500, 3),
)
_OTHER, _LETTER, _DIGIT, _SINGLE, _BLANK = range(5)
_TAKE_TOKENS = 1 << 20
# Token numbers up to this many bytes stay in memory.
_IN_MEMORY = 256 << 20

Tokenizer = Callable[[str], Iterable[str]]


@cache
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the class and the lower case of each code point, as this Python's Unicode has them."""
    import unicodedata

    classes = np.zeros(_N_CODES, dtype=np.uint8)
    lower = np.arange(_N_CODES, dtype=np.int32)
    starts = [0, *(last for _, last, _ in _BLOCKS)]
    stops = [*(first for first, _, _ in _BLOCKS), _N_CODES]
    for first, last, kind in _BLOCKS:
        classes[first:last] = kind
    for code in chain.from_iterable(map(range, starts, stops)):
        char = chr(code)
        category = unicodedata.category(char)[0]
        if category in _LETTERS:
            classes[code] = _LETTER
            small = char.lower()
            if small != char:
                lower[code] = ord(small[0])
        elif category == "N":
            classes[code] = _DIGIT
        elif char.isspace():
            classes[code] = _BLANK
    for first, last in _ALONE:
        part = classes[first:last]
        part[part == _LETTER] = _SINGLE
    classes[[0x200C, 0x200D]] = _LETTER  # joiners inside words of Indic scripts and Persian
    return classes, lower


@dataclass(frozen=True, eq=False)
class EncodedCorpus:
    """A corpus as numbers, made by `Corpus.encode`.

    Attributes
    ----------
    words : list of str
        The vocabulary, most frequent first; equal counts in the order of first sight.
    counts : ndarray of shape (n_words,), int64
    tokens : ndarray of shape (n,), int32
        Numbers of words in the order of the text, -1 between sentences; words that are not in the
        vocabulary are left out. A view of a temporary file when it is large.
    n_tokens : int
        Words read, those outside the vocabulary included.
    n_lost : int
        0 unless the limit of the vocabulary was hit: words seen more often than this are counted
        exactly, rarer ones may be missing.
    """

    words: list[str]
    counts: NDArray[np.int64]
    tokens: NDArray[np.int32]
    n_tokens: int
    n_lost: int


class Corpus:
    r"""Text of any size from files, folders or objects, as sentences of words.

    Parameters
    ----------
    source : path, iterable of str, iterable of lists of str, or list of Path
        A str or Path names a file or folder (its text files, JSON lines and Parquet, in the order
        of their names; gzip, bzip2, xz and zstd are unwrapped). An iterable holds texts (str), or
        sentences that are cut already (lists of str), or Path objects. A generator is read once.
    field : str, default="text"
        The column of JSON lines and Parquet that holds the text.
    tokenizer : {"words", "blanks"} or callable, default="words"
        "words": runs of letters, marks and digits of any script; an ideograph or kana is a word of
        its own. "blanks": what stands between white space. A callable gets a text and returns its
        words as one sentence.
    lowercase : bool, default=True
        Character by character (a final sigma becomes the usual one). Not for a callable.
    digits : bool, default=True
        False: digits separate words and are left out.
    min_length, max_length : int, default=1 and 100
        Characters; words outside are left out.
    errors : {"strict", "skip"}, default="strict"
        Bytes that are not UTF-8, and NUL: refused with file and offset, or taken as separators.

    Notes
    -----
    A line end ends a sentence, so does the end of a text; nothing else does. About 15 million words
    a second and core from plain files; memory is that of the vocabulary.

    Examples
    --------
    >>> corpus = Corpus(["Vectors of words.\nWords of a text."])
    >>> list(corpus)
    [['vectors', 'of', 'words'], ['words', 'of', 'a', 'text']]
    >>> encoded = corpus.encode(min_count=2)
    >>> encoded.words, encoded.counts.tolist(), encoded.tokens.tolist()
    (['of', 'words'], [2, 2], [0, 1, -1, 1, 0, -1])
    """

    def __init__(
        self,
        source: Any,
        *,
        field: str = "text",
        tokenizer: str | Tokenizer = "words",
        lowercase: bool = True,
        digits: bool = True,
        min_length: int = 1,
        max_length: int = 100,
        errors: str = "strict",
    ) -> None:
        if not callable(tokenizer):
            check_choice("tokenizer", tokenizer, ("words", "blanks"))
        check_choice("errors", errors, ("strict", "skip"))
        check_count("min_length", min_length)
        check_count("max_length", max_length, at_least=min_length)
        self.source = source
        self.field = field
        self.tokenizer = tokenizer
        self.lowercase = lowercase
        self.digits = digits
        self.min_length = min_length
        self.max_length = max_length
        self.errors = errors

    def __iter__(self) -> Iterator[list[str]]:
        """Yield sentences, each a list of words."""
        core = self._core(1)
        for piece in self._pieces():
            if piece.words is not None:
                yield piece.words
            elif callable(self.tokenizer):
                yield list(self.tokenizer(self._str(piece)))
            else:
                piece.check(self.errors)
                yield from core.split(piece.text)

    def encode(
        self,
        *,
        min_count: int = 5,
        max_words: int | None = None,
        limit: int = 10_000_000,
        quiet: bool | None = None,
    ) -> EncodedCorpus:
        """Count the words and write the corpus down as numbers.

        Parameters
        ----------
        min_count : int, default=5
            Rarer words are left out, as if they had not been there.
        max_words : int, optional
            Keep the most frequent only.
        limit : int, default=10_000_000
            Different words that are ever held at once, about 75 bytes each: when there are more,
            the rarest of them go, see `EncodedCorpus.n_lost`.
        quiet : bool, optional
            As in `vectorloom.progress.progress`.

        Returns
        -------
        EncodedCorpus

        Raises
        ------
        ParameterError
            No words at all, or none that is frequent enough.
        FormatError
            A file that is not text, with the place.
        CapacityError
            The limit was hit so hard that no word of `min_count` is sure to be there.
        """
        check_count("min_count", min_count)
        check_count("limit", limit, at_least=2)
        most = check_count("max_words", max_words) if max_words is not None else np.iinfo("i8").max
        core = self._core(limit)
        store = _Tokens()
        with progress("reading", unit="words", quiet=quiet) as bar:
            self._count(core, store, bar)
        words, counts, numbers = core.finish(min_count, most)
        if not words:
            raise nothing_left(core, min_count)
        if core.lost > 10 * min_count and core.lost > int(counts[len(counts) // 2]):
            raise CapacityError(
                f"the corpus has far more different words than limit={limit}: those seen up to "
                f"{core.lost} times may be missing. Raise limit, or use another tokenizer."
            )
        return EncodedCorpus(
            words, counts, store.finish(numbers), int(core.n_tokens), int(core.lost)
        )

    def _core(self, limit: int) -> Any:
        classes, lower = _tables()
        return _core.CorpusCore(
            classes,
            lower,
            by_blanks=self.tokenizer == "blanks",
            lowercase=bool(self.lowercase),
            digits=bool(self.digits),
            min_length=self.min_length,
            max_length=self.max_length,
            limit=limit,
        )

    def _count(self, core: Any, store: _Tokens, bar: Progress) -> None:
        seen = 0
        for piece in self._pieces():
            self._add(core, piece)
            if core.pending >= _TAKE_TOKENS:
                store.add(core.take_tokens())
                bar.advance(core.n_tokens - seen)
                seen = core.n_tokens
        store.add(core.take_tokens())
        bar.advance(core.n_tokens - seen)

    def _add(self, core: Any, piece: Piece) -> None:
        """Cut a piece and count its words."""
        if piece.words is not None:
            self._add_words(core, piece.words)
        elif callable(self.tokenizer):
            self._add_words(core, list(self.tokenizer(self._str(piece))))
        else:
            broken = core.add_text(piece.text, piece.ends, self.errors == "skip")
            if broken >= 0:
                raise piece.broken(broken)

    @staticmethod
    def _add_words(core: Any, words: list[Any]) -> None:
        try:
            core.add_words(words)
        except TypeError:
            odd = next(word for word in words if not isinstance(word, str))
            raise ParameterError(
                f"a sentence holds {type(odd).__name__} ({str(odd)[:40]!r}) among its words; str "
                "was expected. Convert the words, or pass texts."
            ) from None

    def _str(self, piece: Piece) -> str:
        if isinstance(piece.text, str):
            return piece.text
        piece.check(self.errors)
        return piece.text.decode("utf-8", "replace")

    def _pieces(self, *, whole_lines: bool = False) -> Iterator[Piece]:
        """Yield the text; with `whole_lines` each line of a plain file is a piece of its own."""
        source = self.source
        whole_lines = whole_lines or callable(self.tokenizer)
        if isinstance(source, (str, os.PathLike)):
            for path in files_of(source):
                yield from file_pieces(path, self.field, whole_lines=whole_lines)
            return
        if isinstance(source, bytes) or not isinstance(source, Iterable):
            raise ParameterError(
                f"a corpus is a path, or an iterable of texts or of lists of words; got "
                f"{type(source).__name__}. For one text pass [text]."
            )
        if hasattr(source, "to_pylist"):
            source = source.to_pylist()
        for place, item in enumerate(source):
            if isinstance(item, str):
                yield Piece(item, f"text {place}")
            elif isinstance(item, os.PathLike):
                for path in files_of(item):
                    yield from file_pieces(path, self.field, whole_lines=whole_lines)
            elif isinstance(item, (list, tuple, np.ndarray)):
                yield Piece("", f"sentence {place}", words=list(item))
            else:
                raise ParameterError(
                    f"entry {place} of the corpus is {type(item).__name__}; a text (str) or a "
                    "sentence (list of str) was expected. Drop it, or convert it."
                )


def as_corpus(source: Any) -> Corpus:
    """Return `source` itself when it is a corpus, else a `Corpus` of it with the defaults."""
    return source if isinstance(source, Corpus) else Corpus(source)


def nothing_left(core: Any, min_count: int) -> Exception:
    """Build the error for a corpus of whose words none is left."""
    if core.n_tokens == 0:
        return ShapeError("the corpus holds no words. Is it empty, or of another script or field?")
    return ParameterError(
        f"none of the {core.n_words} different words of the corpus ({core.n_tokens} in all) occurs "
        f"{min_count} times. Lower min_count, or bring more text."
    )


class _Tokens:
    """Token numbers: in memory while they are few, then in a file that has no name."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.int32]] = []
        self._bytes = 0
        self._file: Any = None

    def add(self, part: NDArray[np.int32]) -> None:
        self._bytes += part.nbytes
        if self._file is None and self._bytes > _IN_MEMORY:
            self._file = tempfile.TemporaryFile(prefix="vectorloom-corpus-")  # noqa: SIM115
            for before in self._parts:
                self._file.write(before.data)
            self._parts = []
        if self._file is None:
            self._parts.append(part)
        else:
            self._file.write(part.data)

    def finish(self, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Put the final numbers in place."""
        is_open = False
        left = 0
        if self._file is None:
            kept = []
            for part in self._parts:
                n, is_open = _core.renumber(part, numbers, is_open)
                kept.append(part[:n])
            self._parts = []
            return np.concatenate(kept)
        self._file.flush()
        tokens = np.memmap(self._file, dtype=np.int32, mode="r+", shape=(self._bytes // 4,))
        self._file.close()  # the map keeps what it needs
        for start in range(0, len(tokens), _TAKE_TOKENS):
            part = np.array(tokens[start : start + _TAKE_TOKENS])
            n, is_open = _core.renumber(part, numbers, is_open)
            tokens[left : left + n] = part[:n]
            left += n
        return tokens[:left]
