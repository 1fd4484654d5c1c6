# SPDX-License-Identifier: Apache-2.0
"""Every compressor, once or in several settings: the contract laws run on each line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import vectorloom as vl


@dataclass(frozen=True)
class Case:
    """One compressor in one setting.

    `make` returns it unfitted; it must cope with 300 rows of dimension 16 (64 with `dim=64`) and
    finish within about a second. `labels` and `queries` are passed to fit where the method needs
    them. `loss` is the largest mean squared error of decoding, relative to the variance, that this
    setting may show on the sample data (clustered, some dimensions stronger than others).
    scikit-learn's checks fit 10 to 40 rows of 1 to 10 dimensions: `small` makes a setting that can;
    None, with the reason in `why_not`, where the method cannot.
    """

    name: str
    make: Callable[[], Any]
    loss: float = 1.0
    dim: int = 16
    labels: bool = False
    queries: bool = False
    nonnegative: bool = False
    decodes: bool = True
    small: Callable[[], Any] | None = None
    why_not: str = ""


CASES: list[Case] = [
    Case("PCA-8", lambda: vl.compress.PCA(8), loss=0.6, small=lambda: vl.compress.PCA(1)),
    Case("PCA-all", lambda: vl.compress.PCA(), loss=1e-6),
    Case("Float16", lambda: vl.compress.Float16(), loss=1e-6, small=vl.compress.Float16),
    Case("BFloat16", lambda: vl.compress.BFloat16(), loss=1e-4, small=vl.compress.BFloat16),
    Case("Float8", lambda: vl.compress.Float8(), loss=0.002, small=vl.compress.Float8),
    Case(
        "Float8-e5m2",
        lambda: vl.compress.Float8("e5m2", scale="per_dim"),
        loss=0.005,
        small=lambda: vl.compress.Float8("e5m2"),
    ),
    Case("NonUniform", lambda: vl.compress.NonUniform(4), loss=0.02, small=vl.compress.NonUniform),
    Case(
        "NonUniform-shared",
        lambda: vl.compress.NonUniform(3, levels="shared", n_outliers=1, qnorm=True),
        loss=0.06,
        queries=True,
    ),
    Case(
        "MixedBits",
        lambda: vl.compress.MixedBits(),
        loss=0.02,
        small=lambda: vl.compress.MixedBits(high_fraction=0.5),
    ),
    Case("MixedBits-2", lambda: vl.compress.MixedBits(2, rotate=False), loss=0.4, queries=True),
    Case(
        "Conditional", lambda: vl.compress.Conditional(), loss=0.02, small=vl.compress.Conditional
    ),
    Case("PQ-4", lambda: vl.compress.PQ(4, bits=4), loss=0.4, small=lambda: vl.compress.PQ(bits=2)),
    Case("PQ-8x7", lambda: vl.compress.PQ(8, bits=7), loss=0.05),
    Case(
        "Residual",
        lambda: vl.compress.ResidualQuantizer(8, bits=4, n_splits=4),
        loss=0.1,
        small=lambda: vl.compress.ResidualQuantizer(1, bits=2),
    ),
    Case(
        "Residual-classical",
        lambda: vl.compress.ResidualQuantizer(4, bits=5, n_splits=1, emphasis=0, keep_norms=False),
        loss=0.3,
    ),
    Case(
        "Coupled",
        lambda: vl.compress.CoupledChannels(2, bits=2),
        loss=0.2,
        small=lambda: vl.compress.CoupledChannels(1, bits=2),
    ),
    Case("Coupled-adjacent", lambda: vl.compress.CoupledChannels(4, 1, grouping="adjacent")),
    Case(
        "LowRankVQ",
        lambda: vl.compress.LowRankVQ(k=32, m=4),
        loss=0.5,
        small=lambda: vl.compress.LowRankVQ(k=4, m=1),
    ),
    Case("LowRankVQ-2", lambda: vl.compress.LowRankVQ(k=64, m=4, d=2), loss=0.5),
    Case("Scalar-8", lambda: vl.compress.Scalar(8), loss=1e-4, small=vl.compress.Scalar),
    Case("Scalar-5-minmax", lambda: vl.compress.Scalar(5, range="minmax"), loss=0.005),
    Case("Scalar-3-quantile", lambda: vl.compress.Scalar(3, range="quantile"), loss=0.1),
    Case("LVQ-4", lambda: vl.compress.LVQ(4), loss=0.02, small=vl.compress.LVQ),
    Case("LVQ-4x8", lambda: vl.compress.LVQ(4, residual_bits=8), loss=1e-5),
    Case("RaBitQ-1", lambda: vl.compress.RaBitQ(1), loss=0.5, small=vl.compress.RaBitQ),
    Case("RaBitQ-4", lambda: vl.compress.RaBitQ(4), loss=0.02),
    Case("RaBitQ-2x8", lambda: vl.compress.RaBitQ(2, n_centroids=8), loss=0.12),
    Case("RaBitQ-dense", lambda: vl.compress.RaBitQ(3, rotation="dense"), loss=0.06),
    Case("Sign", lambda: vl.compress.Sign(), loss=0.5, small=vl.compress.Sign),
    Case(
        "OPQ-4", lambda: vl.compress.OPQ(4, bits=4), loss=0.4, small=lambda: vl.compress.OPQ(bits=2)
    ),
    Case(
        "OPQ-plain", lambda: vl.compress.OPQ(8, emphasis=0.0, keep_norms=False, bits=6), loss=0.15
    ),
    Case("PCA-uncentred", lambda: vl.compress.PCA(8, center=False), loss=0.6),
    Case("Truncate", lambda: vl.compress.Truncate(8), small=lambda: vl.compress.Truncate(1)),
    Case("Truncate-unit", lambda: vl.compress.Truncate(12, renormalize=True), loss=2.0),
    Case("FFT", lambda: vl.compress.FFT(10), small=lambda: vl.compress.FFT(1)),
    Case("FFT-energy", lambda: vl.compress.FFT(10, select="energy"), loss=0.8),
    Case(
        "RandomProjection",
        lambda: vl.compress.RandomProjection(10),
        small=lambda: vl.compress.RandomProjection(1),
    ),
    Case("RandomProjection-sparse", lambda: vl.compress.RandomProjection(10, "sparse")),
    Case("RandomProjection-hadamard", lambda: vl.compress.RandomProjection(10, "hadamard")),
    Case("Whitening", lambda: vl.compress.Whitening(), loss=1e-6, small=vl.compress.Whitening),
    Case("Whitening-zca", lambda: vl.compress.Whitening(kind="zca"), loss=1e-6),
    Case("Whitening-8", lambda: vl.compress.Whitening(8, power=0.25), loss=0.6),
    Case(
        "LeanVec-ID", lambda: vl.compress.LeanVec(8), loss=0.7, small=lambda: vl.compress.LeanVec(1)
    ),
    Case("LeanVec-sphering", lambda: vl.compress.LeanVec(10), loss=1.0, queries=True),
    Case("LeanVec-FW", lambda: vl.compress.LeanVec(10, "frank-wolfe"), loss=1.0, queries=True),
    Case("LeanVec-ES", lambda: vl.compress.LeanVec(10, "eigensearch"), loss=1.0, queries=True),
    Case(
        "HeatGeodesic",
        lambda: vl.compress.HeatGeodesic(2, max_iter=10),
        loss=0.9,
        why_not="places rows of a sample, which has to be larger than the checks' few rows",
    ),
    Case(
        "DiffusionNet",
        lambda: vl.compress.DiffusionNet(3, epochs=20),
        loss=0.9,
        small=lambda: vl.compress.DiffusionNet(1, epochs=2),
    ),
    Case("Minimax", lambda: vl.compress.Minimax(8), loss=0.6, small=lambda: vl.compress.Minimax(1)),
    Case("Minimax-queries", lambda: vl.compress.Minimax(8), loss=1.0, queries=True),
    Case(
        "SimVQ",
        lambda: vl.compress.SimVQ(16, 4, batch_size=50),
        loss=0.5,
        small=lambda: vl.compress.SimVQ(2, n_epochs=2),
    ),
    Case("SimVQ-narrow", lambda: vl.compress.SimVQ(64, 2, n_latent=6, n_epochs=5), loss=1.0),
    Case(
        "AffineVQ",
        lambda: vl.compress.AffineVQ(16, 4, batch_size=50),
        loss=0.5,
        small=lambda: vl.compress.AffineVQ(2, n_epochs=2),
    ),
    Case("Stein", lambda: vl.compress.Stein(8), loss=0.9, small=lambda: vl.compress.Stein(1)),
    Case("Stein-labels", lambda: vl.compress.Stein(12, order=2), loss=0.9, labels=True),
    Case("Stein-elliptical", lambda: vl.compress.Stein(8, density="elliptical"), loss=0.9),
    Case(
        "GaussianLinear",
        lambda: vl.compress.GaussianLinear(4, batch_size=100, n_epochs=5),
        loss=0.7,
        small=lambda: vl.compress.GaussianLinear(1, n_maps=2, n_epochs=2),
    ),
    Case("ITQ", lambda: vl.compress.ITQ(n_iter=10), loss=0.5, small=lambda: vl.compress.ITQ(1)),
    Case("BEBR-2", lambda: vl.compress.BEBR(), loss=0.2, small=lambda: vl.compress.BEBR(2)),
    Case("BEBR-trained", lambda: vl.compress.BEBR(4, n_epochs=1), loss=0.05),
    Case(
        "SDC",
        lambda: vl.compress.SDC(16, n_epochs=3),
        loss=0.6,
        small=lambda: vl.compress.SDC(1, n_epochs=1),
    ),
    Case(
        "ContrastiveHash",
        lambda: vl.compress.ContrastiveHash(16, n_hidden=16, n_epochs=2),
        loss=1.1,
        labels=True,
        small=lambda: vl.compress.ContrastiveHash(16, n_hidden=16, n_epochs=1),
    ),
    Case(
        "CSR",
        lambda: vl.compress.CSR(64, 8, n_epochs=25),
        loss=0.6,
        small=lambda: vl.compress.CSR(8, 2, n_epochs=1),
    ),
    Case("CSR-plain", lambda: vl.compress.CSR(64, 8, contrastive_weight=0, n_epochs=25), loss=0.6),
    Case(
        "FlopsSparse",
        lambda: vl.compress.FlopsSparse(64, n_epochs=5),
        loss=0.6,
        small=lambda: vl.compress.FlopsSparse(8, n_epochs=1),
    ),
    Case(
        "UHD",
        lambda: vl.compress.UHD(1024, 32),
        loss=0.8,
        small=lambda: vl.compress.UHD(64, 4),
    ),
    Case("UHD-data", lambda: vl.compress.UHD(1024, 32, lift="data", buckets=(8, 8)), loss=0.8),
    Case(
        "CoordinatedSampling",
        lambda: vl.compress.CoordinatedSampling(12),
        loss=1.5,
        small=lambda: vl.compress.CoordinatedSampling(1),
    ),
    Case(
        "TLDR",
        lambda: vl.compress.TLDR(8, n_hidden=32, n_outputs=32, n_steps=20),
        loss=1.0,
        small=lambda: vl.compress.TLDR(1, n_hidden=8, n_outputs=8, n_steps=2),
    ),
    Case(
        "Matryoshka",
        lambda: vl.compress.Matryoshka(n_steps=5),
        loss=1e-3,
        small=lambda: vl.compress.Matryoshka(1, n_steps=2),
    ),
    Case("Matryoshka-8", lambda: vl.compress.Matryoshka(8, rotation=True, n_steps=5), loss=0.7),
    Case(
        "DistillVQ",
        lambda: vl.compress.DistillVQ(4, bits=4, n_epochs=1, n_nearest=20, n_row_queries=20),
        loss=0.4,
        queries=True,
        why_not="needs queries, which the checks do not pass",
    ),
    Case(
        "Chain",
        lambda: vl.compress.PCA(12) | vl.compress.Scalar(8),
        loss=0.6,
        why_not="has a parameter without default, which the checks do not fill",
    ),
    Case(
        "Poeem",
        lambda: vl.compress.Poeem(4, bits=4, n_epochs=1),
        loss=0.4,
        queries=True,
        why_not="needs queries, which the checks do not pass",
    ),
]


def sample(case: Case, n: int = 300, seed: int = 0) -> np.ndarray:
    """Return clustered vectors whose dimensions have unequal scales, float32 (n, dim)."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((12, case.dim))
    X = centres[rng.integers(0, 12, n)] + 0.4 * rng.standard_normal((n, case.dim))
    X *= np.linspace(2.0, 0.5, case.dim)
    X += 0.3
    return np.abs(X).astype(np.float32) if case.nonnegative else X.astype(np.float32)


def fitted(case: Case, X: np.ndarray, seed: int = 1) -> Any:
    """Return `case`'s compressor fitted to X, with made labels and queries where it needs them."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, len(X)) if case.labels else None
    Q = X[rng.integers(0, len(X), 50)].astype(np.float32) + 0.1 if case.queries else None
    return case.make().fit(X, y, queries=None if Q is None else Q.astype(np.float32))
