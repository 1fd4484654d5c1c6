# SPDX-License-Identifier: Apache-2.0
"""Measure: the geometry of vectors, two spaces side by side, and quality against truth."""

from __future__ import annotations

import importlib
from typing import Any

_HERE = "vectorloom.measure"

# Public name -> module; imported at first use.
_LAZY: dict[str, str] = {
    "Agreement": f"{_HERE}.neighbourhoods",
    "Analogies": f"{_HERE}.words",
    "CSLS": f"{_HERE}.hub_reduction",
    "CachedEncoder": f"{_HERE}.embedding_cache",
    "Canonical": f"{_HERE}.canonical",
    "Capacity": f"{_HERE}.capacity",
    "Centring": f"{_HERE}.hub_vectors",
    "ClusteringGrid": f"{_HERE}.clustering",
    "Difference": f"{_HERE}.retrieval",
    "Dimension": f"{_HERE}.dimension",
    "Drift": f"{_HERE}.drifting",
    "Estimate": f"{_HERE}.result",
    "Evaluation": f"{_HERE}.retrieval",
    "FNorm": f"{_HERE}.hub_vectors",
    "Finding": f"{_HERE}.card",
    "FreeVectors": f"{_HERE}.capacity",
    "HubTrials": f"{_HERE}.hub_experiments",
    "Hubness": f"{_HERE}.hubs",
    "Isotropy": f"{_HERE}.isotropy_measures",
    "LimitSet": f"{_HERE}.limit_sets",
    "LocalScaling": f"{_HERE}.hub_reduction",
    "MutualProximity": f"{_HERE}.hub_reduction",
    "NearCopies": f"{_HERE}.near_duplicates",
    "Outliers": f"{_HERE}.outlying",
    "Probe": f"{_HERE}.probes",
    "QueryShift": f"{_HERE}.query_distance",
    "Redundancy": f"{_HERE}.redundant",
    "Report": f"{_HERE}.card",
    "Result": f"{_HERE}.result",
    "Structure": f"{_HERE}.contrast",
    "all_subsets": f"{_HERE}.capacity",
    "analogies": f"{_HERE}.words",
    "average_cosine": f"{_HERE}.isotropy_measures",
    "bootstrap_interval": f"{_HERE}.significance",
    "cka": f"{_HERE}.kernel_alignment",
    "clustering_grid": f"{_HERE}.clustering",
    "critical_dimension": f"{_HERE}.capacity",
    "critical_size": f"{_HERE}.capacity",
    "drift": f"{_HERE}.drifting",
    "effective_rank": f"{_HERE}.isotropy_measures",
    "evaluate_retrieval": f"{_HERE}.retrieval",
    "free_vectors": f"{_HERE}.capacity",
    "hub_trials": f"{_HERE}.hub_experiments",
    "hubness": f"{_HERE}.hubs",
    "hubness_of": f"{_HERE}.hubs",
    "intrinsic_dimension": f"{_HERE}.dimension",
    "isoscore": f"{_HERE}.iso_score",
    "isotropy": f"{_HERE}.isotropy_measures",
    "k_occurrence": f"{_HERE}.hubs",
    "limit_set": f"{_HERE}.limit_sets",
    "local_dimension": f"{_HERE}.intrinsic",
    "moment_curve": f"{_HERE}.capacity",
    "near_copies": f"{_HERE}.near_duplicates",
    "neighbour_overlap": f"{_HERE}.neighbourhoods",
    "outliers": f"{_HERE}.outlying",
    "partition_ratio": f"{_HERE}.isotropy_measures",
    "probe": f"{_HERE}.probes",
    "procrustes": f"{_HERE}.shapes",
    "pwcca": f"{_HERE}.canonical",
    "query_shift": f"{_HERE}.query_distance",
    "randomization_test": f"{_HERE}.significance",
    "read_analogies": f"{_HERE}.words",
    "read_qrels": f"{_HERE}.trec_files",
    "read_run": f"{_HERE}.trec_files",
    "read_word_pairs": f"{_HERE}.words",
    "redundancy": f"{_HERE}.redundant",
    "report": f"{_HERE}.card",
    "rsa": f"{_HERE}.shapes",
    "skewness": f"{_HERE}.hubs",
    "structure": f"{_HERE}.contrast",
    "sts": f"{_HERE}.sentence_pairs",
    "svcca": f"{_HERE}.canonical",
    "word_similarity": f"{_HERE}.words",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'vectorloom.measure' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
