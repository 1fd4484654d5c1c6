# SPDX-License-Identifier: Apache-2.0
"""Entities: reading links and exports, the stream of pairs by hand, meanings, files, bad input."""

from __future__ import annotations

import bz2

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import FormatError, ParameterError
from vectorloom.learn import EntityVectors, UnknownWordError
from vectorloom.learn.words.entity_vectors import _Reader
from vectorloom.learn.words.linked_text import entity_name, export_pages, without_markup

EXPORT = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">
<page><title>Ada Lovelace</title><ns>0</ns><revision><text>{{Infobox|a={{b}}}}
'''Ada''' worked with [[Charles Babbage|him]] on the [[analytical engine]].&lt;ref&gt;x&lt;/ref&gt;
== Life ==
[[File:Ada.jpg|thumb|A [[portrait]]]] {| class="x" | y |} [http://a.b her page] [[Category:People]]
</text></revision></page>
<page><title>Babbage</title><ns>0</ns><revision><text>
#REDIRECT [[Charles Babbage]]</text></revision></page>
<page><title>Talk:Ada</title><ns>1</ns><revision><text>not [[this]]</text></revision></page>
</mediawiki>"""


def test_names_of_entities():
    assert entity_name("new_york  City#History") == "New york City"
    assert [entity_name(name) for name in ("File:A.png", "de:Paris", "#x", " ")] == [None] * 4
    assert entity_name("Star Trek: Voyager") == "Star Trek: Voyager"


def test_markup_goes_and_links_stay():
    assert without_markup("a<!-- b -->{{c|{{d}}}} ''e'' <br/>&amp; [[F|g]]").split() == [
        "a",
        "e",
        "&",
        "[[F|g]]",
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_an_export_is_read(tmp_path, packed):
    path = tmp_path / ("wiki.xml.bz2" if packed else "wiki.xml")
    path.write_bytes(bz2.compress(EXPORT.encode()) if packed else EXPORT.encode())
    (page,) = export_pages(path)
    assert page.title == "Ada Lovelace"
    assert "[[Charles Babbage|him]]" in page.text
    for gone in ("Infobox", "<", "portrait", "class", "http", "Category", "=", "ref"):
        assert gone not in page.text
    assert "her page" in page.text
    (tmp_path / "no.xml").write_text("plain text")
    with pytest.raises(FormatError, match="MediaWiki"):
        list(export_pages(tmp_path / "no.xml"))


def test_the_stream_by_hand():
    pages = [("Home", "One two [[sea|three four]] five six\nseven")]
    reader = _Reader(pages, lowercase=True)
    encoded = reader.encode(1, 1, 1, True, 0)
    assert encoded.words == [*"one two three four five six seven".split(), "ENTITY/Sea"]
    # Its line, (Sea, two) and (Sea, five) from a window of 1; Home is linked to by nobody.
    stream = [0, 1, 2, 3, 4, 5, -1, 7, 1, -1, 7, 4, -1, 6, -1]
    assert encoded.tokens.tolist() == stream
    assert reader.mentions == {"three four": {"Sea": 1}}
    two = _Reader([("sea", "a [[Sky]]"), ("Sky", "b [[sea]]")], True).encode(1, 1, 1, True, 0)
    text = [two.words[token] if token >= 0 else "." for token in two.tokens]
    assert text[:9] == ["a", "sky", ".", "ENTITY/Sky", "a", ".", "ENTITY/Sea", "ENTITY/Sky", "."]


def test_words_below_the_count_leave_no_hole():
    encoded = _Reader(["a a b [[E|a]] c c a"], True).encode(2, 1, 2, True, 3)
    assert encoded.words == ["a", "c", "ENTITY/E"]
    assert encoded.tokens.tolist()[:7] == [0, 0, 0, 1, 1, 0, -1]
    assert set(encoded.tokens.tolist()) == {0, 1, 2, -1}


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    subjects = {"Java (island)": "sea", "Java (language)": "code"}
    own = {name: [f"{name}{chr(97 + i)}" for i in range(12)] for name in ("sea", "code")}
    pages = []
    for _ in range(500):
        entity = list(subjects)[int(rng.random() < 0.3)]
        words = rng.choice(own[subjects[entity]], 8).tolist()
        place = int(rng.integers(8))
        words[place] = f"[[{entity}|Java]]"
        pages.append((f"{subjects[entity]} page", " ".join(words)))
    return EntityVectors(
        16, min_count=1, min_entity_count=2, sample=0, epochs=15, random_state=1
    ).fit(pages)


def test_an_entity_is_near_its_words_and_a_context_tells_the_meaning(model):
    assert model.entities == ["Java (island)", "Java (language)"]
    assert model.candidates("java")[0][0] == "Java (island)"
    for name, word in (("Java (island)", "sea"), ("Java (language)", "code")):
        vector = model.get_entity_vector(name)
        near = [word for word, _ in model.similar_by_vector(vector, topn=6)]
        assert sum(found.startswith(word) or "Java" in found for found in near) >= 5
        context = f"Java {word}a {word}c and {word}d"
        assert model.disambiguate("Java", context, prior_weight=0.2)[0][0] == name
        assert model.most_similar_entities(f"{word}b", 1)[0][0] == name
    assert model.disambiguate("Java", "codea", prior_weight=1)[0][0] == "Java (island)"
    assert model.disambiguate("Java", "zzz") != []
    assert model.disambiguate("nothing", "codea") == []
    with pytest.raises(UnknownWordError):
        model.get_entity_vector("Bali")


def test_files_hold_entities_and_mentions(model, tmp_path):
    model.save(tmp_path / "e.vl")
    found = vl.open(tmp_path / "e.vl", verify=True)
    assert found.entities == model.entities
    assert found.mentions_ == model.mentions_
    np.testing.assert_array_equal(found.vectors_, model.vectors_)


def test_the_same_seed_gives_the_same_bits():
    pages = ["a b [[C|c]] d e"] * 30
    one, two = (EntityVectors(8, min_count=1, random_state=3, n_jobs=n).fit(pages) for n in (1, 2))
    np.testing.assert_array_equal(one.vectors_, two.vectors_)


def test_bad_input_is_named():
    with pytest.raises(ParameterError, match="entry 1 is int"):
        EntityVectors().fit(["a [[B]]", 3])
    with pytest.raises(ParameterError, match="fewer than two"):
        EntityVectors().fit(["a [[B]]"])
    with pytest.raises(ParameterError, match="no context"):
        EntityVectors(min_count=1).fit(["a", "b"] * 9)
    with pytest.raises(ParameterError, match=r"pass \[text\]"):
        EntityVectors().fit(b"a")
    with pytest.raises(ParameterError, match="min_entity_count"):
        EntityVectors(min_entity_count=0).fit(["a b"])
