# SPDX-License-Identifier: Apache-2.0
"""From the numbers of a report to sentences: what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vectorloom.measure.card import Finding

if TYPE_CHECKING:
    from vectorloom.measure.card import Report

# From where on a number is worth a sentence. The hub limits are those of index audits; the others
# are what MiniLM sentences, which need no repair, stay clear of.
MANY_COPIES = 0.001
MANY_NEAR_COPIES = 0.02
MOST = 0.5  # of the rows with a near-copy: then the limit tells nothing in this space
MANY_OUTLIERS = 0.005
MEAN_SHARE = 0.1
FEW_DIRECTIONS = 0.5
HUBS = 2.0
ANTIHUBS = 0.1
HARD = 30.0
LENGTHS_DIFFER = 0.01
WORTH = 0.9  # a reduction that leaves more of the skewness than this is not advised
SHIFTED = 0.7
SAME_QUERIES = 0.05
RANDOM_DIMENSION = 15.0
TOLD_APART = 0.6

_ORDER = {"repair": 0, "consider": 1, "fine": 2}


def findings_of(found: Report) -> list[Finding]:
    """Say what follows from the numbers of a report, most urgent first.

    Parameters
    ----------
    found : Report

    Returns
    -------
    list of Finding
    """
    told = [
        *_on_rows(found),
        *_on_columns(found),
        *_on_hubs(found),
        *_on_judged(found),
        *_on_space(found),
        *_on_directions(found),
        *_on_redundancy(found),
        *_on_others(found),
    ]
    return sorted(told, key=lambda finding: _ORDER[finding.level])


def _on_rows(found: Report) -> Iterator[Finding]:
    if found.n_zero:
        yield Finding(
            "zero rows",
            "repair",
            f"{found.n_zero} rows are zero and have no direction",
            "drop them, or find out what failed to encode.",
        )
    if found.copies > MANY_COPIES:
        yield Finding(
            "copies",
            "repair",
            f"{found.copies:.1%} of the rows are copies of another",
            "drop them and keep their ids beside the first, or they fill the answers.",
        )
    near = found.near
    fact = f"{near.share:.1%} [{near.low:.1%}, {near.high:.1%}] of the rows have a near-copy"
    if near.low > MANY_NEAR_COPIES and near.share < MOST and _rare_by_chance(found):
        a, b = near.pairs[0]
        yield Finding(
            "near-copies",
            "consider",
            f"{fact}, such as rows {a} and {b}",
            "look at the pairs (report.near.pairs); texts that differ in a word or a date fill "
            "answers with one thing. Keep one of each, or ask for more and drop repeats.",
        )
    else:
        yield Finding("near-copies", "fine", fact)
    yield _on_outliers(found)
    if found.length_spread > LENGTHS_DIFFER:
        yield Finding(
            "lengths",
            "consider",
            f"Lengths differ by {found.length_spread:.0%}",
            "cosine, ip and l2 rank differently. Take the metric that the model was trained for.",
        )
    else:
        yield Finding("lengths", "fine", f"All rows are about {found.length:.3g} long")


def _rare_by_chance(found: Report) -> bool:
    """Whether normal rows would not have near-copies too, as they have in few dimensions."""
    near = found.near
    reach = np.sqrt(max(0.0, 2 - 2 * near.limit)) if near.metric == "cosine" else near.limit
    return bool(5 * (found.structure.chance_nearest <= reach).mean() < near.share)


def _on_outliers(found: Report) -> Finding:
    far = found.outliers
    fact = f"{far.share:.1%} [{far.low:.1%}, {far.high:.1%}] of the rows are far from all others"
    if far.low <= MANY_OUTLIERS:
        return Finding("outliers", "fine", fact)
    return Finding(
        "outliers",
        "consider",
        f"{fact}, such as {_some(far.worst)}",
        "read what they are: broken encoding, another language, empty texts. They are hard to "
        "find in a graph, and stretch the range of codes.",
    )


def _on_columns(found: Report) -> Iterator[Finding]:
    columns = found.columns
    n = len(columns.constant)
    if n:
        yield Finding(
            "constant dimensions",
            "repair",
            f"{n} of {found.dim} dimensions {'is' if n == 1 else 'are'} constant "
            f"({_some(columns.constant)})",
            f"drop {'it, it costs' if n == 1 else 'them, they cost'} memory and "
            f"{'says' if n == 1 else 'say'} nothing.",
        )
    n = len(columns.dead)
    if n:
        yield Finding(
            "dead dimensions",
            "consider",
            f"{n} of {found.dim} dimensions hardly change{'s' if n == 1 else ''} "
            f"({_some(columns.dead)})",
            f"drop {'it' if n == 1 else 'them'}; neighbours stay the same.",
        )
    n = len(columns.heavy)
    if n:
        yield Finding(
            "heavy dimensions",
            "consider",
            f"{n} of {found.dim} dimensions ({_some(columns.heavy)}) "
            f"hold{'s' if n == 1 else ''} {columns.heavy_share:.0%} of the squared length",
            "similarity is mostly theirs. Scale dimensions alike (vl.measure.FNorm), or centre, "
            "and see whether judged queries gain; codes with one scale for all waste their levels.",
        )


def _on_directions(found: Report) -> Iterator[Finding]:
    shape = found.isotropy
    if shape.mean_share > MEAN_SHARE and found.metric == "cosine":
        yield Finding(
            "anisotropy",
            "consider",
            f"The mean holds {shape.mean_share:.0%} of the squared length, so that any two rows "
            f"have a cosine of about {shape.average_cosine:.2f}",
            _centring(found),
        )
    else:
        yield Finding(
            "anisotropy",
            "fine",
            f"The mean holds {shape.mean_share:.1%} of the squared length, and variance is spread "
            f"as over {shape.dimensions_used:.0f} even dimensions (IsoScore {shape.isoscore:.3f})",
        )
    if shape.directions_90 < FEW_DIRECTIONS * found.dim:
        yield Finding(
            "few directions",
            "consider",
            f"{shape.directions_90} of {found.dim} directions hold 90 % of the variance",
            f"vl.compress.PCA({shape.directions_90}) keeps "
            f"{found.redundancy.at(shape.directions_90 / found.dim, 'reduced'):.0%} of the "
            f"{found.hubness.k} nearest; vl.compress.report says what it costs.",
        )


def _centring(found: Report) -> str:
    trials = () if found.judged is None else found.judged.trials
    judged = next((trial for trial in trials if trial.name == "Centring"), None)
    if judged is None:
        return "try vl.measure.Centring, for documents and queries alike."
    return (
        f"vl.measure.Centring takes it off, and changes nDCG@10 of the judged queries by "
        f"{judged.gain.mean:+.3f} [{judged.gain.low:+.3f}, {judged.gain.high:+.3f}]."
    )


def _on_hubs(found: Report) -> Iterator[Finding]:
    hubs = found.hubness
    fact = (
        f"{hubs.antihub_share:.0%} of the rows are never among anyone's {hubs.k} nearest, and hubs "
        f"hold {hubs.hub_occupancy:.0%} of all places (skewness {hubs.skewness:.2f})"
    )
    if hubs.skewness <= HUBS and hubs.antihub_share <= ANTIHUBS:
        yield Finding("hubs", "fine", fact)
        return
    yield Finding("hubs", "consider", fact, _hub_advice(found))


def _on_judged(found: Report) -> Iterator[Finding]:
    judged = found.judged
    if judged is None:
        return
    best = judged.best()
    if best is None:
        least = max(judged.trials, key=lambda trial: trial.gain.mean)
        yield Finding(
            "reductions",
            "fine",
            f"No reduction of hubs surely helps the {judged.n_queries:,} judged queries (nDCG@10 "
            f"{judged.before:.3f}; the best, {least.name}, {least.gain.mean:+.3f} "
            f"[{least.gain.low:+.3f}, {least.gain.high:+.3f}]): leave the vectors as they are",
        )
        return
    where = "works with any index" if best.any_index else "re-ranks the nearest 100"
    yield Finding(
        "reductions",
        "consider",
        f"{best.name} raises nDCG@10 of {judged.n_queries:,} judged queries from "
        f"{judged.before:.3f} to {best.ndcg:.3f} "
        f"[{best.gain.low:+.3f}, {best.gain.high:+.3f}]",
        f"use it ({where}); it was the best of {len(judged.trials)}, so look at fresh queries too.",
    )


def _hub_advice(found: Report) -> str:
    trials = found.trials
    before = trials.none.hubness.skewness
    plain, any_way = trials.best(any_index=True), trials.best()
    steps = []
    if plain is not trials.none and plain.hubness.skewness < WORTH * before:
        verb = "centre with vl.measure.Centring" if plain.name == "Centring" else "apply FNorm"
        steps.append(
            f"{verb} (skewness {before:.2f} to {plain.hubness.skewness:.2f} on "
            f"{trials.n_measured:,} rows; works with any index)"
        )
    if not any_way.any_index and any_way.hubness.skewness < WORTH * before:
        steps.append(
            f"re-rank the nearest 100 with vl.measure.{any_way.name} (skewness "
            f"{any_way.hubness.skewness:.2f}, {any_way.hubness.antihub_share:.1%} never a "
            "neighbour)"
        )
    if not steps:
        return (
            "none of the reductions tried (centring, f-norm, local scaling, CSLS, mutual "
            "proximity) helped here; look for copies and outliers first."
        )
    judged = "" if found.judged else " Keep this only if judged queries gain."
    return f"{', then '.join(steps)}.{judged}"


def _on_space(found: Report) -> Iterator[Finding]:
    dimension, contrast = found.dimension, found.structure
    closer = 1 - contrast.contrast
    nearer = f"only {closer:.1%} nearer" if closer >= 0.001 else "no nearer"
    if contrast.is_random and dimension.value > RANDOM_DIMENSION:
        yield Finding(
            "random",
            "repair",
            f"Neighbours are {nearer} than among normal rows of the same covariance, so that the "
            "vectors look random",
            "check the encoder and its input before anything is built on these vectors; results "
            "of benchmarks on them do not carry over to real ones.",
        )
    else:
        yield Finding(
            "random",
            "fine",
            f"Neighbours are {1 - contrast.contrast:.0%} nearer than among normal rows of the same "
            "covariance",
        )
    fact = (
        f"The intrinsic dimension is about {dimension.value:.0f} "
        f"[{dimension.low:.0f}, {dimension.high:.0f}]"
    )
    if dimension.value > HARD:
        yield Finding(
            "dimension",
            "consider",
            fact,
            "neighbours are hardly nearer than others, and approximate indexes need much effort. "
            "Measure recall, and doubt that the order of neighbours means much.",
        )
    else:
        yield Finding("dimension", "fine", fact)


def _on_redundancy(found: Report) -> Iterator[Finding]:
    curve = found.redundancy
    quarter = max(1, round(found.dim / 4))
    prefix, reduced = (curve.at(0.25, way) for way in ("prefix", "reduced"))
    fact = (
        f"The first {quarter} of {found.dim} dimensions keep {prefix:.0%} of the neighbours, "
        f"{quarter} principal ones {reduced:.0%}"
    )
    if curve.safe["prefix"] <= found.dim / 2:
        yield Finding(
            "redundancy",
            "consider",
            fact,
            f"the first {curve.safe['prefix']} keep {curve.floor:.0%}: cut the vectors there, "
            "which costs nothing to compute.",
        )
    elif curve.safe["reduced"] <= found.dim / 2:
        yield Finding(
            "redundancy",
            "consider",
            fact,
            f"vl.compress.PCA({curve.safe['reduced']}) keeps {curve.floor:.0%}; do not cut "
            "without turning.",
        )
    else:
        yield Finding("redundancy", "fine", f"{fact}; do not cut without turning")


def _on_others(found: Report) -> Iterator[Finding]:
    asked = found.queries
    if asked is not None and asked.in_rows > SAME_QUERIES:
        yield Finding(
            "queries",
            "repair",
            f"{asked.in_rows:.0%} of the queries are rows themselves",
            "recall measured with them is too good; hold queries out, or take real ones.",
        )
    if asked is not None:
        fact = (
            f"Queries lie further from the rows than rows do: auc {asked.auc:.2f}, and "
            f"{asked.beyond:.0%} are further than 99 % of the rows"
        )
        if asked.auc > SHIFTED:
            yield Finding(
                "query shift",
                "consider",
                fact,
                "tune and measure with these queries, not with rows; give codes and graphs that "
                "take queries some for training, and expect to need more effort.",
            )
        else:
            yield Finding(
                "query shift", "fine", f"Queries lie where the rows do (auc {asked.auc:.2f})"
            )
    moved = found.drift
    if moved is not None:
        fact = (
            f"{'The batches differ' if moved.drifted else 'The batches do not differ'} "
            f"(p = {moved.p_value:.2g}); a row's batch can be told with auc {moved.auc:.2f}"
        )
        if moved.drifted and moved.auc > TOLD_APART:
            yield Finding(
                "drift",
                "repair" if moved.auc > 0.9 else "consider",
                fact,
                "find out what changed (model, cleaning, source) before both go into one index; "
                "codes and lists that were fitted on the earlier batch should be fitted again.",
            )
        else:
            yield Finding("drift", "fine", fact)


def _some(values: NDArray[np.int64]) -> str:
    return ", ".join(map(str, values[:5])) + (", …" if len(values) > 5 else "")
