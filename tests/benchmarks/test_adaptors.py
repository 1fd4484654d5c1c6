# SPDX-License-Identifier: Apache-2.0
"""The modules for other benchmarks do what those call, seen through a stand-in of their base."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ADAPTORS = Path(__file__).resolve().parents[2] / "benchmarks" / "adaptors"
FOLDERS = {"ann_benchmarks": "angular", "vibe": "cosine"}  # and what each calls the cosine
CLASSES = ["VectorloomIVF", "VectorloomGraph"]
WORDS = {"VectorloomIVF": ("nprobe", 10_000), "VectorloomGraph": ("ef", 400)}


class BaseANN:
    """What the modules derive from, over there."""

    res: Any

    def get_additional(self) -> dict[str, Any]:
        return {}


@pytest.fixture(params=sorted(FOLDERS))
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The adaptor, loaded as `<tree>.algorithms.vectorloom.module` beside a base of our own."""
    tree = f"tree_{request.param}"
    for name in (tree, f"{tree}.base", f"{tree}.vectorloom"):
        package = ModuleType(name)
        package.__path__ = []
        monkeypatch.setitem(sys.modules, name, package)
    base = ModuleType(f"{tree}.base.module")
    base.BaseANN = BaseANN  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, base.__name__, base)
    file = ADAPTORS / request.param / "module.py"
    spec = importlib.util.spec_from_file_location(f"{tree}.vectorloom.module", file)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    loaded.cosine = FOLDERS[request.param]  # type: ignore[attr-defined]
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("name", CLASSES)
def test_one_query_and_a_batch_find_the_nearest(module: ModuleType, name: str) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((500, 16)).astype(np.float32)
    algorithm = getattr(module, name)(module.cosine)
    algorithm.fit(rows)
    algorithm.set_query_arguments(*WORDS[name])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = np.argsort(-(unit[:20] @ unit.T), axis=1)[:, :5]
    one_by_one = np.array([algorithm.query(row, 5) for row in rows[:20]])
    np.testing.assert_array_equal(one_by_one, nearest)
    algorithm.batch_query(rows[:20], 5)
    np.testing.assert_array_equal(algorithm.get_batch_results(), nearest)
    word, value = WORDS[name]
    assert f"{word}={value}" in str(algorithm)


@pytest.mark.parametrize("name", CLASSES)
def test_a_recall_may_be_asked_for_instead(module: ModuleType, name: str) -> None:
    rows = np.random.default_rng(1).standard_normal((300, 8)).astype(np.float32)
    algorithm = getattr(module, name)("euclidean")
    algorithm.fit(rows)
    algorithm.set_query_arguments("recall", 0.9)
    assert algorithm.query(rows[7], 1)[0] == 7


def test_a_metric_that_the_index_lacks_is_refused_the_way_they_expect(module: ModuleType) -> None:
    with pytest.raises(NotImplementedError, match="jaccard"):
        module.VectorloomIVF("jaccard")


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_the_configuration_names_classes_and_arguments_that_exist(folder: str) -> None:
    yaml = pytest.importorskip("yaml")
    text = (ADAPTORS / folder / "config.yml").read_text(encoding="utf-8")
    source = (ADAPTORS / folder / "module.py").read_text(encoding="utf-8")
    entries = yaml.safe_load(text)["float"]["any"]
    assert [entry["constructor"] for entry in entries] == ["VectorloomGraph", "VectorloomIVF"]
    for entry in entries:
        assert f"class {entry['constructor']}(" in source
        assert entry["module"].endswith(".algorithms.vectorloom")
        for group in entry["run_groups"].values():
            asked = group["query_args"]
            names, values = asked.values() if isinstance(asked, dict) else asked
            for name, value in itertools.product(names, values):
                assert name in ("ef", "nprobe", "recall")
                assert value > 0
