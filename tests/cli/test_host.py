# SPDX-License-Identifier: Apache-2.0
"""What doctor knows about a machine, read from files made for the test."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from vectorloom.cli import host


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_no_files_mean_nothing_is_known(tmp_path: Path) -> None:
    assert host.cgroup_cpus(tmp_path) is None
    assert host.memory(tmp_path)["cgroup_limit"] is None


def test_quota_is_the_tightest_of_the_group_and_its_parents(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/cpu.max": "400000 100000\n",
        },
    )
    assert host.cgroup_cpus(root) == 1.5


def test_quota_of_version_1_is_found_under_its_controllers(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/m\n3:cpu,cpuacct:/docker/x\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
        },
    )
    assert host.cgroup_cpus(root) == 2.0


def test_available_memory_is_bounded_by_the_cgroup(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/meminfo": "MemTotal:  8000 kB\nMemAvailable:  6000 kB\n",
            "proc/self/cgroup": "0::/a\n",
            "sys/fs/cgroup/a/memory.max": str(4000 * 1024),
            "sys/fs/cgroup/a/memory.current": str(3000 * 1024),
        },
    )
    assert host.memory(root) == {
        "total": 8000 * 1024,
        "available": 1000 * 1024,
        "cgroup_limit": 4000 * 1024,
    }


def test_unlimited_memory_of_version_1_is_no_limit(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert host.memory(root)["cgroup_limit"] is None


def test_packages_tell_the_pip_line_of_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = [
        "numpy>=1.26",
        'h5py>=3.10; extra == "hdf5"',
        "no-such-package>=1; extra == 'bench'",
        'pytest>=8; extra == "dev"',
        'h5py>=3.10; extra == "dev"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _name: requirements)
    found = {package["name"]: package for package in host.packages()}
    assert list(found) == ["numpy", "h5py", "no-such-package"]
    assert found["numpy"]["extra"] is None
    assert found["numpy"]["install"] is None
    assert found["no-such-package"]["version"] is None
    assert found["no-such-package"]["install"] == 'pip install "vectorloom[bench]"'


@pytest.mark.parametrize(("value", "threads"), [("3", 3), ("4,2", 4), ("", None), ("many", None)])
def test_omp_num_threads_counts_its_first_level(
    value: str, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert host.threads()["omp_num_threads"] == threads
