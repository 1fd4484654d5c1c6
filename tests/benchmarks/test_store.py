# SPDX-License-Identifier: Apache-2.0
"""The table of stores: a speed below the floor is no number, and a ratio names its peer."""

from __future__ import annotations

from benchmarks.store.report import page
from benchmarks.store.stores import STORES

MACHINE = {"cpu": "a CPU", "cores": 2, "memory_gib": 8, "python": "3.12", "commit": "abc"}


def result(store, cpu_s, qps, recall, size):
    asked = {"qps_cpu": qps, "qps_wall": qps / 2, "recall": recall, "setting": 8}
    return {
        "store": store,
        "version": "1",
        "note": "",
        "filled": {"cpu_s": cpu_s, "wall_s": 2 * cpu_s},
        "plain": asked,
        "tagged": asked,
        "bytes": size,
        "open_and_ask": {"wall_s": 0.1, "cpu_s": 0.1},
    }


def test_ratios_are_to_the_best_peer_that_reached_the_floor():
    run = {"rows": 1000, "dim": 4, "queries": 10, "floor": 0.95, "jobs": 1, "machine": MACHINE}
    run["results"] = [
        result("vectorloom", 1.0, 900.0, 0.96, 2**20),
        result("chroma", 2.0, 100.0, 0.97, 2**21),
        result("lancedb", 4.0, 500.0, 0.80, 2**20),
        {"store": "qdrant-local", "failed": "not installed"},
    ]
    text = page(run)
    assert "- rows/s filled, CPU: 2.00 times chroma, not met." in text
    assert "- queries/s, CPU: 9.00 times chroma, met." in text
    assert "- MiB on disk: 1.00 times lancedb, not met." in text
    assert "| lancedb 1 | 250 | 125 | – | – |" in text
    assert "- qdrant-local: not installed." in text


def test_every_store_takes_the_same_five_steps():
    for store in STORES.values():
        for step in ("create", "add", "finish", "open", "query", "set", "close"):
            assert callable(getattr(store, step))
