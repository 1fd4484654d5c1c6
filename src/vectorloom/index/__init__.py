# SPDX-License-Identifier: Apache-2.0
"""Indexes: hold vectors, find the nearest ones."""

from __future__ import annotations

from vectorloom.index.anncur import ANNCUR
from vectorloom.index.audit import Audit
from vectorloom.index.bm25 import BM25
from vectorloom.index.exact import Exact
from vectorloom.index.expansion import expand
from vectorloom.index.factory import from_factory
from vectorloom.index.fde import FDE
from vectorloom.index.gaussian import gaussian_queries, gaussian_rows, search_gaussian
from vectorloom.index.graph import Graph
from vectorloom.index.hits import Hits, QueryHits, RangeHits
from vectorloom.index.hybrid import Hybrid, HybridHits
from vectorloom.index.inverted import Inverted
from vectorloom.index.ivf import IVF
from vectorloom.index.knn_embed import KNNEmbed
from vectorloom.index.mixture import search_mixture
from vectorloom.index.multivector import MultiVector
from vectorloom.index.slim import SLIM
from vectorloom.index.token_budget import BudgetPoint, plan_token_budget
from vectorloom.index.token_codes import TokenCodes
from vectorloom.index.token_pooling import pool_tokens
from vectorloom.index.token_pruning import prune_tokens
from vectorloom.index.two_stage import TwoStage

__all__ = [
    "ANNCUR",
    "BM25",
    "FDE",
    "IVF",
    "SLIM",
    "Audit",
    "BudgetPoint",
    "Exact",
    "Graph",
    "Hits",
    "Hybrid",
    "HybridHits",
    "Inverted",
    "KNNEmbed",
    "MultiVector",
    "QueryHits",
    "RangeHits",
    "TokenCodes",
    "TwoStage",
    "expand",
    "from_factory",
    "gaussian_queries",
    "gaussian_rows",
    "plan_token_budget",
    "pool_tokens",
    "prune_tokens",
    "search_gaussian",
    "search_mixture",
]
