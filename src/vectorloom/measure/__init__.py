# SPDX-License-Identifier: Apache-2.0
"""Measure: the geometry of vectors, two spaces side by side, and quality against truth."""

from __future__ import annotations

import importlib
from typing import Any

_HERE = "vectorloom.measure"

# Public name -> module; imported at first use.
_LAZY: dict[str, str] = {
    "Agreement": f"{_HERE}.neighbourhoods",
    "CSLS": f"{_HERE}.hub_reduction",
    "Canonical": f"{_HERE}.canonical",
    "Centring": f"{_HERE}.hub_vectors",
    "Difference": f"{_HERE}.retrieval",
    "Dimension": f"{_HERE}.dimension",
    "Drift": f"{_HERE}.drifting",
    "Evaluation": f"{_HERE}.retrieval",
    "FNorm": f"{_HERE}.hub_vectors",
    "Finding": f"{_HERE}.card",
    "HubTrials": f"{_HERE}.hub_experiments",
    "Hubness": f"{_HERE}.hubs",
    "Isotropy": f"{_HERE}.isotropy_measures",
    "LocalScaling": f"{_HERE}.hub_reduction",
    "MutualProximity": f"{_HERE}.hub_reduction",
    "NearCopies": f"{_HERE}.near_duplicates",
    "Outliers": f"{_HERE}.outlying",
    "QueryShift": f"{_HERE}.query_distance",
    "Redundancy": f"{_HERE}.redundant",
    "Report": f"{_HERE}.card",
    "Structure": f"{_HERE}.contrast",
    "average_cosine": f"{_HERE}.isotropy_measures",
    "bootstrap_interval": f"{_HERE}.significance",
    "cka": f"{_HERE}.kernel_alignment",
    "drift": f"{_HERE}.drifting",
    "effective_rank": f"{_HERE}.isotropy_measures",
    "evaluate_retrieval": f"{_HERE}.retrieval",
    "hub_trials": f"{_HERE}.hub_experiments",
    "hubness": f"{_HERE}.hubs",
    "hubness_of": f"{_HERE}.hubs",
    "intrinsic_dimension": f"{_HERE}.dimension",
    "isoscore": f"{_HERE}.iso_score",
    "isotropy": f"{_HERE}.isotropy_measures",
    "k_occurrence": f"{_HERE}.hubs",
    "local_dimension": f"{_HERE}.intrinsic",
    "near_copies": f"{_HERE}.near_duplicates",
    "neighbour_overlap": f"{_HERE}.neighbourhoods",
    "outliers": f"{_HERE}.outlying",
    "partition_ratio": f"{_HERE}.isotropy_measures",
    "procrustes": f"{_HERE}.shapes",
    "pwcca": f"{_HERE}.canonical",
    "query_shift": f"{_HERE}.query_distance",
    "randomization_test": f"{_HERE}.significance",
    "read_qrels": f"{_HERE}.trec_files",
    "read_run": f"{_HERE}.trec_files",
    "redundancy": f"{_HERE}.redundant",
    "report": f"{_HERE}.card",
    "rsa": f"{_HERE}.shapes",
    "skewness": f"{_HERE}.hubs",
    "structure": f"{_HERE}.contrast",
    "svcca": f"{_HERE}.canonical",
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
