# SPDX-License-Identifier: Apache-2.0
"""Text classifier: the mean of hashed word n-grams under a linear classifier.

x = mean of E[h(g)] over the words and word n-grams g of the text        p = softmax(W x + b)

E, W and b descend together along -log p(label).
"""

from __future__ import annotations

from typing import Any

from vectorloom.estimator import check_count
from vectorloom.io.container import Container
from vectorloom.learn.documents.bag_classifier import BagClassifier
from vectorloom.learn.documents.ngrams import Tokens
from vectorloom.learn.documents.word_ngrams import WordCutter


class TextClassifier(WordCutter, BagClassifier):
    """Classify texts by their words and neighbouring words, as fastText does.

    Use it for topics, languages, intents and the like, from some thousand labelled texts on. For
    fewer, a linear model on the vectors of an encoder; for bytes, `ByteSteady`.

    Parameters
    ----------
    vector_size : int, default=16
    max_ngram : int, default=1
        Words of the longest n-gram; 2 where order tells, as in reviews.
    n_buckets : int, default=1048576
        Rows that n-grams are hashed to; only those that occur are kept.
    min_df : int, default=1
        Buckets in fewer texts have no row.
    stop_words : {"english"}, list of str or None, default=None
    stem : bool, default=False
        Take off common English endings.
    epochs : int, default=10
    batch_size : int, default=32
    learning_rate : float, default=1.0
        Of the first step, falling to 0.
    validation_share : float, default=0.0
        Share of the texts that are held out; their loss is measured after each epoch.
    patience : int or None, default=None
        Stop when so many epochs have not bettered the held-out loss, and keep the best.
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.
    random_state : int, default=0
        The same bits at any `n_jobs`, on the same machine.

    Attributes
    ----------
    classes_, table_, coef_, intercept_, losses_, held_out_losses_
        As in `ByteSteady`.

    Raises
    ------
    ShapeError
        No texts, one string where a list is meant, another number of labels.
    ParameterError
        Entries that are not str, one label only, a parameter out of range.

    Notes
    -----
    Time O(epochs * words * max_ngram * vector_size), memory 4 bytes * vector_size a row.
    `compress` makes it some ten to a hundred times smaller.

    Differs from the paper: minibatches with AdaGrad in place of plain steps, a full softmax for
    any number of classes, and words of one letter or of signs alone are left out.

    References
    ----------
    .. [1] Joulin, Grave, Bojanowski, Mikolov. Bag of Tricks for Efficient Text Classification.
           EACL 2017. arXiv:1607.01759

    Examples
    --------
    >>> texts = ["a fine film", "so dull a film", "fine acting", "dull acting"] * 4
    >>> model = TextClassifier().fit(texts, ["good", "bad"] * 8)
    >>> model.predict(["a fine day"]).tolist()
    ['good']
    """

    _KIND = "learn.text_classifier"

    def __init__(
        self,
        vector_size: int = 16,
        *,
        max_ngram: int = 1,
        n_buckets: int = 1 << 20,
        min_df: int = 1,
        stop_words: Any = None,
        stem: bool = False,
        epochs: int = 10,
        batch_size: int = 32,
        learning_rate: float = 1.0,
        validation_share: float = 0.0,
        patience: int | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.vector_size = vector_size
        self.max_ngram = max_ngram
        self.n_buckets = n_buckets
        self.min_df = min_df
        self.stop_words = stop_words
        self.stem = stem
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_share = validation_share
        self.patience = patience
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _sizes(self) -> list[int]:
        return list(range(1, self.max_ngram + 1))

    def _check(self) -> None:
        super()._check()
        self._check_cutting()
        check_count("max_ngram", self.max_ngram)

    def _cut(self, texts: Any) -> Tokens:
        return WordCutter._cut(self, texts)


def load_container(container: Container) -> TextClassifier:
    """Make the classifier of a native file; its rows stay mapped."""
    model: TextClassifier = TextClassifier._load(container)
    return model
