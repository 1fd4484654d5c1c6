# SPDX-License-Identifier: Apache-2.0
"""What an audit advises: each line says what was found, what it does, and what to change.

Thresholds are where the effect is seen in measurements of ours or of the papers named; they are not
tuned to a data set. Names in ``structure`` that advice is given on: "imbalance" (n_lists times the
sum of squared list shares), "lists", "empty lists", "rows in no list", "unreachable nodes".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vectorloom.index.audit import Audit

#: Rows that an exact search answers about as fast as an approximate one.
EXACT_ROWS = 50_000
_DEAD = 0.2
_COPIES = 0.05
_DIMENSION = 30.0
_HUBS = 2.0
_ORDER = 0.2
_UNEVEN = 0.2
_IMBALANCE = 2.0


def advice_for(audit: Audit, *, is_exact: bool, goal: float = 0.95) -> tuple[str, ...]:
    """Return what to change, most urgent first.

    Parameters
    ----------
    audit : Audit
        Its own advice is not read.
    is_exact : bool
        Whether every search of the index is exact.
    goal : float, default=0.95
        The recall to be reached.

    Returns
    -------
    tuple of str
    """
    said = [*_on_recall(audit, is_exact, goal), *_on_structure(audit.structure, audit.n_rows)]
    if audit.dead_share > _DEAD:
        said.append(
            f"{audit.dead_share:.0%} of the positions hold removed rows, which searches still pass "
            "over: save() rewrites them, copy() leaves them out."
        )
    if audit.duplicates > _COPIES:
        said.append(
            f"{audit.duplicates:.0%} of the rows have a copy, and copies take each other's places "
            "in answers: keep one row of each and a list of its ids."
        )
    if audit.hubness > _HUBS:
        said.append(
            f"A few rows are in very many answers (hubness {audit.hubness:.1f}): subtract the mean "
            "of the rows from rows and queries, or use cosine where lengths differ."
        )
    return tuple(said)


def _on_recall(audit: Audit, is_exact: bool, goal: float) -> list[str]:
    if is_exact:
        return []
    said = []
    if audit.n_rows < EXACT_ROWS:
        said.append(
            f"{audit.n_rows:,} rows are few: vl.index.Exact misses nothing and is about as fast."
        )
    if audit.recall_high < goal:
        said.append(
            f"Recall is below {goal:g}: search with a larger recall=, chosen by audit(queries, "
            "recall=...) on queries of yours, or with exact=True where a miss is costly."
        )
    elif audit.recall_worst_tenth < audit.recall - _UNEVEN:
        said.append(
            f"A tenth of the queries finds {audit.recall_worst_tenth:.2f} of its neighbours while "
            f"the mean is {audit.recall:.2f}: look at worst_queries, and search with a larger "
            "recall= if they matter."
        )
    if audit.recall_high_dimension < audit.recall - _UNEVEN:
        said.append(
            f"Where the local dimension is largest recall is {audit.recall_high_dimension:.2f}: "
            "rows at dimension_ids are hard to reach; fewer, stronger dimensions "
            "(vl.compress.PCA) may help."
        )
    if audit.dimension > _DIMENSION:
        said.append(
            f"The local dimension is {audit.dimension:.0f}: neighbours are about equally far, and "
            "any index must look at many rows; expect speed at high recall to be lower than in "
            "published tables."
        )
    # Lists do not depend on the order of adding; graphs, which know unreachable nodes, may.
    if abs(audit.dimension_order) > _ORDER and "unreachable nodes" in audit.structure:
        what = "harder" if audit.dimension_order > 0 else "easier"
        said.append(
            f"Rows that were added later have {what} surroundings (rank correlation "
            f"{audit.dimension_order:+.2f}), and graphs grown row by row depend on the order of "
            "adding: fit all rows at once, or add them shuffled."
        )
    return said


def _on_structure(structure: dict[str, float], n_rows: int) -> list[str]:
    said = []
    if structure.get("imbalance", 1.0) > _IMBALANCE:
        said.append(
            f"Lists are uneven (imbalance {structure['imbalance']:.1f}; 1 is even): a query reads "
            "that many times the rows it should. Call fit again if the rows have changed since."
        )
    if structure.get("empty lists", 0.0) > 0.05 * structure.get("lists", 1.0):
        said.append(
            f"{structure['empty lists']:.0f} of {structure['lists']:.0f} lists are empty: call fit "
            "again, or ask for fewer n_lists."
        )
    if structure.get("rows in no list", 0.0) > 0.05 * n_rows:
        said.append(
            f"{structure['rows in no list']:,.0f} rows came since the lists were coded and are "
            "read by every query: they join the lists when they are an eighth, or at fit."
        )
    if structure.get("unreachable nodes", 0.0) > 0.0:
        said.append(
            f"{structure['unreachable nodes']:,.0f} rows cannot be reached through the graph and "
            "are found by exact=True alone: call fit again."
        )
    return said
