# SPDX-License-Identifier: Apache-2.0
"""Gathering on a small tree made up here: what is read, what is skipped, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from vectorloom.demo.passages import (
    STDLIB,
    TOPICS,
    Passage,
    Root,
    default_roots,
    gather,
    split_summary,
)
from vectorloom.errors import ParameterError

LONG = "This sentence is long enough that a docstring of its own is worth being kept."


def module(*names: str) -> str:
    functions = "\n".join(f'def {n}():\n    """Do {n}. {LONG}"""\n' for n in names)
    return f'"""A module. {LONG}"""\n{functions}'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    files = {
        "numpy/__init__.py": module("array").encode(),
        "alpha/__init__.py": b"import does_not_exist\n" + module("zero").encode(),
        "alpha/_impl.py": module("hidden", "_private").replace("module", "impl").encode(),
        "alpha/copies.py": module("zero").encode(),
        "alpha/broken.py": b'"""Broken."""\ndef (:\n',
        "alpha/latin.py": '"""Caf\xe9."""\n'.encode("latin-1"),
        "alpha/null.py": b'"""Null."""\x00\n',
        "alpha/huge.py": b'"""Huge."""\n' + b"#" * 2_000_001,
        "alpha/tests/test_it.py": module("never").encode(),
        "pip/__init__.py": module("never").encode(),
        "single.py": module("alone").replace("A module", "One file").encode(),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def test_what_cannot_be_read_is_skipped_and_counted(site: Path) -> None:
    found = gather([Root(site)])
    assert found.skipped == {"larger than 2 MB": 1, "not UTF-8": 1, "syntax error": 2}
    assert found.files_read == 5
    assert not found.is_capped


def test_passages_have_public_titles_unique_ids_and_their_package(site: Path) -> None:
    found = gather([Root(site)])
    titles = [p.title for p in found.passages]
    assert titles == [
        "numpy", "numpy.array", "alpha.zero", "alpha.hidden", "single", "single.alone",
    ]  # fmt: skip
    assert [p.package for p in found.passages][::2] == ["numpy", "alpha", "single"]
    assert len({p.id for p in found.passages}) == len(titles)
    assert found.packages == {"alpha": 2, "numpy": 2, "single": 2}


def test_exact_copies_are_dropped_and_counted(site: Path) -> None:
    """Two modules say the same of themselves, two functions the same of zero."""
    found = gather([Root(site)])
    assert found.duplicates == 2
    texts = [(p.summary, p.body) for p in found.passages]
    assert len(set(texts)) == len(texts)


def test_no_source_is_imported(tmp_path: Path) -> None:
    (tmp_path / "trap.py").write_text(f"raise SystemExit\n{module('f')}")
    assert gather([Root(tmp_path)]).files_read == 1


def test_the_cap_keeps_the_first_in_the_fixed_order(site: Path) -> None:
    everything = gather([Root(site)])
    capped = gather([Root(site)], max_passages=3)
    assert capped.is_capped
    assert capped.passages == everything.passages[:3]


def test_two_functions_of_one_name_get_two_ids(tmp_path: Path) -> None:
    second = module("f").replace("Do f", "Do it otherwise")
    (tmp_path / "m.py").write_text(module("f") + second[second.index("def") :])
    assert [p.id for p in gather([Root(tmp_path)]).passages] == ["m", "m.f", "m.f#2"]


def test_topics_of_the_language_reference_are_cut_into_pieces(tmp_path: Path) -> None:
    (tmp_path / "pydoc_data").mkdir()
    text = "Heading\n*******\n\n" + "\n\n".join(f"{LONG} Paragraph {i}." for i in range(30))
    (tmp_path / "pydoc_data/topics.py").write_text(f"topics = {{'assert': {text!r}}}\n")
    passages = gather([Root(tmp_path, STDLIB)]).passages
    assert len(passages) > 1
    assert {(p.title, p.package, p.kind) for p in passages} == {("topic assert", TOPICS, "topic")}
    assert passages[0].summary == "Heading."
    assert "Paragraph 29" in passages[-1].body + passages[-1].summary


def test_docs_added_to_compiled_functions_are_found(tmp_path: Path) -> None:
    (tmp_path / "docs.py").write_text(
        f"add_newdoc('pkg.core', 'sin', '''Sine. {LONG}''')\n"
        f"add_newdoc('pkg.core', 'cls', ('method', '''Method. {LONG}'''))\n"
        f"add_newdoc('pkg.core', 'many', [('one', '''One. {LONG}''')])\n"
        "add_newdoc(name, doc)\n"
    )
    titles = [p.title for p in gather([Root(tmp_path, "pkg")]).passages]
    assert titles == ["pkg.core.sin", "pkg.core.cls.method", "pkg.core.many.one"]


@pytest.mark.parametrize(
    ("doc", "summary", "body"),
    [
        ("One line.", "One line.", ""),
        ("First. Second one.", "First.", "Second one."),
        ("Over two\nlines. More.\n\nRest.", "Over two lines.", "More.\n\nRest."),
        ("No full stop\n\nRest.", "No full stop", "Rest."),
        ("sin(x, /)\n\nSine of x.\n\nRest.", "Sine of x.", "Rest."),
        ("=====\nTitle\n=====\n\nRest.", "Title", "Rest."),
        ("Uses e.g. commas. Then more.", "Uses e.g. commas.", "Then more."),
    ],
)
def test_the_first_sentence_is_told_from_the_rest(doc: str, summary: str, body: str) -> None:
    assert split_summary(doc) == (summary, body)


def test_the_text_of_a_passage_holds_all_of_it() -> None:
    assert Passage("i", "a.b", "a", "function", "Sum.", "Rest.").text == "a.b\nSum.\nRest."


def test_this_machine_has_documentation() -> None:
    roots = default_roots()
    assert roots[0].package == STDLIB
    assert all(root.path.is_dir() for root in roots)


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="max_passages must be at least 1"):
        gather([Root(tmp_path)], max_passages=0)
    with pytest.raises(ParameterError, match="must be folders"):
        gather([Root(tmp_path / "none")])
