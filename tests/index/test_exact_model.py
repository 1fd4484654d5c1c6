# SPDX-License-Identifier: Apache-2.0
"""Any sequence of changes leaves the exact index equal to a plain dict searched by brute force."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import vectorloom as vl
from index_registry import CASES
from oracle import assert_answers

DIM = 3
# Few ids, so that they meet again: added, replaced, removed, added again.
KEYS = [f"k{i}" for i in (3, 1, 4, 15, 9, 2, 6, 5, 35, 8)]


class ExactModel(RuleBasedStateMachine):
    """The index beside a dict of id -> vector."""

    @initialize(
        case=st.sampled_from([case for case in CASES if case.make is vl.index.Exact]),
        texts=st.booleans(),
    )
    def start(self, case, texts) -> None:
        self.case = case
        self.keys = KEYS if texts else [int(key[1:]) - 5 for key in KEYS if key != "k4"]
        self.rng = np.random.default_rng(0)
        self.index = case.new(n_jobs=1)
        self.rows: dict = {}

    def some(self, picks):
        ids = list(dict.fromkeys(self.keys[i % len(self.keys)] for i in picks))
        return ids, self.case.vectors(self.rng, len(ids), DIM)

    @rule(picks=st.lists(st.integers(0, 9), min_size=1, max_size=6))
    def upsert(self, picks) -> None:
        ids, x = self.some(picks)
        self.index.upsert(x, ids)
        self.rows |= dict(zip(ids, x, strict=True))

    @rule(picks=st.lists(st.integers(0, 9), min_size=1, max_size=4))
    def add(self, picks) -> None:
        ids, x = self.some(picks)
        if set(ids) & set(self.rows):
            with pytest.raises(vl.ParameterError, match="already"):
                self.index.add(x, ids)
        else:
            self.index.add(x, ids)
            self.rows |= dict(zip(ids, x, strict=True))

    @precondition(lambda self: len(self.index) or hasattr(self.index, "_store"))
    @rule(picks=st.lists(st.integers(0, 9), min_size=1, max_size=6))
    def remove(self, picks) -> None:
        ids, _ = self.some(picks)
        there = [id_ for id_ in ids if id_ in self.rows]
        assert self.index.remove(ids, missing="ignore") == len(there)
        for id_ in there:
            del self.rows[id_]

    @precondition(lambda self: hasattr(self.index, "_store"))
    @rule()
    def save_and_reopen(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.index.save(Path(folder) / "a.vl")
            self.index = vl.open(Path(folder) / "a.vl", verify=True).copy()

    @precondition(lambda self: hasattr(self.index, "_store"))
    @rule(
        k=st.integers(1, 12),
        share=st.sampled_from([None, 0.0, 0.1, 0.5, 1.0]),
        by_ids=st.booleans(),
    )
    def search(self, k, share, by_ids) -> None:
        ids = self.index.ids_.tolist()
        x = np.array([self.rows[id_] for id_ in ids])
        queries = self.case.vectors(self.rng, 2, DIM)
        mask = None if share is None else self.rng.random(len(ids)) < share
        where = mask
        if mask is not None and by_ids:  # and with ids that are not there, or not any more
            absent = [key for key in self.keys if key not in self.rows]
            where = absent + [id_ for id_, keep in zip(ids, mask, strict=True) if keep]
        hits = self.index.search(queries, k, where=where)
        if len(ids):
            assert_answers(hits, x, ids, queries, k, mask)
        else:
            assert hits.counts.tolist() == [0, 0]

    @invariant()
    def holds_the_same_rows(self) -> None:
        if not hasattr(self, "index") or not hasattr(self.index, "_store"):
            return
        assert len(self.index) == len(self.rows)
        assert set(self.index.ids_.tolist()) == set(self.rows)
        for id_ in self.keys:
            assert (id_ in self.index) == (id_ in self.rows)
        if self.rows:
            ids = list(self.rows)
            kept = self.index.get(ids).astype(np.float32)
            np.testing.assert_array_equal(kept, np.array(list(self.rows.values()), np.float32))


TestExactModel = ExactModel.TestCase
TestExactModel.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def test_many_small_additions_keep_lookups_right(monkeypatch) -> None:
    monkeypatch.setattr("vectorloom.index.rowids._TAIL_LIMIT", 7)
    rng = np.random.default_rng(0)
    index, rows = vl.index.Exact(metric="l2"), {}
    for step in range(60):
        ids = rng.choice(40, size=1 + step % 4, replace=False) - 10
        ids = ids[ids != -1]
        x = rng.integers(-9, 9, (len(ids), 2)).astype(np.float32)
        index.upsert(x, ids)
        rows |= dict(zip(ids.tolist(), x.tolist(), strict=True))
        assert index.get(list(rows)).tolist() == list(rows.values())
        if step % 5 == 4:
            gone = list(rows)[:: 1 + step % 3]
            assert index.remove(gone) == len(gone)
            for id_ in gone:
                del rows[id_]
                assert id_ not in index
    assert set(index.ids_.tolist()) == set(rows)
