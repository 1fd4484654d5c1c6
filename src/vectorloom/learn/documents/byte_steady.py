# SPDX-License-Identifier: Apache-2.0
"""byteSteady: the mean of hashed byte n-grams under a linear classifier.

x = mean of E[h(g)] over the n-grams g of the item's bytes, of each size of a set
p = softmax(W x + b)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.io.container import Container
from vectorloom.learn.documents.bag_classifier import BagClassifier
from vectorloom.learn.documents.ngrams import Tokens, byte_tokens


class ByteSteady(BagClassifier):
    """Classify bytes of any kind: text of any script, DNA, packets, parts of files.

    Use it where there is no notion of a word. For text in a language with words, `TextClassifier`
    learns faster and from less.

    Parameters
    ----------
    vector_size : int, default=16
    sizes : sequence of int, default=(1, 2, 4, 8)
        Bytes of the n-grams. DNA, with four letters, wants longer ones: (4, 8, 12).
    n_buckets : int, default=1048576
        Rows that n-grams are hashed to; only those that occur are kept.
    min_df : int, default=1
        Buckets in fewer items have no row.
    epochs : int, default=10
    batch_size : int, default=32
    learning_rate : float, default=1.0
        Of the first step, falling to 0.
    validation_share : float, default=0.0
        Share of the items that are held out; their loss is measured after each epoch.
    patience : int or None, default=None
        Stop when so many epochs have not bettered the held-out loss, and keep the best.
    n_jobs : int or None, default=None
        Threads; None takes all that are allowed.
    random_state : int, default=0
        The same bits at any `n_jobs`, on the same machine.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), int64 or object
        Sorted.
    table_ : ndarray of shape (n_rows, vector_size), float32
        E; not there where the classifier is compressed.
    coef_ : ndarray of shape (n_classes, vector_size), float32
    intercept_ : ndarray of shape (n_classes,), float32
    losses_ : list of float
        Mean of -log p(label) of each epoch, as it was trained.
    held_out_losses_ : list of float

    Raises
    ------
    ShapeError
        No items, one item where a list is meant, another number of labels.
    ParameterError
        Items that are neither bytes nor str, one label only, a parameter out of range.

    Notes
    -----
    Time O(epochs * bytes * sizes * vector_size), memory 4 bytes * vector_size a row and 4 bytes a
    byte and size of the training items. `transform` gives x, which is a vector of the item's
    class more than of its content.

    Differs from the paper: minibatches with AdaGrad in place of plain steps, and no Huffman code
    before.

    References
    ----------
    .. [1] Zhang, Drouin, Li. byteSteady: Fast Classification Using Byte-Level n-Gram Embeddings.
           2021. arXiv:2106.13302

    Examples
    --------
    >>> items = [b"ACGTACGT", b"TTTTGGGG", b"ACGTACGA", b"TTTTGGGC"] * 4
    >>> model = ByteSteady(sizes=(2, 4)).fit(items, ["a", "b", "a", "b"] * 4)
    >>> model.predict([b"ACGTACGG"]).tolist()
    ['a']
    """

    _KIND = "learn.byte_steady"

    def __init__(
        self,
        vector_size: int = 16,
        *,
        sizes: Sequence[int] = (1, 2, 4, 8),
        n_buckets: int = 1 << 20,
        min_df: int = 1,
        epochs: int = 10,
        batch_size: int = 32,
        learning_rate: float = 1.0,
        validation_share: float = 0.0,
        patience: int | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.vector_size = vector_size
        self.sizes = sizes
        self.n_buckets = n_buckets
        self.min_df = min_df
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_share = validation_share
        self.patience = patience
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _sizes(self) -> list[int]:
        return [int(size) for size in self.sizes]

    def _check(self) -> None:
        super()._check()
        if isinstance(self.sizes, (str, bytes)) or not len(list(self.sizes)):
            raise ParameterError(
                f"sizes must be whole numbers, e.g. (1, 2, 4, 8); got {self.sizes!r}."
            )
        for size in self.sizes:
            check_count("sizes", size)
        if len(set(self.sizes)) < len(list(self.sizes)):
            raise ParameterError(f"sizes must be different; got {tuple(self.sizes)}.")

    def _cut(self, items: Any) -> Tokens:
        return byte_tokens(as_bytes(items))


def as_bytes(items: Any) -> list[bytes]:
    """Return items as a list of bytes; str as UTF-8.

    Parameters
    ----------
    items : iterable of bytes, bytearray, memoryview or str

    Returns
    -------
    list of bytes

    Raises
    ------
    ShapeError
        One item where a list is meant, or none.
    ParameterError
        Some entry is neither bytes nor str.
    """
    if isinstance(items, (bytes, str, bytearray, memoryview)):
        raise ShapeError(
            f"items must be a list of bytes; got one {type(items).__name__}. For one item pass "
            "[item]."
        )
    found = []
    for place, item in enumerate(items):
        if isinstance(item, str):
            found.append(item.encode("utf-8", "surrogatepass"))
        elif isinstance(item, (bytes, bytearray, memoryview)):
            found.append(bytes(item))
        else:
            raise ParameterError(
                f"items must be bytes or str; entry {place} is {type(item).__name__}."
            )
    if not found:
        raise ShapeError("items must hold at least one item; got none.")
    return found


def load_container(container: Container) -> ByteSteady:
    """Make the classifier of a native file; its rows stay mapped."""
    model: ByteSteady = ByteSteady._load(container)
    return model
