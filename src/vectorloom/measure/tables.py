# SPDX-License-Identifier: Apache-2.0
"""Vectors of relational tables: whether they keep what tables mean.

A table is the same whatever the order of its rows and columns, and nearly the same when rows are
drawn from it. With e the vector of a table (or column) and e' that after the change,

    consistency = mean cos(e, e').
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import ParameterError, ShapeError
from vectorloom.estimator import check_count
from vectorloom.io.pages import Chart
from vectorloom.measure.result import Estimate, Result
from vectorloom.measure.rows import Z95
from vectorloom.vectors import as_dense

#: A table: column name to its values, all as many.
Table = Mapping[str, Sequence[Any]]
Embed = Callable[[list[dict[str, list[Any]]]], Any]


@dataclass(frozen=True, eq=False)
class TableConsistency(Result):
    """Mean cosines of vectors before and after changes that keep a table's meaning.

    Attributes
    ----------
    row_order, column_order : Estimate
        Rows, columns in another order; 1 is best.
    sample : Estimate
        A part of the rows drawn.
    dependency : Estimate or None
        Of pairs of columns, P(|difference of pairs' vectors| is less where a functional dependency
        holds); 0.5 is chance. None where no pairs were given.
    n_tables : int
    """

    row_order: Estimate
    column_order: Estimate
    sample: Estimate
    dependency: Estimate | None
    n_tables: int

    def __str__(self) -> str:
        parts = (self.row_order, self.column_order, self.sample, self.dependency)
        return "\n".join(str(part) for part in parts if part is not None)

    def plot(self) -> Chart:
        """Draw the consistencies.

        Returns
        -------
        Chart
        """
        from vectorloom.measure.chart import Bar, bar_chart

        parts = (self.row_order, self.column_order, self.sample, self.dependency)
        bars = [Bar(p.name, p.value, p.low, p.high) for p in parts if p is not None]
        return bar_chart("Vectors of tables", bars, x_label="mean cosine", digits=3)


def table_consistency(
    embed: Embed,
    tables: Sequence[Table],
    *,
    draws: int = 5,
    share: float = 0.25,
    dependencies: Sequence[tuple[int, str, str, bool]] = (),
    random_state: int = 0,
) -> TableConsistency:
    """Test whether vectors of tables survive what does not change their meaning.

    Parameters
    ----------
    embed : callable
        From a list of tables, each a dict of column to list of values, to one vector each.
    tables : sequence of mapping of str to sequence
        Columns of one length; one table at least, with two rows and two columns.
    draws : int, default=5
        Orders and samples tried for each table.
    share : float in (0, 1), default=0.25
        Of the rows that a sample keeps.
    dependencies : sequence of (table, column, column, holds), default=()
        Pairs of columns of which it is known whether the first determines the second; both kinds.
        For a dependency the difference between the vectors of value pairs should be alike over the
        rows.
    random_state : int, default=0

    Returns
    -------
    TableConsistency

    Raises
    ------
    ShapeError, ParameterError
        Ragged or too small tables; a share outside (0, 1); unknown columns; the callable returns
        another number of vectors, or NaN.

    Notes
    -----
    A callable that returns one vector for all tables is perfectly consistent: look at quality too.
    Cost: 3 * draws * len(tables) tables to embed.

    References
    ----------
    .. [1] T. Cong et al., "Observatory: characterizing embeddings of relational tables", VLDB 2024.

    Examples
    --------
    >>> def embed(tables):
    ...     return [[len(t), sum(map(sum, t.values())), list(t.values())[0][0]] for t in tables]
    >>> found = table_consistency(embed, [{"a": [1, 2, 3, 9], "b": [5, 6, 7, 8]}])
    >>> found.row_order.value < 1.0
    True
    """
    if not 0 < share < 1:
        raise ParameterError(f"share is {share}; a number between 0 and 1 is expected.")
    draws = check_count("draws", draws)
    known = [_checked(table, i) for i, table in enumerate(tables)]
    if not known:
        raise ShapeError("tables is empty; one at least is expected.")
    rng = np.random.default_rng(random_state)
    before = _vectors(embed, known)

    def tried(
        change: Callable[[dict[str, list[Any]]], dict[str, list[Any]]], name: str
    ) -> Estimate:
        values = np.empty((draws, len(known)))
        for draw in range(draws):
            values[draw] = _cosines(before, _vectors(embed, [change(table) for table in known]))
        mean = float(values.mean())
        half = Z95 * float(values.mean(axis=0).std()) / np.sqrt(len(known))
        low, high = (mean - half, min(1.0, mean + half)) if len(known) > 1 else (np.nan, np.nan)
        return Estimate(name, mean, float(low), float(high), len(known))

    def rows_mixed(table: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return _taken(table, rng.permutation(_height(table)))

    def columns_mixed(table: dict[str, list[Any]]) -> dict[str, list[Any]]:
        names = list(table)
        return {names[i]: table[names[i]] for i in rng.permutation(len(names))}

    def part(table: dict[str, list[Any]]) -> dict[str, list[Any]]:
        n = _height(table)
        return _taken(table, np.sort(rng.permutation(n)[: max(1, round(share * n))]))

    return TableConsistency(
        row_order=tried(rows_mixed, "row order"),
        column_order=tried(columns_mixed, "column order"),
        sample=tried(part, "sample"),
        dependency=_dependency(embed, known, dependencies) if dependencies else None,
        n_tables=len(known),
    )


def _checked(table: Table, i: int) -> dict[str, list[Any]]:
    found = {str(name): list(values) for name, values in table.items()}
    if len(found) < 2 or len({len(v) for v in found.values()}) != 1 or _height(found) < 2:
        raise ShapeError(
            f"table {i} must have two columns at least, of one length of 2 or more; got "
            f"{[len(v) for v in found.values()]}."
        )
    return found


def _height(table: dict[str, list[Any]]) -> int:
    return len(next(iter(table.values())))


def _taken(table: dict[str, list[Any]], at: NDArray[np.int64]) -> dict[str, list[Any]]:
    return {name: [values[i] for i in at] for name, values in table.items()}


def _vectors(embed: Embed, tables: list[dict[str, list[Any]]]) -> NDArray[np.float64]:
    found = as_dense(embed(tables), name="vectors of tables", dtype=np.float64)
    if len(found) != len(tables):
        raise ShapeError(f"embed returned {len(found)} vectors for {len(tables)} tables.")
    return np.asarray(found, np.float64)


def _cosines(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    dots = np.einsum("ij,ij->i", a, b)
    return np.asarray(np.divide(dots, scale, out=np.zeros_like(dots), where=scale > 0))


def _dependency(
    embed: Embed,
    tables: list[dict[str, list[Any]]],
    dependencies: Sequence[tuple[int, str, str, bool]],
) -> Estimate:
    """Compare how much the differences of pairs' vectors vary, where one determines the other."""
    from vectorloom.measure.query_distance import above

    spreads, kinds = [], []
    for i, first, second, holds in dependencies:
        if not 0 <= i < len(tables) or first not in tables[i] or second not in tables[i]:
            raise ParameterError(
                f"dependency ({i}, {first!r}, {second!r}) names no two columns of a table."
            )
        pairs = list(dict.fromkeys(zip(tables[i][first], tables[i][second], strict=True)))
        left = _vectors(embed, [{first: [a]} for a, _ in pairs])
        right = _vectors(embed, [{second: [b]} for _, b in pairs])
        gaps = right - left
        size = float(np.linalg.norm(gaps, axis=1).mean()) or 1.0
        spreads.append(float(np.linalg.norm(gaps - gaps.mean(axis=0), axis=1).mean()) / size)
        kinds.append(bool(holds))
    values, true = np.array(spreads), np.array(kinds)
    if true.all() or not true.any():
        raise ParameterError(
            "dependencies must hold for some pairs and not for others, to be told apart."
        )
    auc, error = above(values[~true], values[true])
    return Estimate(
        "dependency", auc, max(0.0, auc - Z95 * error), min(1.0, auc + Z95 * error), len(values)
    )
