# SPDX-License-Identifier: Apache-2.0
"""Inverted lists larger than memory: rows left in their file, and what a build says it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vectorloom as vl
from laws import assert_at_least, assert_at_most
from vectorloom.errors import CapacityError, FormatError, ParameterError
from vectorloom.index import IVF
from vectorloom.index.dense.graph_memory import mapping_of

N, DIM = 6000, 48
ROOMY = "1GB"


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((N, 8)) @ rng.standard_normal((8, DIM))
    return (x + 0.1 * rng.standard_normal((N, DIM))).astype(np.float32)


@pytest.fixture
def path(rows: np.ndarray, tmp_path: Path) -> Path:
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path / "rows.npy"


def tight(metric: str) -> int:
    """A limit that leaves no room for the rows."""
    return IVF(metric, n_jobs=1)._least_bytes(N, DIM, spill=True)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_a_limit_changes_where_rows_are_and_no_answer(metric, rows, path, tmp_path) -> None:
    mapped = np.load(path, mmap_mode="r")
    plain = IVF(metric, n_jobs=1).fit(rows)
    index = IVF(metric, n_jobs=1, memory_limit=tight(metric)).fit(mapped)
    assert mapping_of(index._store.values) is not None
    assert index._store.on_disk
    index.save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl")
    back = IVF(metric, n_jobs=1, memory_limit=ROOMY).fit(mapped)
    assert mapping_of(back._store.values) is None
    queries = rows[:200] + 0.01
    radius = float(plain.search(queries, 20).distances[:, -1].mean())
    for twin in (index, opened, back, index.copy()):
        for k in (1, 10, 50):
            found, expected = twin.search(queries, k), plain.search(queries, k)
            np.testing.assert_array_equal(found.ids, expected.ids)
            np.testing.assert_array_equal(found.scores, expected.scores)
        near, expected_near = (
            twin.range_search(queries, radius),
            plain.range_search(queries, radius),
        )
        np.testing.assert_array_equal(near.ids, expected_near.ids)
        np.testing.assert_array_equal(near.lims, expected_near.lims)


def test_an_opened_file_beyond_the_limit_has_its_codes_in_memory(rows, path, tmp_path) -> None:
    index = IVF("l2", memory_limit=tight("l2")).fit(np.load(path, mmap_mode="r"))
    index.save(tmp_path / "a.vl")
    opened = vl.open(tmp_path / "a.vl")
    assert not opened._store.on_disk  # the whole file is less than the limit
    index.set_params(memory_limit=index._store.values.nbytes)
    index.save(tmp_path / "b.vl")
    opened = vl.open(tmp_path / "b.vl")
    assert opened._store.on_disk
    arrays = opened._lists.core.arrays()
    assert mapping_of(opened._store.values) is not None
    assert mapping_of(arrays["head"]) is None
    expected = index.search(rows[:50] + 0.01, 10)
    np.testing.assert_array_equal(opened.search(rows[:50] + 0.01, 10).ids, expected.ids)
    with pytest.raises(ParameterError, match="read-only"):
        opened.add(rows[:1])
    opened.copy().add(rows[:1])


def test_where_two_places_do_not_fit_a_row_stands_at_one(rows, path) -> None:
    # Few lists: otherwise it is k-means that takes the most, at one place as at two.
    limit = IVF("l2", n_lists=16)._least_bytes(N, DIM, spill=False)
    assert limit < IVF("l2", n_lists=16)._least_bytes(N, DIM, spill=True)
    index = IVF("l2", n_lists=16, memory_limit=limit).fit(np.load(path, mmap_mode="r"))
    assert "other" not in index._lists.core.arrays()
    truth = index.search(rows[:100] + 0.01, 10, exact=True)
    found = index.search(rows[:100] + 0.01, 10)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, truth.ids, strict=True)]) > 0.94


def test_codes_alone_need_the_file_for_the_build_only(rows, path) -> None:
    index = IVF("l2", rerank=False, memory_limit=IVF("l2", rerank=False)._least_bytes(
        N, DIM, spill=False)).fit(np.load(path, mmap_mode="r"))  # fmt: skip
    path.unlink()
    plain = IVF("l2", rerank=False).fit(rows)
    found, expected = index.search(rows[:100], 10), plain.search(rows[:100], 10)
    np.testing.assert_array_equal(found.ids, expected.ids)
    index.add(rows[:5])
    assert len(index) == N + 5


def test_a_limit_that_codes_exceed_and_a_short_file_are_refused(rows, path) -> None:
    mapped = np.load(path, mmap_mode="r")
    with pytest.raises(CapacityError, match=r"lists of 6,000 rows .* memory_limit"):
        IVF("l2", memory_limit="1MB").fit(mapped)
    with pytest.raises(CapacityError, match="Map the rows from a file"):
        IVF("l2", memory_limit=tight("l2")).fit(rows)  # which are in no file
    with pytest.raises(ParameterError, match="memory_limit"):
        IVF("l2", memory_limit="much").fit(rows)
    with path.open("r+b") as file:
        file.truncate(2000)
    with pytest.raises(FormatError, match="truncated"):
        IVF("l2", memory_limit=tight("l2")).fit(mapped)


@pytest.mark.parametrize(
    ("metric", "dim", "rerank"), [("cosine", 384, True), ("l2", 200, True), ("ip", 256, False)]
)
def test_estimates_of_memory_and_disk_are_close(metric, dim, rerank, tmp_path) -> None:
    rng = np.random.default_rng(1)
    spectrum = np.arange(1, dim + 1) ** -0.5
    x = (rng.standard_normal((4500, dim)) * spectrum).astype(np.float32)
    index = IVF(metric, rerank=rerank).fit(x)
    index.save(tmp_path / "a.vl")
    job = vl.estimate(4500, dim, metric=metric, task="ivf", rerank=rerank)
    size = (tmp_path / "a.vl").stat().st_size
    slack = 0.1 if rerank else 0.25  # how long codes of four bits are depends on the rows
    assert_at_most(abs(job.ram_bytes / index.nbytes_ - 1), slack, f"memory at {dim}")
    assert_at_most(abs(job.disk_bytes / size - 1), slack, f"disk at {dim}, {size} bytes")
    assert job.peak_bytes > job.ram_bytes
    assert job.seconds > 0.0
    with pytest.raises(ParameterError, match="task='ivf' takes"):
        vl.estimate(4500, dim, metric="hamming", task="ivf")


PEAK = """
import sys, threading
from pathlib import Path
import numpy as np
import vectorloom as vl
def anonymous():
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024
x = np.load(sys.argv[1], mmap_mode="r")
vl.index.IVF("l2", n_jobs=1).fit(np.array(x[:5000]))
before, most, end = anonymous(), 0, threading.Event()
def watch():
    global most
    while not end.wait(0.002):
        most = max(most, anonymous())
watcher = threading.Thread(target=watch)
watcher.start()
vl.index.IVF("l2", n_jobs=1, memory_limit=int(sys.argv[2]) or None).fit(x)
end.set()
watcher.join()
print(most - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the anonymous memory of Linux")
def test_memory_stays_below_the_limit_and_the_estimate(tmp_path) -> None:
    n, dim = 80_000, 64
    x = np.random.default_rng(0).standard_normal((n, dim), dtype=np.float32)
    np.save(tmp_path / "x.npy", x * np.arange(1, dim + 1, dtype=np.float32) ** -0.5)
    limit = IVF("l2")._least_bytes(n, dim, spill=True)
    for given in (0, limit):
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(tmp_path / "x.npy"), str(given)],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        said = vl.estimate(
            n, dim, metric="l2", task="ivf", n_jobs=1, memory_limit=given or None
        ).peak_bytes
        taken = int(done.stdout)
        assert_at_most(taken, said, f"peak bytes of a build, limit {given}")
        assert_at_least(taken, 0.2 * said, f"peak bytes of a build, limit {given}")
        assert_at_most(taken, given or said, "peak bytes of a build under a limit")
