# SPDX-License-Identifier: Apache-2.0
"""Text whose phrases link to entities: ``[[Entity|shown]]`` or ``[[Entity]]``, and wiki exports."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io.compression import open_stream
from vectorloom.io.faults import guarded

_LINK = re.compile(r"\[\[([^\[\]|]+)(?:\|([^\[\]]*))?\]\]")
# What is shown on another page or hidden, and links of other languages: no text of this one.
_NAMESPACE = re.compile(r"^:?(?:[a-z]{2,3}|[a-z][a-z \-]{3,}) ?:(?! )", re.IGNORECASE)
_MEDIA = re.compile(r"\[\[[^\[\]|:]+:(?! )(?:[^\[\]]|\[\[[^\[\]]*\]\])*\]\]")
_REDIRECT = re.compile(r"^\s*#\w+\s*:?\s*\[\[([^\[\]|#]+)", re.IGNORECASE)
_HIDDEN = re.compile(
    r"<!--.*?-->|<ref[^<>]*/>"
    r"|<(ref|math|gallery|timeline|source|syntaxhighlight|nowiki|code|score)\b.*?</\1\s*>",
    re.DOTALL | re.IGNORECASE,
)
_TAG = re.compile(r"<[^<>]{1,200}>")
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}|\{\|[^{}]*\|\}")
_OUTER_LINK = re.compile(r"\[https?://[^\s\]]+ ?([^\]]*)\]")
_MARKS = re.compile(r"'{2,}|^[=*#:;]+|=+\s*$|__[A-Z]+__", re.MULTILINE)
_MOST_NESTED = 20


@dataclass(frozen=True)
class Page:
    """One text and the entity that it is about, if any."""

    title: str | None
    text: str


@dataclass(frozen=True)
class LinkedLine:
    """A line in words, and the links in it: [start, stop) of the words, and the entity."""

    words: list[str]
    links: list[tuple[int, int, str]]


def entity_name(target: str) -> str | None:
    """Return the entity that a link's target names: no section, blanks, a capital; None for none.

    Examples
    --------
    >>> entity_name("albert_Einstein#Life"), entity_name("Category:Physicists"), entity_name("#Top")
    ('Albert Einstein', None, None)
    """
    name = " ".join(target.partition("#")[0].replace("_", " ").split())
    if not name or _NAMESPACE.match(name):
        return None
    return name[0].upper() + name[1:]


def linked_lines(text: str, split: Callable[[str], list[list[str]]]) -> Iterator[LinkedLine]:
    """Yield the lines of a text.

    Parameters
    ----------
    text : str
    split : callable
        Cuts a piece of a line into words, as lists of sentences.

    Yields
    ------
    LinkedLine
        Lines without words are left out.
    """
    for line in text.splitlines():
        words: list[str] = []
        links: list[tuple[int, int, str]] = []
        at = 0
        for link in _LINK.finditer(line):
            words += _words(split, line[at : link.start()])
            at = link.end()
            shown = _words(split, link[1] if link[2] is None else link[2])
            name = entity_name(link[1])
            if name is not None and shown:
                links.append((len(words), len(words) + len(shown), name))
            words += shown
        words += _words(split, line[at:])
        if words:
            yield LinkedLine(words, links)


def _words(split: Callable[[str], list[list[str]]], text: str) -> list[str]:
    return [word for sentence in split(text) for word in sentence]


def pages_of(source: Any) -> Iterator[Page]:
    """Yield the pages of what `EntityVectors.fit` was given.

    Parameters
    ----------
    source : path, iterable of str, or iterable of (title, text)
        A path names a MediaWiki export (XML, packed or not); redirects and pages of other
        namespaces are left out, and links to redirects are kept as they are.

    Raises
    ------
    FormatError
        A file that is no such export.
    ParameterError
        An entry that is neither a text nor a pair.
    """
    if isinstance(source, (str, os.PathLike)):
        yield from export_pages(Path(os.fspath(source)))
        return
    if isinstance(source, bytes) or not isinstance(source, Iterable):
        raise ParameterError(
            f"linked text is the path of a wiki export, or an iterable of texts or of (title, "
            f"text); got {type(source).__name__}. For one text pass [text]."
        )
    for place, item in enumerate(source):
        if isinstance(item, str):
            yield Page(None, item)
        elif isinstance(item, (tuple, list)) and [type(part) for part in item] == [str, str]:
            yield Page(entity_name(item[0]), item[1])
        else:
            raise ParameterError(
                f"entry {place} is {type(item).__name__}; a text with [[Entity|shown]], or a pair "
                "(title, text), was expected."
            )


def export_pages(path: Path) -> Iterator[Page]:
    """Yield the articles of a MediaWiki export, cleaned of all markup but links."""
    from xml.etree.ElementTree import ParseError, iterparse

    with guarded(path, "wiki export"), open_stream(path) as stream:
        try:
            for _, node in iterparse(stream):
                if node.tag.rpartition("}")[2] != "page":
                    continue
                parts = {part.tag.rpartition("}")[2]: part.text or "" for part in node.iter()}
                node.clear()
                title, text = entity_name(parts.get("title", "")), parts.get("text", "")
                if parts.get("ns", "0") == "0" and title and not _REDIRECT.match(text):
                    yield Page(title, without_markup(text))
        except ParseError as error:
            raise FormatError(
                f"{path}: expected a MediaWiki export (XML); {error}. For texts of another format "
                "pass an iterable of (title, text)."
            ) from None


def without_markup(text: str) -> str:
    """Take all markup of a wiki text off, except for links to entities.

    Examples
    --------
    >>> without_markup(
    ...     "'''Ada''' {{b|{{c}}}} met [[Charles Babbage|him]].<ref>x</ref> [[File:A.png]]"
    ... )
    'Ada  met [[Charles Babbage|him]]. '
    """
    text = _HIDDEN.sub("", text)
    for _ in range(_MOST_NESTED):
        text, n = _TEMPLATE.subn("", text)
        if n == 0:
            break
    text = _MEDIA.sub("", text)
    text = _OUTER_LINK.sub(r"\1", text)
    return html.unescape(_MARKS.sub("", _TAG.sub("", text)))
