# SPDX-License-Identifier: Apache-2.0
"""Pictures and pages that need no library and no network: drawn as SVG, written whole or not."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vectorloom.errors import InternalError
from vectorloom.io.paths import replacing

_PLACE = re.compile(r"\{\{(\w+)\}\}")
#: Places that are filled alike on every page.
_COMMON = {"style": "page_style.css", "header": "page_header.html", "theme": "page_theme.js"}


@dataclass(frozen=True)
class Chart:
    """A finished picture; notebooks show it.

    Parameters
    ----------
    svg : str

    Examples
    --------
    >>> Chart("<svg/>")._repr_svg_()
    '<svg/>'
    """

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture as an .svg file.

        Parameters
        ----------
        path : path-like
        """
        write_text(self.svg, path)


def fill(template: Path, parts: Mapping[str, str]) -> str:
    """Return a template with each ``{{name}}`` replaced, and what all pages share.

    Parameters
    ----------
    template : Path
    parts : mapping of str to str
        What stands in each place, as HTML.

    Returns
    -------
    str

    Raises
    ------
    InternalError
        The template has a place that no part fills.
    """
    text = template.read_text(encoding="utf-8")
    here = Path(__file__).parent
    parts = {name: (here / file).read_text("utf-8") for name, file in _COMMON.items()} | dict(parts)
    missing = set(_PLACE.findall(text)) - set(parts)
    if missing:
        raise InternalError(f"{template.name} has places that nothing fills: {sorted(missing)}.")
    return _PLACE.sub(lambda match: parts[match.group(1)], text)


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write a whole file, or nothing.

    Parameters
    ----------
    text : str
    path : path-like
    """
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")
