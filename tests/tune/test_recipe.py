# SPDX-License-Identifier: Apache-2.0
"""A recipe is plain text that means one index; what cannot be built is refused with the reason."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vectorloom as vl
from vectorloom.errors import ParameterError
from vectorloom.tune.recipe import Recipe


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("scan", "float32 | scan"),
        ("f16|scan,screen=False", "float16 | scan,screen=False"),
        ("int4 | ivf", "int4 | ivf"),
        ("ivf:100,spill=True,nprobe=7", "float32 | ivf:100,spill=True,nprobe=7"),
        ("bf16 | graph:48,recall=0.97", "bfloat16 | graph:48,recall=0.97"),
        (
            "pca:160 | f16 | graph:64 | rerank:f16",
            "pca:160 | float16 | graph:64 | rerank:float16,depth=4",
        ),
        ("pca:64 | pca:32 | int8 | scan", "pca:64 | pca:32 | int8 | scan"),
        ("lvq:4x8 | scan | rerank:int8,depth=9", "lvq:4x8 | scan | rerank:int8,depth=9"),
    ],
)
def test_text_comes_back_in_one_form(text: str, want: str) -> None:
    recipe = Recipe.parse(text)
    assert str(recipe) == want
    assert Recipe.parse(str(recipe)) == recipe
    assert Recipe.parse(recipe) is recipe


def test_parts_and_text_mean_the_same() -> None:
    parts = vl.Recipe(reduce="pca:16", code="f16", route="graph:32,ef=50", rerank="f32,depth=2")
    assert parts == Recipe.parse("pca:16 | float16 | graph:32,ef=50 | rerank:float32,depth=2")
    assert (parts.kind, parts.effort, parts.depth) == ("graph", {"ef": 50}, 2)
    assert parts.settings == {"degree": 32}


def test_effort_is_no_part_of_what_is_built() -> None:
    recipe = Recipe.parse("float16 | graph:32,recall=0.9 | rerank:float16,depth=7")
    assert recipe.built == recipe.with_effort(recall=0.5, depth=2).built
    assert str(recipe.with_effort(ef=9)).count("recall") == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a recipe is text"),
        (7, "a recipe is text"),
        ("graph:0", "degree"),
        ("graph:32,nprobe=3", "graph has no parameter 'nprobe'"),
        ("ivf,recall=0.9,nprobe=3", "two efforts"),
        ("scan:4", "takes no number"),
        ("graph:48 | float16", "wrong place"),
        ("float16 | int8 | scan", "wrong place"),
        ("lvq:4 | graph:48", "graph does not search"),
        ("uint8 | ivf", "ivf does not search 'uint8'"),
        ("pca:8 | uint8 | scan", "no whole numbers"),
        ("nonsense | scan", "no step of a recipe"),
        ("scan | rerank:pq", "rerank is one of"),
        ("scan | rerank:f16,depth=0", "depth"),
        ("scan,screen", "name=value"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(text: object, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        Recipe.parse(text)


@pytest.mark.parametrize(
    "first",
    [
        "import vectorloom.tune",
        "import vectorloom.tune.recipe",
        "from vectorloom.tune.plan import Plan",
        "import vectorloom; vectorloom.tune",
        "from vectorloom import tune",
        "import vectorloom; vectorloom.Recipe",
    ],
)
def test_the_room_stays_callable_whatever_is_imported_first(first: str) -> None:
    code = f"""{first}
import inspect
import vectorloom as vl
import vectorloom.tune.recipe, vectorloom.tune.search
assert callable(vl.tune)
assert "recall" in inspect.signature(vl.tune).parameters
assert "time_limit : float" in inspect.getdoc(vl.tune)
assert vl.tune.Recipe is vl.Recipe
"""
    subprocess.run([sys.executable, "-c", code], check=True)
