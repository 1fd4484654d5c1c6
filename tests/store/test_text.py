# SPDX-License-Identifier: Apache-2.0
"""Text in collections: encoders and what they are known by, words and how they follow changes."""

from __future__ import annotations

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError, ShapeError
from vectorloom.store import Encoder

DIM = 8


def vectors(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


# ---- encoders ------------------------------------------------------------------------------------


class Letters:
    """Counts letters; a model of 26 dimensions."""

    name, revision = "letters", "1"

    def __init__(self, shift=0, scale=1.0):
        self.shift, self.scale = shift, scale

    def encode(self, texts):
        out = np.full((len(texts), 26), 0.01, np.float32)
        for row, text in zip(out, texts, strict=True):
            for letter in text.lower():
                if letter.isascii() and letter.isalpha():
                    row[(ord(letter) - 97 + self.shift) % 26] += self.scale
        return out


def test_text_is_encoded_and_found(folder):
    with vl.collection(folder, 26, encoder=Letters()) as c:
        c.upsert(["a", "b"], texts=["zebra", "quick fox"])
        assert c.search("fox", k=1).ids.tolist() == [["b"]]
        assert c.search(["zebras", "quack"], k=1).ids.tolist() == [["a"], ["b"]]
    with vl.collection(folder) as c:
        for more in ({"by": "vectors"}, {"field": "vector"}):
            with pytest.raises(ParameterError, match="encoder="):
                c.search("fox", **more)
        assert c.search("fox", k=1).ids.tolist() == [["b"]]  # by its words


def test_words_follow_every_change_of_the_texts(folder):
    texts = ["red fox", "blue fox", "red wine", None]
    with vl.collection(folder, DIM, index=["n"]) as c:
        assert c.search("fox", k=2).counts.tolist() == [0]
        c.upsert(list("abcd"), vectors(4), [{"n": i} for i in range(4)], texts)
        hits = c.search("red fox", k=4, explain=True)
        assert hits[0].ids.tolist() == ["a", "b", "c"]
        assert hits.payloads[0][0] == {"n": 0}
        assert hits.texts[0] == ["red fox", "blue fox", "red wine"]
        assert "3 of 4 points have text" in hits.plan[0]
        assert c.search("red fox", where={"n": {"$gte": 1}})[0].ids.tolist() == ["b", "c"]
        assert c.search("red fox", where={"n": 9}).counts.tolist() == [0]
        c.upsert(["a", "e"], vectors(2), texts=["green tea", "fox fox"])
        assert c.search("fox", k=5)[0].ids.tolist() == ["e", "b"]
        assert c.search(["tea", "red"], k=1).ids.tolist() == [["a"], ["c"]]
        c.delete(["e", "b"])
        assert c.search("fox").counts.tolist() == [0]
        c.delete(["a", "c"])
        assert c.search("red").counts.tolist() == [0]
        c.upsert(["z"], vectors(1), texts=["red again"])
        with vl.collection(folder, read_only=True) as reader:
            assert reader.search("red", k=1).ids.tolist() == [["z"]]
        with pytest.raises(ParameterError, match="takes text"):
            c.search(vectors(1)[0], by="words")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Encoder(Letters(), name="digits"), "it is 'digits' at revision '1'"),
        (Encoder(Letters(), revision="2"), "at revision '2'"),
        (Letters(shift=3), "encodes the same texts differently"),
    ],
)
def test_another_encoder_is_refused_and_the_remedy_named(folder, other, message):
    vl.collection(folder, 26, encoder=Letters()).close()
    with pytest.raises(ParameterError, match=message) as caught:
        vl.collection(folder, encoder=other)
    assert "new collection and switch the alias" in str(caught.value)
    vl.collection(folder, encoder=Letters()).close()


def test_an_encoder_needs_a_name_and_the_right_dimension(folder):
    with pytest.raises(ParameterError, match="name"):
        vl.collection(folder, 26, encoder=lambda texts: np.zeros((len(texts), 26)))
    with pytest.raises(ShapeError, match="columns"):
        vl.collection(folder.parent / "other", 7, encoder=Letters())
