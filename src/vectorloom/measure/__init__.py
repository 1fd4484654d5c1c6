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
    "Evaluation": f"{_HERE}.retrieval",
    "bootstrap_interval": f"{_HERE}.significance",
    "Dimension": f"{_HERE}.dimension",
    "FNorm": f"{_HERE}.hub_vectors",
    "Hubness": f"{_HERE}.hubs",
    "Isotropy": f"{_HERE}.isotropy_measures",
    "LocalScaling": f"{_HERE}.hub_reduction",
    "MutualProximity": f"{_HERE}.hub_reduction",
    "Report": f"{_HERE}.card",
    "average_cosine": f"{_HERE}.isotropy_measures",
    "cka": f"{_HERE}.kernel_alignment",
    "effective_rank": f"{_HERE}.isotropy_measures",
    "evaluate_retrieval": f"{_HERE}.retrieval",
    "hubness": f"{_HERE}.hubs",
    "hubness_of": f"{_HERE}.hubs",
    "intrinsic_dimension": f"{_HERE}.dimension",
    "isoscore": f"{_HERE}.iso_score",
    "isotropy": f"{_HERE}.isotropy_measures",
    "k_occurrence": f"{_HERE}.hubs",
    "local_dimension": f"{_HERE}.intrinsic",
    "neighbour_overlap": f"{_HERE}.neighbourhoods",
    "partition_ratio": f"{_HERE}.isotropy_measures",
    "procrustes": f"{_HERE}.shapes",
    "pwcca": f"{_HERE}.canonical",
    "randomization_test": f"{_HERE}.significance",
    "read_qrels": f"{_HERE}.trec_files",
    "read_run": f"{_HERE}.trec_files",
    "report": f"{_HERE}.card",
    "rsa": f"{_HERE}.shapes",
    "skewness": f"{_HERE}.hubs",
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
