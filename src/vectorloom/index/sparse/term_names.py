# SPDX-License-Identifier: Apache-2.0
"""Sparse rows as mappings of term to weight: row[number of term] = weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError
from vectorloom.io.container import Container
from vectorloom.io.strings import pack_strings, unpack_strings

_TEXT, _OFFSETS = "names.text", "names.offsets"


class TermNames:
    """The columns that terms have, in the order in which rows brought them.

    Parameters
    ----------
    names : sequence of str, default=()
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.numbers: dict[str, int] = {name: i for i, name in enumerate(names)}

    def rows(self, mappings: Sequence[Mapping[str, Any]], name: str, *, grow: bool) -> Any:
        """Return mappings as a csr matrix.

        Parameters
        ----------
        mappings : sequence of mappings of str to number
        name : str
            What the caller calls them; used in messages.
        grow : bool
            Whether unknown terms become columns; they are left out where not.

        Returns
        -------
        csr_matrix of shape (n, columns), float64
            Weights are not checked.

        Raises
        ------
        ParameterError
            A term that is no str, a weight that is no number.
        """
        from scipy import sparse

        numbers = self.numbers
        columns: list[int] = []
        weights: list[float] = []
        starts = [0]
        for i, mapping in enumerate(mappings):
            for term, weight in mapping.items():
                if not isinstance(term, str):
                    raise ParameterError(
                        f"{name}[{i}] has the term {term!r}, which is no str; name terms by text."
                    )
                if isinstance(weight, bool) or not isinstance(
                    weight, int | float | np.integer | np.floating
                ):
                    raise ParameterError(
                        f"{name}[{i}] gives {term!r} the weight {weight!r}; a number is expected."
                    )
                at = numbers.setdefault(term, len(numbers)) if grow else numbers.get(term, -1)
                if at >= 0:
                    columns.append(at)
                    weights.append(float(weight))
            starts.append(len(columns))
        made = sparse.csr_matrix(
            (np.array(weights), np.array(columns, np.int64), np.array(starts, np.int64)),
            (len(mappings), len(numbers)),
        )
        made.sort_indices()
        return made

    def first(self, n: int) -> list[str]:
        """Return the names of the first n columns."""
        return list(self.numbers)[:n]

    def copy(self) -> TermNames:
        """Return names that grow apart."""
        twin = TermNames()
        twin.numbers = dict(self.numbers)
        return twin

    # ---- files ---------------------------------------------------------------------------------

    def arrays(self, n: int) -> dict[str, NDArray[Any]]:
        """Return what a file keeps of the first n columns."""
        text, offsets = pack_strings(self.first(n))
        return {_TEXT: text, _OFFSETS: offsets}

    @classmethod
    def of_file(cls, file: Container, n: int) -> TermNames | None:
        """Return the names of a file's n columns; None where it has none.

        Raises
        ------
        FormatError
            They are not n different names.
        """
        if _TEXT not in file.arrays:
            return None
        text = file.array(_TEXT, "|u1", (None,))
        offsets = file.array(_OFFSETS, "<i8", (n + 1,))
        names = cls(unpack_strings(text, offsets, where=str(file.path)).tolist())
        if len(names.numbers) != n:
            raise FormatError(f"{file.path}: two columns have the same name.")
        return names


def are_mappings(X: Any) -> bool:
    """Say whether `X` is a list of mappings."""
    return isinstance(X, list | tuple) and bool(X) and all(isinstance(x, Mapping) for x in X)
