# SPDX-License-Identifier: Apache-2.0
"""Block products: each level and the model of the AMX tiles, against exact arithmetic.

Error budget (core/simd/panel/README.md), u = 2**-24: int8 products 0; float32 products
(dim + 2) u sum |q_i x_i|; bfloat16 products 2 (dim + 2) u sum |q_i x_i|.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vectorloom import _core
from vectorloom.errors import ParameterError, ShapeError

kernels = _core.kernels
Array = np.ndarray[Any, Any]

ROWS = 32
GROUPS = (16, 32, 96)  # 64, 128 and 384 int8 dimensions
N_QUERIES = (1, 7, 15, 16, 17, 31, 33, 63, 65)
LEVELS = [*_core.simd_levels()] + (["amx_model"] if "avx512_bf16" in _core.simd_levels() else [])
U = 2.0**-24


def bf16(x: Array) -> Array:
    """float32 whose low half is cut off: exact bfloat16 values."""
    return (x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def as_bytes(x: Array) -> Array:
    return np.ascontiguousarray(x).view(np.uint8).reshape(len(x), -1)


def bf16_bytes(x: Array) -> Array:
    return as_bytes((np.ascontiguousarray(x).view(np.uint32) >> 16).astype(np.uint16))


def codes(rng: np.random.Generator, n: int, groups: int, level: str) -> tuple[Array, Array, Array]:
    """Query codes, row codes and their exact products."""
    top = kernels.panel_query_max(level)
    q = rng.integers(-top, top + 1, (n, 4 * groups)).astype(np.int8)
    x = rng.integers(-127, 128, (ROWS, 4 * groups)).astype(np.int8)
    q[0] = top  # the extremes, where sums could saturate
    x[0] = 127
    x[1] = -127
    return q, x, q.astype(np.int64) @ x.astype(np.int64).T


def run_int8(
    level: str, q: Array, x: Array, head: int, **terms: Array | None
) -> dict[tuple[int, int], float]:
    sums = -128 * q.astype(np.int32)
    arguments = {
        "scale": np.ones(ROWS, np.float32),
        "tail": np.zeros(ROWS, np.float32),
        "bias": None,
        "query_tail": np.zeros(len(q), np.float32),
        "query_bias": None,
        "limit": np.full(len(q), -np.inf, np.float32),
        **terms,
    }
    hits = kernels.panel_filter(
        level,
        "int8",
        as_bytes(q),
        (x.astype(np.int16) + 128).astype(np.uint8),
        head,
        np.ascontiguousarray(sums[:, : 4 * head].sum(axis=1), dtype=np.int32),
        np.ascontiguousarray(sums[:, 4 * head :].sum(axis=1), dtype=np.int32),
        **arguments,
    )
    found = {(i, r): v for i, r, v in hits}
    assert len(found) == len(hits), "a pair was reported twice"
    return found


@pytest.mark.parametrize("panel_level", LEVELS)
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("n", N_QUERIES)
def test_int8_products_are_exact(panel_level: str, groups: int, n: int) -> None:
    q, x, exact = codes(np.random.default_rng([n, groups]), n, groups, panel_level)
    found = run_int8(panel_level, q, x, groups)
    assert len(found) == n * ROWS
    assert all(found[i, r] == np.float32(exact[i, r]) for i, r in found)


@pytest.mark.parametrize("panel_level", LEVELS)
@pytest.mark.parametrize("n", N_QUERIES)
@pytest.mark.parametrize("head", [16, 32, 80])
def test_a_head_changes_no_hit_when_its_bound_holds(panel_level: str, n: int, head: int) -> None:
    q, x, exact = codes(np.random.default_rng([n, head]), n, 96, panel_level)
    tail = np.linalg.norm(x[:, 4 * head :].astype(float), axis=1) * 1.001
    query_tail = np.linalg.norm(q[:, 4 * head :].astype(float), axis=1) * 1.001
    limit = np.quantile(exact, 0.8, axis=1).astype(np.float32)
    found = run_int8(
        panel_level,
        q,
        x,
        head,
        tail=tail.astype(np.float32),
        query_tail=query_tail.astype(np.float32),
        limit=limit,
    )
    expected = {
        (int(i), int(r)): np.float32(exact[i, r]) for i, r in np.argwhere(exact >= limit[:, None])
    }
    assert found == expected


@pytest.mark.parametrize("panel_level", LEVELS)
def test_a_head_bound_rules_rows_out(panel_level: str) -> None:
    q, x, exact = codes(np.random.default_rng(5), 33, 96, panel_level)
    head = q[:, :64].astype(np.int64) @ x[:, :64].astype(np.int64).T
    limit = np.median(head, axis=1).astype(np.float32)
    found = run_int8(panel_level, q, x, 16, limit=limit)  # tails claimed to be nothing
    assert set(found) == {
        (int(i), int(r))
        for i, r in np.argwhere(
            (head.reshape(33, 2, 16) >= limit[:, None, None]).any(2)[:, [0] * 16 + [1] * 16]
        )
        if exact[i, r] >= limit[i]
    }


@pytest.mark.parametrize("panel_level", LEVELS)
def test_scales_and_biases_enter_the_value(panel_level: str) -> None:
    rng = np.random.default_rng(6)
    q, x, exact = codes(rng, 17, 32, panel_level)
    scale = rng.uniform(0.5, 2.0, ROWS).astype(np.float32)
    bias = rng.uniform(-1e4, 1e4, ROWS).astype(np.float32)
    query_bias = rng.uniform(0.5, 2.0, 17).astype(np.float32)
    found = run_int8(panel_level, q, x, 32, scale=scale, bias=bias, query_bias=query_bias)
    value = exact * scale.astype(float) + np.outer(query_bias.astype(float), bias)
    size = np.abs(exact) * scale + np.abs(np.outer(query_bias, bias))
    assert all(abs(found[i, r] - value[i, r]) <= 4 * U * size[i, r] for i, r in found)


@pytest.mark.parametrize("panel_level", LEVELS)
@pytest.mark.parametrize("kind", ["f32", "bf16"])
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("n", N_QUERIES)
def test_float_products_stay_within_their_bound(
    panel_level: str, kind: str, groups: int, n: int
) -> None:
    rng = np.random.default_rng([n, groups])
    dim = groups if kind == "f32" else 2 * groups
    q = bf16(rng.standard_normal((n, dim)))
    x = bf16(rng.standard_normal((ROWS, dim)))
    to_bytes = as_bytes if kind == "f32" else bf16_bytes
    got = np.array(kernels.panel_product(panel_level, kind, to_bytes(q), to_bytes(x)))
    exact = q.astype(float) @ x.astype(float).T
    bound = (dim + 2) * U * (np.abs(q).astype(float) @ np.abs(x).astype(float).T)
    assert (np.abs(got - exact) <= bound * (1 if kind == "f32" else 2)).all()
    limit = np.quantile(exact, 0.7, axis=1).astype(np.float32)
    ones, zeros = np.ones(ROWS, np.float32), np.zeros(ROWS, np.float32)
    hits = kernels.panel_filter(
        panel_level,
        kind,
        to_bytes(q),
        to_bytes(x),
        groups,
        None,
        None,
        ones,
        zeros,
        None,
        np.zeros(n, np.float32),
        None,
        limit,
    )
    assert {(i, r): v for i, r, v in hits} == {
        (int(i), int(r)): got[i, r] for i, r in np.argwhere(got >= limit[:, None])
    }


@pytest.mark.parametrize("panel_level", LEVELS)
@pytest.mark.parametrize("kind", ["f32", "bf16"])
@pytest.mark.parametrize("n", N_QUERIES)
def test_a_product_is_the_same_whatever_else_is_asked(panel_level: str, kind: str, n: int) -> None:
    rng = np.random.default_rng(n)
    dim, n_rows = 64, 10 * ROWS
    to_bytes = as_bytes if kind == "f32" else bf16_bytes
    q = to_bytes(bf16(rng.standard_normal((n, dim))))
    x = to_bytes(bf16(rng.standard_normal((n_rows, dim))))
    together = np.array(kernels.panel_product(panel_level, kind, q, x))
    for i in range(n):
        for first in range(0, n_rows, ROWS):
            alone = kernels.panel_product(panel_level, kind, q[i : i + 1], x[first : first + ROWS])
            np.testing.assert_array_equal(together[i, first : first + ROWS], np.array(alone)[0])


@pytest.mark.parametrize("panel_level", LEVELS)
def test_the_rest_has_a_step_of_its_own(panel_level: str) -> None:
    rng = np.random.default_rng(7)
    q, x, _ = codes(rng, 33, 96, panel_level)
    scale = rng.uniform(0.5, 2.0, ROWS).astype(np.float32)
    rest_scale = (scale * rng.uniform(0.1, 0.9, ROWS)).astype(np.float32)
    rest_weight = rng.uniform(0.1, 0.9, 33).astype(np.float32)
    found = run_int8(
        panel_level,
        q,
        x,
        32,
        scale=scale,
        rest_scale=rest_scale,
        tail=np.full(ROWS, np.inf, np.float32),
        query_tail=np.ones(33, np.float32),
        rest_weight=rest_weight,
    )
    wide, rows = q.astype(np.int64), x.astype(np.int64)
    head = (wide[:, :128] @ rows[:, :128].T) * scale.astype(float)
    rest = (wide[:, 128:] @ rows[:, 128:].T) * np.outer(
        rest_weight.astype(float), rest_scale.astype(float)
    )
    assert len(found) == 33 * ROWS
    size = np.abs(head) + np.abs(rest)
    assert all(abs(found[i, r] - head[i, r] - rest[i, r]) <= 8 * U * size[i, r] for i, r in found)


@pytest.mark.parametrize("panel_level", LEVELS)
@pytest.mark.parametrize("head", [16, 96])
def test_a_mutual_limit_is_the_smaller_of_both_sides(panel_level: str, head: int) -> None:
    rng = np.random.default_rng(8)
    q, x, exact = codes(rng, 33, 96, panel_level)
    limit = np.quantile(exact, 0.9, axis=1).astype(np.float32)
    row_limit = np.quantile(exact, 0.8, axis=0).astype(np.float32)
    weight = rng.choice([0.5, 1.0, 2.0], 33).astype(np.float32)
    offset = rng.integers(-500, 500, 33).astype(np.float32)
    found = run_int8(
        panel_level,
        q,
        x,
        head,
        tail=np.full(ROWS, np.inf if head < 96 else 0.0, np.float32),
        query_tail=np.ones(33, np.float32),
        limit=limit,
        row_limit=row_limit,
        weight=weight,
        offset=offset,
    )
    needed = weight[:, None] * np.minimum(limit[:, None], row_limit[None]) + offset[:, None]
    assert set(found) == {(int(i), int(r)) for i, r in np.argwhere(exact >= needed)}


def test_a_level_the_host_lacks_is_refused() -> None:
    missing = next(s for s in ("neon", "amx") if s not in _core.simd_levels())
    with pytest.raises(ParameterError, match="does not run on this host"):
        kernels.panel_query_max(missing)


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError, match="rows"):
        kernels.panel_product(
            "scalar", "f32", np.zeros((1, 64), np.uint8), np.zeros((3, 64), np.uint8)
        )


def reach_terms(rng: np.random.Generator, n: int, rows: int) -> dict[str, Array]:
    """Positive factors and lengths, of queries and of rows."""
    return {
        "scale": rng.uniform(0.5, 2, rows).astype(np.float32),
        "tail": rng.uniform(0, 9, rows).astype(np.float32),
        "query_tail": rng.uniform(0, 9, n).astype(np.float32),
        "rest_scale": rng.uniform(0.5, 2, rows).astype(np.float32),
        "rest_weight": rng.uniform(0.5, 2, n).astype(np.float32),
    }


@pytest.mark.parametrize("panel_level", LEVELS)
@pytest.mark.parametrize("bound", [True, False])
def test_items_reach_the_highest_of_their_rows_across_panels_and_pairs(
    panel_level: str, bound: bool
) -> None:
    rng = np.random.default_rng(5)
    # One row; a few; up to the end of a panel; over a pair and more; left out; many small ones.
    lengths = [1, 3, 12, 16, 5, 40, 7, 1, 1, 1, 30, 11]
    item_of = np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)
    assert len(item_of) == 4 * ROWS
    item_of[item_of == 4] = -1
    for n in (1, 5, 13, 33):
        parts = [codes(rng, n, 32, panel_level) for _ in range(4)]
        q = parts[0][0]
        x = np.vstack([part[1] for part in parts])
        head, rest = (q[:, a:b].astype(np.int64) @ x[:, a:b].T for a, b in ((0, 64), (64, 128)))
        terms = reach_terms(rng, n, len(x))
        wanted = head * terms["scale"].astype(np.float64)
        if bound:
            wanted += np.outer(terms["query_tail"], terms["tail"]).astype(np.float64)
        else:
            wanted += rest * np.outer(terms["rest_weight"], terms["rest_scale"]).astype(np.float64)
        sums = [
            -128 * q[:, a:b].astype(np.int32).sum(1, dtype=np.int32)
            for a, b in ((0, 64), (64, 128))
        ]
        found = np.array(
            kernels.panel_reach(
                panel_level,
                as_bytes(q),
                (x.astype(np.int16) + 128).astype(np.uint8),
                16,
                bound,
                *sums,
                item_of=item_of,
                n_items=len(lengths),
                **terms,
            )
        )
        for item in range(len(lengths)):
            mine = wanted[:, item_of == item]
            if mine.shape[1] == 0:
                assert np.all(found[:, item] == -np.inf)
            else:
                error = 1e-6 * np.abs(wanted).max()
                np.testing.assert_allclose(found[:, item], mine.max(axis=1), atol=error, rtol=0)
