# SPDX-License-Identifier: Apache-2.0
"""When the machine fails: killed while saving, disk full, folder closed, memory out, Ctrl-C."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import vectorloom as vl

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts of Linux")


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(code: str, *arguments: object) -> str:
    process = child(code, *arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


SAVE_FOREVER = """
import itertools, sys
import numpy as np
import vectorloom as vl
rng = np.random.default_rng(0)
versions = [
    vl.index.Exact(metric="l2", screen=None).fit(np.full((40_000, 16), float(v))) for v in (1, 2)
]
for turn in itertools.count():
    versions[turn % 2].save(sys.argv[1])
    if turn == 1:
        print("ready", flush=True)
"""


def test_killing_a_save_leaves_one_whole_version(tmp_path: Path) -> None:
    path = tmp_path / "index.vl"
    for delay in (0.0, 0.003, 0.011, 0.024):
        process = child(SAVE_FOREVER, path)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.kill()
        process.communicate()
        index = vl.open(path, verify=True)
        assert len(index) == 40_000
        assert set(np.unique(index.get(range(40_000))).tolist()) in ({1.0}, {2.0})


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@linux
def test_a_full_disk_is_an_error_with_the_path_and_the_old_file_is_intact(tiny_disk: Path) -> None:
    path = tiny_disk / "index.vl"
    vl.index.Exact().fit(np.eye(8)).save(path)
    big = vl.index.Exact().fit(np.ones((4000, 64), np.float32))
    with pytest.raises(OSError, match=r"nothing was written.*index\.vl") as caught:
        big.save(path)
    assert caught.value.errno == errno.ENOSPC
    assert [entry.name for entry in tiny_disk.iterdir()] == ["index.vl"]
    assert len(vl.open(path, verify=True)) == 8


FILE_TOO_LARGE = """
import resource, signal, sys
import numpy as np
import vectorloom as vl
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    vl.index.Exact().fit(np.ones((4000, 64), np.float32)).save(sys.argv[1])
except OSError as error:
    print(type(error).__name__, error)
"""


@linux
def test_a_write_that_the_system_cuts_short_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "index.vl"
    vl.index.Exact().fit(np.eye(8)).save(path)
    out = finished(FILE_TOO_LARGE, path)
    assert "nothing was written" in out
    assert "index.vl" in out
    assert [entry.name for entry in tmp_path.iterdir()] == ["index.vl"]
    assert len(vl.open(path, verify=True)) == 8


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that this process may not write to; root lays its rights aside for the test."""
    folder = Path(tempfile.mkdtemp())
    vl.index.Exact().fit(np.eye(8)).save(folder / "index.vl")
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


@linux
def test_a_read_only_folder_is_an_error_and_its_files_can_be_opened(closed_folder: Path) -> None:
    path = closed_folder / "index.vl"
    with pytest.raises(PermissionError, match=r"index\.vl"):
        vl.index.Exact().fit(np.eye(3)).save(path)
    with pytest.raises(PermissionError, match=r"new\.vl"):
        vl.index.Exact().fit(np.eye(3)).save(closed_folder / "new.vl")
    assert [entry.name for entry in closed_folder.iterdir()] == ["index.vl"]
    assert len(vl.open(path)) == 8


OUT_OF_MEMORY = """
import resource
import numpy as np
import vectorloom as vl
from pathlib import Path
x = np.ones((50_000, 100), np.float32)
index = vl.index.Exact(metric="l2", screen=None, n_jobs=1).fit(x)
index.search(x[:2], 3)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (40 << 20), resource.RLIM_INFINITY))
added = 0
try:
    for _ in range(100):
        index.add(x)
        added += 1
except vl.CapacityError as error:
    print("CapacityError", error)
assert len(index) == 50_000 * (added + 1), len(index)
assert index.search(x[:2], 3).ids.tolist() == [[0, 1, 2], [0, 1, 2]]
assert index.ids_[-1] == len(index) - 1
print("still whole")
"""


@linux
def test_memory_running_out_while_growing_leaves_the_index_whole() -> None:
    out = finished(OUT_OF_MEMORY)
    assert out.startswith("CapacityError")
    assert out.endswith("still whole\n")


SEARCH_FOREVER = """
import numpy as np
import vectorloom as vl
rng = np.random.default_rng(0)
x = rng.standard_normal((60_000, 256)).astype(np.float32)
index = vl.index.Exact(metric="l2", screen=None).fit(x)
print("ready", flush=True)
try:
    while True:
        index.search(x, k=10)
except KeyboardInterrupt:
    print("stopped", len(index.search(x[:2]).ids), flush=True)
"""


@linux
def test_ctrl_c_stops_a_search_within_a_second_and_the_index_still_works() -> None:
    process = child(SEARCH_FOREVER)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    start = time.perf_counter()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "stopped 2\n"
    assert time.perf_counter() - start < 3  # a second, and room for a busy machine
    process.communicate()
    assert process.returncode == 0


def test_one_file_serves_many_processes_at_once(tmp_path: Path, rng) -> None:
    x = rng.standard_normal((5000, 32)).astype(np.float32)
    index = vl.index.Exact().fit(x)
    index.save(tmp_path / "index.vl")
    np.save(tmp_path / "x.npy", x[:20])
    code = """
import sys
import numpy as np
import vectorloom as vl
print(vl.open(sys.argv[1] + "/index.vl").search(np.load(sys.argv[1] + "/x.npy")).ids.tolist())
"""
    processes = [child(code, tmp_path) for _ in range(2)]
    want = f"{index.search(x[:20]).ids.tolist()}\n"
    for process in processes:
        assert process.communicate(timeout=60)[0] == want
        assert process.returncode == 0


FORKED = """
import os
import numpy as np
import vectorloom as vl
x = np.random.default_rng(0).standard_normal((5000, 32)).astype(np.float32)
index = vl.index.Exact(n_jobs=2).fit(x)
want = index.search(x[:50]).ids.tolist()
child = os.fork()
if child == 0:
    os._exit(0 if index.search(x[:50]).ids.tolist() == want else 1)
assert os.waitpid(child, 0)[1] == 0
assert index.search(x[:50]).ids.tolist() == want
"""


@linux
def test_a_forked_child_searches_what_its_parent_built() -> None:
    finished(FORKED)


def test_many_threads_may_search_one_index_at_once(rng) -> None:
    x = rng.standard_normal((5000, 24)).astype(np.float32)
    index = vl.index.Exact().fit(x, [f"k{i * 7 % 5000:05d}" for i in rng.permutation(5000)])
    want = index.search(x[:40]).ids.tolist()
    fresh = pickle.loads(pickle.dumps(index))  # its screen is built by whoever searches first
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: fresh.search(x[:40]).ids.tolist(), range(12)))
    assert all(answer == want for answer in answers)
