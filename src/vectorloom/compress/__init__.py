# SPDX-License-Identifier: Apache-2.0
"""Make vectors smaller, and know what it costs: fewer dimensions, fewer bits, binary, sparse."""

from __future__ import annotations

import importlib
from typing import Any

from vectorloom.compress.codes import load_codes
from vectorloom.compress.compressor import KIND
from vectorloom.compress.storage import load_compressor
from vectorloom.io.container import register_loader

_HERE = "vectorloom.compress"

# Public name -> module; imported at first use.
_LAZY: dict[str, str] = {
    "AffineVQ": f"{_HERE}.codebook.affine",
    "BEBR": f"{_HERE}.binary.bebr",
    "BFloat16": f"{_HERE}.quantize.float16",
    "CSR": f"{_HERE}.sparse.csr",
    "Chain": f"{_HERE}.chain",
    "CodedVectors": f"{_HERE}.codes",
    "Codes": f"{_HERE}.codes",
    "Compressor": f"{_HERE}.compressor",
    "Conditional": f"{_HERE}.quantize.conditional",
    "ContrastiveHash": f"{_HERE}.binary.contrastive_hash",
    "CoordinatedSampling": f"{_HERE}.sparse.coordinated_sampling",
    "CoupledChannels": f"{_HERE}.codebook.coupled",
    "DiffusionNet": f"{_HERE}.reduce.diffusion_net",
    "DistillVQ": f"{_HERE}.codebook.distill",
    "FFT": f"{_HERE}.reduce.fft",
    "Float16": f"{_HERE}.quantize.float16",
    "Float8": f"{_HERE}.quantize.float8",
    "FlopsSparse": f"{_HERE}.sparse.flops",
    "GaussianLinear": f"{_HERE}.reduce.gaussian_linear",
    "HeatGeodesic": f"{_HERE}.reduce.heat_geodesic",
    "ITQ": f"{_HERE}.binary.itq",
    "LVQ": f"{_HERE}.quantize.lvq",
    "LeanVec": f"{_HERE}.reduce.leanvec",
    "LowRankVQ": f"{_HERE}.codebook.low_rank",
    "Matryoshka": f"{_HERE}.reduce.matryoshka",
    "Minimax": f"{_HERE}.reduce.minimax",
    "MixedBits": f"{_HERE}.quantize.mixed_bits",
    "NonUniform": f"{_HERE}.quantize.nonuniform",
    "OPQ": f"{_HERE}.codebook.opq",
    "PCA": f"{_HERE}.reduce.pca",
    "PQ": f"{_HERE}.codebook.pq",
    "Poeem": f"{_HERE}.codebook.poeem",
    "RaBitQ": f"{_HERE}.quantize.rabitq",
    "RandomProjection": f"{_HERE}.reduce.random_projection",
    "ResidualQuantizer": f"{_HERE}.codebook.residual",
    "SDC": f"{_HERE}.binary.sdc",
    "Scalar": f"{_HERE}.quantize.scalar",
    "Sign": f"{_HERE}.binary.sign",
    "SimVQ": f"{_HERE}.codebook.simvq",
    "Stein": f"{_HERE}.reduce.stein",
    "TLDR": f"{_HERE}.reduce.tldr",
    "Truncate": f"{_HERE}.reduce.truncate",
    "UHD": f"{_HERE}.sparse.uhd",
    "Whitening": f"{_HERE}.reduce.whitening",
    "from_text": f"{_HERE}.recipe",
    "report": f"{_HERE}.report_card",
    "to_text": f"{_HERE}.recipe",
}

__all__ = sorted(_LAZY)

register_loader(KIND, load_compressor)
register_loader("compress.codes", load_codes)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'vectorloom.compress' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
