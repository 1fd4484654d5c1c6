# SPDX-License-Identifier: Apache-2.0
"""A graph larger than memory: rows left in their file, arrays of the build in files for a while."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import vectorloom as vl
from laws import assert_at_least, assert_at_most
from vectorloom import _core
from vectorloom.index import Graph
from vectorloom.index.dense.graph_memory import code_bytes, least_bytes, mapping_of

N, DIM = 6000, 48


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((N, 8)) @ rng.standard_normal((8, DIM))
    return (x + 0.1 * rng.standard_normal((N, DIM))).astype(np.float32)


@pytest.fixture
def path(rows: np.ndarray, tmp_path: Path) -> Path:
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path / "rows.npy"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def least(metric: str, row_bytes: int = 0) -> int:
    """Bytes with which everything that may be in a file is."""
    dim = DIM + (metric == "ip")
    return least_bytes(N, dim, 48, code_bytes(dim), _core.resolve_jobs(None)) + N * (row_bytes + 32)


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    return dict(vl.io.container.open_container(path).arrays)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_a_limit_changes_where_things_are_and_no_bit(metric, rows, path, scratch, tmp_path) -> None:
    mapped = np.load(path, mmap_mode="r")
    plain = Graph(metric).fit(rows)
    tight = Graph(metric, memory_limit=least(metric)).fit(mapped)
    assert mapping_of(tight._store.values) is not None
    assert not list(scratch.iterdir())
    plain.save(tmp_path / "plain.vl")
    tight.save(tmp_path / "tight.vl")
    one, other = arrays_of(tmp_path / "plain.vl"), arrays_of(tmp_path / "tight.vl")
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    for index in (tight, vl.open(tmp_path / "tight.vl"), tight.copy()):
        hits, truth = index.search(rows[:50] + 0.01, 5), plain.search(rows[:50] + 0.01, 5)
        np.testing.assert_array_equal(hits.ids, truth.ids)
        np.testing.assert_array_equal(hits.scores, truth.scores)


def test_arrays_of_rows_in_memory_go_to_files_too(rows, scratch, monkeypatch) -> None:
    plain = Graph("l2").fit(rows)
    tight = Graph("l2", memory_limit=least("l2", 4 * DIM)).fit(rows)
    np.testing.assert_array_equal(
        plain._graph.core.arrays()["links"], tight._graph.core.arrays()["links"]
    )
    # With room for everything no file is made, and so no folder is needed.
    monkeypatch.setenv("TMPDIR", str(scratch / "none"))
    Graph("l2", memory_limit="1GB").fit(rows)
    with pytest.raises(FileNotFoundError, match="none"):
        Graph("l2", memory_limit=least("l2", 4 * DIM)).fit(rows)


def test_rows_stay_in_their_file_only_where_memory_is_short(rows, path) -> None:
    mapped = np.load(path, mmap_mode="r")
    for limit in (None, "1GB"):
        index = Graph(memory_limit=limit).fit(mapped)
        assert mapping_of(index._store.values) is None
        index.add(rows[:1], [N])
        assert len(index) == N + 1
    index = Graph(memory_limit=least("cosine")).fit(mapped)
    with pytest.raises(vl.ParameterError, match="read-only"):
        index.add(rows[:1])
    twin = index.copy()
    assert mapping_of(twin._store.values) is None
    assert twin.remove([3]) == 1
    assert 3 in index


def test_stored_dtypes_that_a_file_has_stay_there_as_well(rows, tmp_path) -> None:
    np.save(tmp_path / "half.npy", rows.astype(np.float16))
    mapped = np.load(tmp_path / "half.npy", mmap_mode="r")
    index = Graph("l2", dtype="float16", memory_limit=least("l2")).fit(mapped)
    assert mapping_of(index._store.values) is not None
    truth = Graph("l2", dtype="float16").fit(rows.astype(np.float16))
    np.testing.assert_array_equal(index.search(rows[:50]).ids, truth.search(rows[:50]).ids)


def test_rows_behind_a_short_header_are_taken_as_they_lie(rows, tmp_path) -> None:
    (tmp_path / "rows.bin").write_bytes(bytes(12) + rows.tobytes())
    mapped = np.memmap(tmp_path / "rows.bin", np.float32, "r", 12, rows.shape)
    index = Graph("l2", memory_limit=least("l2")).fit(mapped)
    assert mapping_of(index._store.values) is not None
    np.testing.assert_array_equal(index.get([0, N - 1]), rows[[0, -1]])
    truth = Graph("l2").fit(rows).search(rows[:50] + 0.01)
    np.testing.assert_array_equal(index.search(rows[:50] + 0.01).ids, truth.ids)


def test_a_file_that_lost_its_end_is_refused(rows, path) -> None:
    mapped = np.load(path, mmap_mode="r")
    read = vl.read(path)
    index = Graph().fit(rows)
    os.truncate(path, 5000)
    for given in (mapped, read):
        with pytest.raises(vl.FormatError, match=r"rows\.npy: is truncated: it has 5000 bytes"):
            index.fit(given)
    assert len(index) == N
    index.search(rows[:1])
    with pytest.raises(vl.FormatError):
        vl.read(path)


def test_a_limit_that_the_graph_itself_exceeds_is_refused(rows, path) -> None:
    index = Graph().fit(rows[:5000])
    index.memory_limit = "2MB"
    with pytest.raises(vl.CapacityError, match=r"and 1\.\d MiB is the memory_limit\. Map the rows"):
        index.fit(np.load(path, mmap_mode="r"))
    assert len(index) == 5000
    assert index.search(rows[:1], 1).ids[0, 0] == 0
    for bad in ("many", -1, True):
        with pytest.raises(vl.ParameterError, match="memory_limit must be"):
            Graph(memory_limit=bad).fit(rows)


FULL = """
import resource, sys
import numpy as np
import vectorloom as vl
x = np.load(sys.argv[1], mmap_mode="r")
index = vl.index.Graph().fit(np.array(x[:5000]))
index.memory_limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    index.fit(x)
except OSError as error:
    print(len(index), index.search(x[:1], 1).ids[0, 0], error.filename, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="room on disk is taken at once on Linux")
def test_a_disk_without_room_is_said_before_it_is_written(path, scratch) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(least("cosine"))],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.startswith(f"5000 0 {scratch} ")
    assert "MiB is needed there. Set TMPDIR" in done.stdout
    assert not list(scratch.iterdir())


PEAK = """
import sys, threading
from pathlib import Path
import numpy as np
import vectorloom as vl
def anonymous():
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024
x = np.load(sys.argv[1], mmap_mode="r")
vl.index.Graph(exact_below=1, n_jobs=2).fit(np.array(x[:500]))
before, most, end = anonymous(), 0, threading.Event()
def watch():
    global most
    while not end.wait(0.002):
        most = max(most, anonymous())
watcher = threading.Thread(target=watch)
watcher.start()
vl.index.Graph("l2", n_jobs=2, memory_limit=int(sys.argv[2]) or None).fit(x)
end.set()
watcher.join()
print(most - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the anonymous memory of Linux")
def test_memory_stays_below_the_limit_and_the_estimate(tmp_path, scratch) -> None:
    n, dim = 20_000, 24
    x = np.random.default_rng(0).standard_normal((n, dim), dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    limit = least_bytes(n, dim, 48, code_bytes(dim), 2) + 32 * n
    taken = []
    for given in (0, limit):
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(tmp_path / "x.npy"), str(given)],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        taken.append(int(done.stdout))
    said = vl.estimate(n, dim, metric="l2", task="graph", n_jobs=2).peak_bytes
    assert_at_most(taken[0], said, "peak bytes of a build without a limit")
    assert_at_least(taken[0], 0.5 * said, "peak bytes of a build without a limit")
    assert_at_most(taken[1], limit, "peak bytes of a build under a limit")
    assert_at_most(taken[1], 0.6 * taken[0], "peak bytes of a build under a limit")


@pytest.mark.parametrize(("metric", "dim"), [("cosine", 24), ("ip", 64), ("l2", 200)])
def test_estimates_of_memory_and_disk_are_within_ten_percent(metric, dim, tmp_path) -> None:
    x = np.random.default_rng(1).standard_normal((4500, dim), dtype=np.float32)
    index = Graph(metric, degree=24).fit(x)
    index.save(tmp_path / "a.vl")
    job = vl.estimate(4500, dim, metric=metric, task="graph", degree=24)
    size = (tmp_path / "a.vl").stat().st_size
    assert_at_most(abs(job.ram_bytes / index.nbytes_ - 1), 0.1, f"memory at {dim}")
    assert_at_most(abs(job.disk_bytes / size - 1), 0.1, f"disk at {dim}, {size} bytes")
    assert job.peak_bytes > job.ram_bytes
    assert any("memory_limit" in note for note in job.notes)


def test_seconds_of_a_build_are_of_the_right_size(rows) -> None:
    start = time.perf_counter()
    Graph("l2", n_jobs=1).fit(rows)
    seconds = time.perf_counter() - start
    said = vl.estimate(N, DIM, metric="l2", task="graph", n_jobs=1).seconds
    assert_at_least(seconds / said, 0.1, "seconds taken over seconds said")  # others share it
    assert_at_most(seconds / said, 10.0, "seconds taken over seconds said")


def test_an_estimate_of_a_graph_takes_any_size_and_refuses_what_has_no_graph() -> None:
    for n in (0, 1, 2, 100):
        assert vl.estimate(n, 3, task="graph").peak_bytes >= 0
    assert vl.estimate(10_000_000, 96, task="graph").seconds > 60
    with pytest.raises(vl.ParameterError, match="'graph' takes metric"):
        vl.estimate(100, 8, metric="hamming", task="graph")
