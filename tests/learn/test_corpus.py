# SPDX-License-Identifier: Apache-2.0
"""Reading, cutting, counting and numbering a corpus."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectorloom.errors import FormatError, ParameterError, ShapeError
from vectorloom.learn import Corpus

TEXT = "The cat sat.\nThe dog sat, too.\n"
SENTENCES = [["the", "cat", "sat"], ["the", "dog", "sat", "too"]]


def test_words_are_runs_of_letters_marks_and_digits():
    assert list(Corpus(["Ünïted 42x l'été naïve_one"])) == [
        ["ünïted", "42x", "l", "été", "naïve", "one"]
    ]
    assert list(Corpus(["हिन्दी में"])) == [["हिन्दी", "में"]]
    assert list(Corpus(["中文 かな 한국어"])) == [["中", "文", "か", "な", "한국어"]]


def test_options_of_the_tokenizer():
    assert list(Corpus(["A b2 CCC"], lowercase=False)) == [["A", "b2", "CCC"]]
    assert list(Corpus(["A b2c CCC"], digits=False)) == [["a", "b", "c", "ccc"]]
    assert list(Corpus(["a bb ccc"], min_length=2, max_length=2)) == [["bb"]]
    assert list(Corpus(["don't stop_it"], tokenizer="blanks")) == [["don't", "stop_it"]]
    assert list(Corpus(["a-b", "c"], tokenizer=lambda text: text.split("-"))) == [["a", "b"], ["c"]]


@given(st.lists(st.text(max_size=40), max_size=6))
def test_ascii_words_are_those_of_the_regular_expression(texts):
    texts = [re.sub(r"[^\x01-\x7f]", " ", text) for text in texts]
    found = [
        words
        for text in texts
        for line in text.split("\n")
        if (words := re.findall(r"[^\W_]+", line.lower()))
    ]
    assert list(Corpus(texts)) == found


@given(st.text())
def test_any_text_gives_words_without_separators(text):
    text = text.encode("utf-8", "ignore").decode()
    for sentence in Corpus([text], errors="skip"):
        for word in sentence:
            assert word
            assert not re.search(r"\s", word)


@pytest.mark.parametrize("suffix", ["", ".txt", ".txt.gz", ".txt.xz", ".txt.bz2", ".txt.zst"])
def test_files_of_all_wrappers(tmp_path, suffix):
    data = TEXT.encode()
    wrap = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
    if suffix.endswith(".zst"):
        import pyarrow as pa

        data = pa.compress(data, codec="zstd", asbytes=True)
    data = next((f(data) for end, f in wrap.items() if suffix.endswith(end)), data)
    path = tmp_path / f"file{suffix}"
    path.write_bytes(data)
    assert list(Corpus(path)) == SENTENCES
    assert list(Corpus(str(path))) == SENTENCES


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.jsonl").write_text(json.dumps({"text": "three"}) + "\n")
    (tmp_path / "a.txt").write_text("one")
    pq.write_table(pa.table({"text": ["two", None]}), tmp_path / "b.parquet")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    (tmp_path / ".hidden.txt").write_text("hidden")
    assert sorted(s[0] for s in Corpus(tmp_path)) == ["one", "three", "two"]
    assert list(Corpus([tmp_path / "a.txt"])) == [["one"]]


def test_numbers_are_by_frequency_and_rare_words_are_left_out():
    found = Corpus(SENTENCES).encode(min_count=2)
    assert found.words == ["the", "sat"]
    assert found.counts.tolist() == [2, 2]
    assert found.tokens.tolist() == [0, 1, -1, 0, 1, -1]
    assert found.n_tokens == 7
    assert Corpus([TEXT]).encode(min_count=1, max_words=1).words == ["the"]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), min_size=1, max_size=20))
def test_tokens_spell_the_corpus(sentences):
    if not any(sentences):
        return
    found = Corpus(sentences).encode(min_count=1)
    spelled = [[]]
    for token in found.tokens.tolist():
        if token < 0:
            spelled.append([])
        else:
            spelled[-1].append(found.words[token])
    assert [s for s in spelled if s] == [s for s in sentences if s]
    assert found.counts.sum() == found.n_tokens


def test_a_file_is_cut_at_words_only(tmp_path, monkeypatch):
    from vectorloom.learn import corpus_files

    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("aéß中z"), size=rng.integers(1, 9))) for _ in range(3000)]
    text = " ".join(words) + "\n" + "x" * 300
    path = tmp_path / "long.txt"
    path.write_text(text)
    whole = list(Corpus([text], max_length=1000))
    monkeypatch.setattr(corpus_files, "_BLOCK", 64)
    found = Corpus(path, max_length=1000).encode(min_count=1)
    assert found.n_tokens == sum(map(len, whole))
    assert set(found.words) == {word for sentence in whole for word in sentence}
    assert int((found.tokens < 0).sum()) == 2


def test_large_corpora_lie_in_a_file(monkeypatch):
    from vectorloom.learn import corpus

    texts = ["a b c d e", "b c", "rare"] * 50 + ["once"]
    small = Corpus(texts).encode(min_count=2)
    monkeypatch.setattr(corpus, "_IN_MEMORY", 100)
    monkeypatch.setattr(corpus, "_TAKE_TOKENS", 16)
    large = Corpus(texts).encode(min_count=2)
    assert isinstance(large.tokens, np.memmap)
    np.testing.assert_array_equal(small.tokens, large.tokens)
    assert small.words == large.words


def test_the_vocabulary_never_outgrows_its_limit():
    often = ["one two three"] * 40
    texts = [f"{line} w{i}" for i, line in enumerate(often)]
    found = Corpus(texts).encode(min_count=5, limit=10)
    assert found.words[:3] == ["one", "two", "three"]
    assert found.counts[:3].tolist() == [40, 40, 40]
    assert found.n_lost > 0


def test_what_is_not_text_is_refused_with_its_place(tmp_path):
    path = tmp_path / "broken.txt"
    path.write_bytes(b"good words\n" + b"bad \xff byte\n")
    with pytest.raises(FormatError, match=r"broken\.txt: byte 15: expected UTF-8.*0xff"):
        Corpus(path).encode(min_count=1)
    with pytest.raises(FormatError, match="byte 15"):
        list(Corpus(path))
    assert Corpus(path, errors="skip").encode(min_count=1).n_tokens == 4
    path.write_bytes(b"\x7fELF\0\0\0")
    with pytest.raises(FormatError, match=r"NUL byte, as in binary files.*skip-broken"):
        Corpus(path).encode(min_count=1)


@pytest.mark.parametrize("broken", [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4\xb8"])
def test_utf8_is_checked_as_python_checks_it(tmp_path, broken):
    path = tmp_path / "x.txt"
    path.write_bytes(b"word " + broken)
    with pytest.raises(FormatError, match="byte 5"):
        Corpus(path).encode(min_count=1)


def test_bad_corpora_are_named(tmp_path):
    with pytest.raises(ShapeError, match="holds no words"):
        Corpus([]).encode()
    with pytest.raises(ParameterError, match="occurs 5 times"):
        Corpus(["a b c"]).encode()
    with pytest.raises(FileNotFoundError, match="pass \\[text\\]"):
        Corpus("no such file").encode()
    with pytest.raises(ParameterError, match="no text in this folder"):
        Corpus(tmp_path).encode()
    with pytest.raises(ParameterError, match="entry 1 of the corpus is int"):
        Corpus(["a", 3]).encode()
    with pytest.raises(ParameterError, match="holds int"):
        Corpus([["a", 3]]).encode()
    with pytest.raises(ParameterError, match="a corpus is a path"):
        Corpus(b"bytes").encode()
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "x"}\n')
    with pytest.raises(FormatError, match="line 1: expected the field 'text'; found 'body'"):
        Corpus(path).encode()
    assert list(Corpus(path, field="body")) == [["x"]]
