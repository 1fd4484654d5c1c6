# SPDX-License-Identifier: Apache-2.0
"""Indexes: hold vectors, find the nearest ones."""

from __future__ import annotations

from vectorloom.index.audit import Audit
from vectorloom.index.combined.hybrid import Hybrid, HybridHits
from vectorloom.index.combined.two_stage import TwoStage
from vectorloom.index.dense.exact import Exact
from vectorloom.index.dense.graph import Graph
from vectorloom.index.dense.ivf import IVF
from vectorloom.index.dense.knn_embed import KNNEmbed
from vectorloom.index.factory import from_factory
from vectorloom.index.forms.anncur import ANNCUR
from vectorloom.index.forms.expansion import expand
from vectorloom.index.forms.gaussian import gaussian_queries, gaussian_rows, search_gaussian
from vectorloom.index.forms.mixture import search_mixture
from vectorloom.index.hits import Hits, QueryHits, RangeHits
from vectorloom.index.multivector.crisp import CRISP
from vectorloom.index.multivector.fde import FDE
from vectorloom.index.multivector.layer_pooling import (
    LayerQuality,
    LayerReport,
    layer_report,
    pool_layers,
)
from vectorloom.index.multivector.multi_vector import MultiVector
from vectorloom.index.multivector.multi_view import MultiView
from vectorloom.index.multivector.nested_budgets import NestedMultiVector
from vectorloom.index.multivector.nested_tokens import nest_tokens
from vectorloom.index.multivector.slim import SLIM
from vectorloom.index.multivector.token_budget import BudgetPoint, plan_token_budget
from vectorloom.index.multivector.token_codes import TokenCodes
from vectorloom.index.multivector.token_pooling import pool_tokens
from vectorloom.index.multivector.token_pruning import prune_tokens
from vectorloom.index.multivector.view_collapse import ViewCollapse, view_collapse
from vectorloom.index.sparse.bm25 import BM25
from vectorloom.index.sparse.inverted import Inverted

__all__ = [
    "ANNCUR",
    "BM25",
    "CRISP",
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
    "LayerQuality",
    "LayerReport",
    "MultiVector",
    "MultiView",
    "NestedMultiVector",
    "QueryHits",
    "RangeHits",
    "TokenCodes",
    "TwoStage",
    "ViewCollapse",
    "expand",
    "from_factory",
    "gaussian_queries",
    "gaussian_rows",
    "layer_report",
    "nest_tokens",
    "plan_token_budget",
    "pool_layers",
    "pool_tokens",
    "prune_tokens",
    "search_gaussian",
    "search_mixture",
    "view_collapse",
]
