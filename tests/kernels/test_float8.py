# SPDX-License-Identifier: Apache-2.0
"""Float8 and 16-bit kernels, at every CPU level, against an oracle in plain numpy and torch's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from vectorloom import _core
from vectorloom.errors import ParameterError, ShapeError

FORMATS = ("e4m3", "e5m2")
LARGEST = {"e4m3": 448.0, "e5m2": 57344.0}
SIZES = [1, 7, 15, 16, 17, 31, 33, 63, 65, 97, 384]


@pytest.fixture
def at_level(level: str) -> Iterator[str]:
    """Run everything at one CPU level, and put the old one back."""
    before = _core.simd_level()
    _core.set_simd_level(level)
    yield level
    _core.set_simd_level(before)


def values(format: str) -> np.ndarray:
    """What the 128 codes without sign stand for, from the fields' definition; NaN where none."""
    code = np.arange(128)
    bits, bias = (3, 7) if format == "e4m3" else (2, 15)
    exponent, fraction = code >> bits, (code & ((1 << bits) - 1)) / (1 << bits)
    value = np.where(
        exponent == 0, fraction * 2.0 ** (1 - bias), (1 + fraction) * 2.0 ** (exponent - bias)
    )
    value[value > LARGEST[format]] = np.nan
    return value


def nearest_codes(x: np.ndarray, format: str) -> np.ndarray:
    """Round by looking for the nearest of all values: ties to the even code, clipped, signed."""
    table = values(format)
    table = table[np.isfinite(table)]
    size = np.minimum(np.abs(x.astype(np.float64)), table[-1])
    above = np.searchsorted(table, size)
    below = np.maximum(above - 1, 0)
    up, down = table[above] - size, size - table[below]
    take_below = (down < up) | ((down == up) & (below % 2 == 0))
    code = np.where(take_below, below, above)
    return (code | np.where(np.signbit(x), 0x80, 0)).astype(np.uint8)


def every_float16() -> np.ndarray:
    """All 65,536 float16 patterns as float32, NaN left out."""
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    return x[~np.isnan(x)]


def of_all_sizes(n: int = 50_000) -> np.ndarray:
    """Float32 from 2^-30 to 2^20, halfway points between codes among them."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(n) * 2.0 ** rng.uniform(-30, 20, n)
    table = np.concatenate([values("e4m3")[:-1], values("e5m2")[:-4]])
    halves = (np.sort(table)[1:] + np.sort(table)[:-1]) / 2
    near = [np.nextafter(halves.astype(np.float32), np.float32(t)) for t in (-1e9, 1e9)]
    return np.concatenate([x, halves, -halves, *near]).astype(np.float32)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("inputs", [every_float16, of_all_sizes])
@pytest.mark.usefixtures("at_level")
def test_a_code_is_the_nearest_number_ties_to_even(format: str, inputs) -> None:
    x = inputs()
    assert np.array_equal(_core.float8_encode(x[None], format)[0], nearest_codes(x, format))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.usefixtures("at_level")
def test_codes_are_those_of_torch(format: str) -> None:
    torch = pytest.importorskip("torch")
    kind = {"e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}[format]
    for x in (every_float16(), of_all_sizes()):
        clipped = np.clip(x, -LARGEST[format], LARGEST[format])
        wanted = torch.from_numpy(clipped).to(kind).view(torch.uint8).numpy()
        assert np.array_equal(_core.float8_encode(x[None], format)[0], wanted)
    code = np.arange(256, dtype=np.uint8)
    wanted = torch.from_numpy(code).view(kind).float().numpy()
    assert np.array_equal(_core.float8_decode(code[None], format)[0], wanted, equal_nan=True)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.usefixtures("at_level")
def test_all_256_codes_decode_to_their_definition(format: str) -> None:
    code = np.arange(256, dtype=np.uint8)
    decoded = _core.float8_decode(code[None], format)[0]
    wanted = np.concatenate([values(format), -values(format)])
    finite = np.isfinite(wanted)
    assert np.array_equal(decoded[finite], wanted[finite])
    assert not np.isfinite(decoded[~finite]).any()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.usefixtures("at_level")
def test_encoding_what_was_decoded_gives_the_same_code(format: str) -> None:
    code = np.arange(256, dtype=np.uint8)
    decoded = _core.float8_decode(code[None], format)
    kept = np.isfinite(decoded[0])
    assert np.array_equal(_core.float8_encode(decoded, format)[0][kept], code[kept])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.usefixtures("at_level")
def test_a_larger_number_never_decodes_to_a_smaller_one(format: str) -> None:
    x = np.sort(of_all_sizes())
    decoded = _core.float8_decode(_core.float8_encode(x[None], format), format)[0]
    assert (np.diff(decoded) >= 0).all()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.usefixtures("at_level")
def test_too_large_saturates_and_nan_stays_nan(format: str) -> None:
    x = np.array([[1e30, -1e30, np.inf, -np.inf, np.nan]], np.float32)
    decoded = _core.float8_decode(_core.float8_encode(x, format), format)[0]
    top = LARGEST[format]
    assert decoded[:4].tolist() == [top, -top, top, -top]
    assert np.isnan(decoded[4])


@pytest.mark.parametrize("dim", SIZES)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.usefixtures("at_level")
def test_rows_of_any_length_are_scaled_and_coded_alike(format: str, dim: int) -> None:
    rng = np.random.default_rng(dim)
    x = rng.standard_normal((5, dim)).astype(np.float32)
    scale = (2.0 ** rng.integers(-4, 5, dim)).astype(np.float32)
    codes = _core.float8_encode(x, format, 1 / scale)
    assert np.array_equal(codes, nearest_codes(x / scale, format))
    decoded = _core.float8_decode(codes, format, scale)
    signed = np.concatenate([values(format), -values(format)])
    assert np.array_equal(decoded, (signed[codes] * scale).astype(np.float32))


@pytest.mark.parametrize("dim", SIZES)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.usefixtures("at_level")
def test_scores_are_those_of_decoded_rows_within_rounding(format: str, dim: int) -> None:
    rng = np.random.default_rng(dim)
    scale = (2.0 ** rng.integers(-4, 5, dim)).astype(np.float32)
    x = (rng.standard_normal((9, dim)) * scale).astype(np.float32)
    queries = rng.standard_normal((3, dim)).astype(np.float32)
    codes = _core.float8_encode(x, format, 1 / scale)
    rows = _core.float8_decode(codes, format, scale).astype(np.float64)
    wide = queries.astype(np.float64)
    bound = (-(-dim // 32) + 9) * 2.0**-24
    got = _core.float8_scores(queries, codes, format, "ip", scale)
    assert (np.abs(got - wide @ rows.T) <= bound * (np.abs(wide) @ np.abs(rows).T)).all()
    l2 = ((wide[:, None] - rows[None]) ** 2).sum(-1)
    got = _core.float8_scores(queries, codes, format, "l2", scale)
    assert (np.abs(got + l2) <= 2 * bound * l2 + 1e-30).all()
    lengths = np.linalg.norm(wide, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
    got = _core.float8_scores(queries, codes, format, "cosine", scale)
    assert np.abs(got - wide @ rows.T / lengths).max() <= 4 * bound


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.usefixtures("at_level")
def test_two_byte_casts_round_to_nearest_even(kind: str) -> None:
    x = of_all_sizes(20_001) / 64
    x = x[np.abs(x) < 65_000]
    got = _core.float16_encode(x[None], kind)[0]
    if kind == "float16":
        assert np.array_equal(got, x.astype(np.float16).view(np.uint16))
        assert np.array_equal(_core.float16_decode(got[None], kind)[0], got.view(np.float16))
    else:
        assert np.array_equal(got, _core.kernels.to_bfloat16(x))
        assert np.array_equal(
            _core.float16_decode(got[None], kind)[0].view(np.uint32), got.astype(np.uint32) << 16
        )


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("float16", 65519.0, True),
        ("float16", 65520.0, False),
        ("float16", np.nan, False),
        ("bfloat16", 3.3895e38, True),
        ("bfloat16", 3.4e38, False),
    ],
)
@pytest.mark.usefixtures("at_level")
def test_what_would_become_infinite_is_refused_with_its_row(
    kind: str, value: float, fits: bool
) -> None:
    x = np.ones((700, 33), np.float32)
    x[611, 32] = value
    if fits:
        assert np.isfinite(_core.float16_decode(_core.float16_encode(x, kind), kind)).all()
        return
    with pytest.raises(ParameterError, match="row 611"):
        _core.float16_encode(x, kind)


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
def test_the_number_of_threads_changes_no_bit(n_jobs: int) -> None:
    x = np.random.default_rng(0).standard_normal((3000, 97)).astype(np.float32)
    codes = _core.float8_encode(x, "e4m3", n_jobs=n_jobs)
    assert np.array_equal(codes, _core.float8_encode(x, "e4m3", n_jobs=1))
    for metric in ("ip", "l2", "cosine"):
        got = _core.float8_scores(x[:4], codes, "e4m3", metric, n_jobs=n_jobs)
        assert np.array_equal(got, _core.float8_scores(x[:4], codes, "e4m3", metric, n_jobs=1))


@pytest.mark.parametrize("dim", SIZES)
@pytest.mark.usefixtures("at_level")
def test_the_end_of_the_memory_is_not_read_past(dim: int) -> None:
    codes = np.arange(3 * dim).astype(np.uint8) % 127
    fenced = _core.kernels.guarded_copy(codes).reshape(3, dim)
    codes = codes.reshape(3, dim)
    q = np.ones((1, dim), np.float32)
    want = _core.float8_scores(q, codes, "e4m3", "ip")
    assert np.array_equal(_core.float8_scores(q, fenced, "e4m3", "ip"), want)
    want = _core.float8_decode(codes, "e4m3")
    assert np.array_equal(_core.float8_decode(fenced, "e4m3"), want)


def test_no_rows_give_no_codes() -> None:
    empty = np.empty((0, 8), np.float32)
    assert _core.float8_encode(empty, "e4m3").shape == (0, 8)
    assert _core.float16_encode(empty, "float16").shape == (0, 8)


def test_unknown_words_and_wrong_shapes_are_refused() -> None:
    x = np.ones((2, 4), np.float32)
    codes = np.ones((2, 4), np.uint8)
    with pytest.raises(ParameterError, match="e4m3 e5m2"):
        _core.float8_encode(x, "e3m4")
    with pytest.raises(ShapeError, match="one a dimension"):
        _core.float8_encode(x, "e4m3", np.ones(3, np.float32))
    with pytest.raises(ShapeError, match="another dimension"):
        _core.float8_scores(np.ones((1, 5), np.float32), codes, "e4m3", "ip")
    with pytest.raises(ParameterError, match="cosine ip l2"):
        _core.float8_scores(x, codes, "e4m3", "dot")
    with pytest.raises(ParameterError, match="float16 bfloat16"):
        _core.float16_encode(x, "half")
