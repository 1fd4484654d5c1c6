# SPDX-License-Identifier: Apache-2.0
"""Words and entities in one space, from text whose phrases link to entities (Wikipedia2Vec).

Three skip-grams share their vectors; each maximizes log s(x_a . y_b) over its pairs (a, b), and
log s(-x_a . y_n) over false partners n:

    words      a, b: words of a window
    anchors    an entity and the words around a link to it
    links      the entity of a page and one that the page links to
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom import _core
from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.io.container import Container
from vectorloom.io.strings import pack_strings, unpack_strings
from vectorloom.learn.corpus import Corpus, EncodedCorpus
from vectorloom.learn.words.learner import WordLearner, check_learner, check_neighbours
from vectorloom.learn.words.linked_text import LinkedLine, entity_name, linked_lines, pages_of
from vectorloom.learn.words.queries import UnknownWordError
from vectorloom.learn.words.windows import (
    Rows,
    Schedule,
    Windows,
    WindowTraining,
    compact,
    seed_of,
)
from vectorloom.progress import progress

# What stands before an entity's name among the ids, as Wikipedia2Vec's files have it.
PREFIX = "ENTITY/"


class EntityVectors(WordLearner):
    """Learn vectors of words and of entities, in one space, from linked text.

    Use it for wikis, documentation with cross-references, or text that was tagged with entities:
    for the relatedness of entities, and to tell which entity a mention means. Without links it is
    `Word2Vec`.

    Parameters
    ----------
    vector_size : int, default=100
    window : int, default=5
        Words to each side, of a word or of a link.
    negative : int, default=5
    min_count : int, default=5
        Rarer words are left out.
    min_entity_count : int, default=3
        Entities with fewer links to them are left out.
    sample : float, default=1e-4
        As in `Word2Vec`.
    epochs : int, default=5
    alpha : float, default=0.025
    link_graph : bool, default=True
        Whether the third part takes place; it needs titles of pages.
    lowercase : bool, default=True
        Words only; entities keep their names.
    n_jobs : int or None, default=None
    random_state : int or None, default=None
        As in `Word2Vec`: an integer gives the same bits at any `n_jobs`.

    Attributes
    ----------
    ids_ : ndarray of shape (n_words + n_entities,), object
        Words, most frequent first, then entities as ``"ENTITY/name"``, most linked first.
    counts_ : ndarray of shape (n_words + n_entities,), int64
        Places of a word, links to an entity.
    vectors_ : ndarray of shape (n_words + n_entities, vector_size), float32
    n_words_ : int
    mentions_ : dict of str to dict of str to int
        What the links show (their words, joined by blanks), and how often each shows each entity.
    losses_ : list of float
    n_tokens_ : int

    Raises
    ------
    ParameterError
        No text, no word frequent enough, or a parameter out of range.

    Notes
    -----
    All three parts run in one pass of `Word2Vec`'s trainer, so a link counts about as much as
    ``window`` words of text. False partners are drawn from words and entities alike (the authors
    draw from the kind of the partner), and pairs are learned both ways. Nearer words are the more
    likely partners of a link, as in the windows of words. Memory: about 16 bytes a word of text,
    and 30 bytes a word near a link, while the stream is put together.

    References
    ----------
    .. [1] Yamada, Shindo, Takeda, Takefuji. Joint Learning of the Embedding of Words and Entities
           for Named Entity Disambiguation. CoNLL 2016. arXiv:1601.01343
    .. [2] Yamada, Asai, Sakuma, Shindo, Takeda, Takefuji, Matsumoto. Wikipedia2Vec: An Efficient
           Toolkit for Learning and Visualizing the Embeddings of Words and Entities from Wikipedia.
           EMNLP 2020 (demos). arXiv:1812.06280

    Examples
    --------
    >>> pages = [("Paris", "The city of [[Paris]] lies in [[France]].")] * 20
    >>> model = EntityVectors(8, min_count=1, random_state=0).fit(pages)
    >>> model.entities, model.candidates("paris")
    (['Paris', 'France'], [('Paris', 1.0)])
    """

    _KIND = "learn.entity_vectors"

    n_words_: int
    mentions_: dict[str, dict[str, int]]

    def __init__(
        self,
        vector_size: int = 100,
        *,
        window: int = 5,
        negative: int = 5,
        min_count: int = 5,
        min_entity_count: int = 3,
        sample: float = 1e-4,
        epochs: int = 5,
        alpha: float = 0.025,
        link_graph: bool = True,
        lowercase: bool = True,
        n_jobs: int | None = None,
        random_state: int | None = None,
    ) -> None:
        self.vector_size = vector_size
        self.window = window
        self.negative = negative
        self.min_count = min_count
        self.min_entity_count = min_entity_count
        self.sample = sample
        self.epochs = epochs
        self.alpha = alpha
        self.link_graph = link_graph
        self.lowercase = lowercase
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, corpus: Any, y: Any = None) -> EntityVectors:
        """Learn words and entities.

        Parameters
        ----------
        corpus : path, iterable of str, or iterable of (title, text)
            A path names a MediaWiki export, ``pages-articles.xml.bz2`` say. Texts mark links as
            ``[[Entity|what is shown]]`` or ``[[Entity]]``; a title names the entity that a text is
            about.
        y : ignored

        Returns
        -------
        self
        """
        check_learner(self.get_params())
        check_count("min_entity_count", self.min_entity_count)
        settings = Windows(
            window=self.window,
            negative=self.negative,
            hs=False,
            cbow=False,
            cbow_mean=True,
            sample=self.sample,
            ns_exponent=0.75,
            alpha=self.alpha,
            min_alpha=min(1e-4, self.alpha),
            epochs=self.epochs,
        )
        settings.check()
        seed = seed_of(self.random_state)
        reader = _Reader(corpus, self.lowercase)
        encoded = reader.encode(
            self.min_count, self.min_entity_count, self.window, bool(self.link_graph), seed
        )
        check_neighbours(encoded)
        n, dim = len(encoded.words), self.vector_size
        rows = Rows(
            _core.row_matrix(n, dim, 0.5 / dim, seed=seed % (1 << 63)), _core.row_matrix(n, dim)
        )
        training = WindowTraining(encoded, rows, settings, self.random_state, self.n_jobs)

        def take(found: Rows) -> None:
            self._set_words(encoded)
            self.n_words_ = reader.n_words
            self.mentions_ = reader.mentions
            self.vectors_ = compact(found.inputs, n, dim)

        training.run(Schedule(), self, take)
        return self

    @property
    def entities(self) -> list[str]:
        """Names of the entities, most linked first."""
        self._check_fitted("vectors_")
        return [name[len(PREFIX) :] for name in self.ids_[self.n_words_ :]]

    def get_entity_vector(self, entity: str) -> NDArray[np.float32]:
        """Return the vector of an entity.

        Raises
        ------
        UnknownWordError
        """
        return self.get_vector(PREFIX + (entity_name(entity) or entity))

    def most_similar_entities(
        self, query: str | NDArray[np.float32], topn: int = 10
    ) -> list[tuple[str, float]]:
        """Return the entities nearest to a word, to an entity (``"ENTITY/name"``), or to a vector.

        Parameters
        ----------
        query : str or ndarray of shape (vector_size,)
        topn : int, default=10

        Returns
        -------
        list of (name, cosine)
            Without the entity that was asked about.
        """
        self._check_fitted("vectors_")
        check_count("topn", topn)
        vector = self.get_vector(query) if isinstance(query, str) else np.asarray(query)
        length = float(np.linalg.norm(vector)) or 1.0
        first = self.n_words_
        scores = self.vectors_[first:] @ (vector / length) * self._scales()[first:]
        best = np.argsort(-scores, kind="stable")[: topn + 1]
        found = [(str(self.ids_[first + row]), float(scores[row])) for row in best]
        return [(name[len(PREFIX) :], score) for name, score in found if name != query][:topn]

    def candidates(self, mention: str) -> list[tuple[str, float]]:
        """Return the entities that links of these words lead to, and their shares.

        Parameters
        ----------
        mention : str

        Returns
        -------
        list of (name, share)
            Most frequent first; empty where no link shows the mention.
        """
        self._check_fitted("vectors_")
        words = " ".join(_splitter(self.lowercase)(mention)[0]) if mention.strip() else ""
        counts = self.mentions_.get(words, {})
        total = sum(counts.values())
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [(name, count / total) for name, count in ordered]

    def disambiguate(
        self,
        mention: str,
        context: str,
        *,
        candidates: Any = None,
        prior_weight: float = 0.5,
    ) -> list[tuple[str, float]]:
        """Say which entity a mention means.

        Parameters
        ----------
        mention : str
        context : str
            The text around it.
        candidates : iterable of str, optional
            Entities it may mean; by default those of `candidates`.
        prior_weight : float, default=0.5
            From 0, the context alone, to 1, the most usual meaning.

        Returns
        -------
        list of (name, score)
            Best first: prior_weight * share + (1 - prior_weight) * cosine, of the entity and the
            mean of the context's words at unit length.
        """
        self._check_fitted("vectors_")
        if not 0 <= prior_weight <= 1:
            raise ParameterError(f"prior_weight must be from 0 to 1; got {prior_weight!r}.")
        priors = dict(self.candidates(mention))
        names = list(priors) if candidates is None else list(candidates)
        split = _splitter(self.lowercase)
        known = [word for line in split(context) for word in line if word in self]
        if known:
            around = self.get_mean_vector(known)
        else:
            around = np.zeros(self.vectors_.shape[1], np.float32)
        found = []
        for name in names:
            try:
                vector = self.get_entity_vector(name)
            except UnknownWordError:
                continue
            cosine = float(vector @ around) / (float(np.linalg.norm(vector)) or 1.0)
            score = prior_weight * priors.get(name, 0.0) + (1 - prior_weight) * cosine
            found.append((name, score))
        return sorted(found, key=lambda item: (-item[1], item[0]))

    def _extra_arrays(self) -> dict[str, NDArray[Any]]:
        pairs = [(shown, name) for shown, counts in self.mentions_.items() for name in counts]
        counts = [count for counts in self.mentions_.values() for count in counts.values()]
        arrays: dict[str, NDArray[Any]] = {
            "losses": np.asarray(self.losses_),
            "n_words": np.array([self.n_words_]),
            "mention_counts": np.array(counts, dtype=np.int64),
        }
        for key, place in (("mentions", 0), ("mentioned", 1)):
            arrays[key], arrays[f"{key}_offsets"] = pack_strings([t[place] for t in pairs])
        return arrays

    def _take_extra(self, container: Container, n: int) -> None:
        self.losses_ = container.array("losses", "<f8", (None,)).tolist()
        self.n_words_ = int(container.array("n_words", "<i8", (1,))[0])
        counts = container.array("mention_counts", "<i8", (None,)).tolist()
        shown, names = (
            unpack_strings(
                container.array(key, "|u1", (None,)),
                container.array(f"{key}_offsets", "<i8", (len(counts) + 1,)),
                where=str(container.path),
            ).tolist()
            for key in ("mentions", "mentioned")
        )
        self.mentions_ = {}
        for words, name, count in zip(shown, names, counts, strict=True):
            self.mentions_.setdefault(words, {})[name] = count


def _splitter(lowercase: bool) -> Callable[[str], list[list[str]]]:
    core = Corpus([], lowercase=lowercase)._core(2)

    def split(text: str) -> list[list[str]]:
        found: list[list[str]] = core.split(text)
        return found or [[]]

    return split


class _Numbers:
    """Names in the order of first sight, counted."""

    def __init__(self) -> None:
        self._of: dict[str, int] = {}
        self.counts = array("q")

    def __getitem__(self, name: str) -> int:
        """Return the number of a name, a new one if need be."""
        found = self._of.get(name)
        if found is None:
            found = self._of[name] = len(self._of)
            self.counts.append(0)
        return found

    def count(self, name: str) -> int:
        """Count a name, and return its number."""
        found = self[name]
        self.counts[found] += 1
        return found

    def frequent(self, least: int) -> tuple[list[str], NDArray[np.int64], NDArray[np.int32]]:
        """Return names and counts, most frequent first, and each number's place or -2."""
        counts = np.array(self.counts, dtype=np.int64)
        order = np.argsort(-counts, kind="stable")
        order = order[: int((counts >= least).sum())]
        places = np.full(len(counts) + 1, -2, np.int32)
        places[order] = np.arange(len(order))
        places[-1] = -1  # the end of a line, and no entity
        names = list(self._of)
        return [names[number] for number in order.tolist()], counts[order], places


class _Reader:
    """Reads linked text once and keeps it as numbers."""

    def __init__(self, corpus: Any, lowercase: bool) -> None:
        self.n_words = 0
        self.mentions: dict[str, dict[str, int]] = {}
        self._words, self._entities = _Numbers(), _Numbers()
        self._text = array("i")  # -1 ends a line
        # Of each link: the line's first place, its own, the place after it, the line's end, the
        # entity, and that of the page.
        self._links = array("q")
        self._shown: Counter[tuple[str, str]] = Counter()
        split = _splitter(lowercase)
        with progress("reading", unit="pages") as bar:
            for page in pages_of(corpus):
                own = -1 if page.title is None else self._entities[page.title]
                for line in linked_lines(page.text, split):
                    self._add(line, own)
                bar.advance(1)

    def _add(self, line: LinkedLine, page: int) -> None:
        begin = len(self._text)
        end = begin + len(line.words)
        self._text.extend([self._words.count(word) for word in line.words])
        self._text.append(-1)
        for start, stop, name in line.links:
            target = self._entities.count(name)
            self._links.extend((begin, begin + start, begin + stop, end, target, page))
            self._shown[" ".join(line.words[start:stop]), name] += 1

    def encode(
        self, min_count: int, min_links: int, window: int, link_graph: bool, seed: int
    ) -> EncodedCorpus:
        """Return text, surroundings of links and links as one stream of sentences."""
        words, counts, word_places = self._words.frequent(min_count)
        names, links_to, entity_places = self._entities.frequent(min_links)
        if len(words) < 2:
            raise ParameterError(
                f"the text holds {len(self._words.counts)} different words, fewer than two of them "
                f"{min_count} times. Lower min_count, or bring more text."
            )
        self.n_words = len(words)
        known = set(names)
        for (shown, name), count in self._shown.items():
            if name in known:
                self.mentions.setdefault(shown, {})[name] = count
        text = word_places[np.array(self._text, dtype=np.int32)]
        links = np.array(self._links, dtype=np.int64).reshape(-1, 6)
        linked = entity_places[links[:, 4:]]
        linked[linked >= 0] += len(words)
        links, linked = links[linked[:, 0] >= 0], linked[linked[:, 0] >= 0]
        sentences = _surroundings(text, links, linked[:, 0], window, seed)
        if link_graph:
            graph = (linked[:, 1] >= 0) & (linked[:, 1] != linked[:, 0])
            sentences.append((links[graph, 3], linked[graph, 1], linked[graph, 0]))
        return EncodedCorpus(
            words + [PREFIX + name for name in names],
            np.concatenate([counts, links_to]),
            _woven(text, sentences),
            int(np.sum(self._words.counts)),
            0,
        )


Pairs = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]


def _surroundings(
    text: NDArray[np.int32],
    links: NDArray[np.int64],
    targets: NDArray[np.int32],
    window: int,
    seed: int,
) -> list[Pairs]:
    """Return (end of line, entity, word) for the words that a link's window, drawn, reaches."""
    reach = np.random.default_rng(seed).integers(1, window + 1, size=len(links))
    first, start, stop, end = links[:, :4].T
    found = []
    for d in range(1, window + 1):
        for place, inside in ((start - d, start - d >= first), (stop + d - 1, stop + d - 1 < end)):
            kept = np.flatnonzero(inside & (reach >= d))
            kept = kept[text[place[kept]] >= 0]
            found.append((end[kept], targets[kept], text[place[kept]]))
    return found


def _woven(text: NDArray[np.int32], sentences: list[Pairs]) -> NDArray[np.int32]:
    """Return the text with sentences of two tokens put behind the lines that they belong to."""
    keys, tokens = [np.arange(len(text))], [text]
    for after, a, b in sentences:
        keys.append(np.repeat(after, 3))
        tokens.append(np.column_stack((a, b, np.full(len(a), -1, np.int32))).ravel())
    stream = np.concatenate(tokens)[np.argsort(np.concatenate(keys), kind="stable")]
    return np.ascontiguousarray(stream[stream != -2], dtype=np.int32)


def load_container(container: Container) -> WordLearner:
    """Make the learner of a native file; its vectors stay mapped."""
    return EntityVectors._load(container)
