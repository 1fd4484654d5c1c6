# SPDX-License-Identifier: Apache-2.0
"""Laws of `vectorloom doctor`: it tells what is used and why, and never hides a fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from vectorloom import _core
from vectorloom.cli import doctor as module
from vectorloom.cli.main import app


def doctor(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: the CPU level is chosen once for each."""
    clean = {k: v for k, v in os.environ.items() if k not in ("VECTORLOOM_SIMD", "OMP_NUM_THREADS")}
    return subprocess.run(
        [sys.executable, "-m", "vectorloom", "doctor", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=clean | environment,
        timeout=120,
    )


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    done = doctor("--json")
    assert (done.returncode, done.stderr) == (0, "")
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def test_a_sound_machine_is_ok_and_its_answers_are_those_of_numpy(report: dict[str, Any]) -> None:
    assert report["ok"] is True
    assert report["problems"] == []
    assert report["self_test"]["passed"] is True
    assert report["self_test"]["seconds"] < 1.0


def test_levels_are_those_of_the_core_and_the_best_is_in_force(report: dict[str, Any]) -> None:
    assert report["cpu"]["levels"] == list(_core.simd_levels())
    assert report["cpu"]["level"] == report["cpu"]["levels"][-1]
    assert report["cpu"]["forced_by"] is None
    assert report["cpu"]["kernels"] == _core.kernel_levels()


def test_versions_and_packages_are_listed(report: dict[str, Any]) -> None:
    assert report["versions"]["python"].startswith("3.")
    names = {package["name"] for package in report["packages"]}
    assert {"numpy", "scipy", "torch", "h5py"} <= names
    for package in report["packages"]:
        assert (package["version"] is None) == (package["install"] is not None)


def test_threads_are_bounded_by_what_is_listed(report: dict[str, Any]) -> None:
    threads = report["threads"]
    bounds = [threads["affinity"], threads["cgroup_quota"], threads["omp_num_threads"]]
    assert 1 <= threads["allowed"] <= threads["cpus"]
    assert threads["allowed"] <= min(bound for bound in bounds if bound is not None) + 1


def test_people_read_the_same_in_text() -> None:
    done = doctor()
    assert done.returncode == 0
    for word in ("CPU", "Threads", "Memory", "Packages", "Self-test", "equals NumPy"):
        assert word in done.stdout


def test_a_forced_level_is_in_force_and_warned_about(report: dict[str, Any]) -> None:
    done = doctor("--json", VECTORLOOM_SIMD="scalar")
    forced = json.loads(done.stdout)
    assert done.returncode == 0
    assert (forced["cpu"]["level"], forced["cpu"]["forced_by"]) == ("scalar", "VECTORLOOM_SIMD")
    if len(report["cpu"]["levels"]) > 1:
        assert any("unset VECTORLOOM_SIMD" in warning for warning in forced["warnings"])


def test_a_level_that_is_none_is_a_clear_error_and_the_rest_is_still_told() -> None:
    done = doctor(VECTORLOOM_SIMD="nonsense")
    assert done.returncode == 1
    assert "nonsense" in done.stdout
    assert "Memory" in done.stdout
    assert done.stderr.startswith("vectorloom: ")
    assert "'nonsense'; expected one of" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    done = doctor("--json", VECTORLOOM_SIMD="nonsense")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert found["error"]["kind"] == "ParameterError"
    assert "nonsense" in found["error"]["message"]


def test_threads_kept_idle_and_mistyped_settings_are_warned_about() -> None:
    done = doctor("--json", OMP_NUM_THREADS="1", VECTORLOOM_SIMDS="avx2")
    found = json.loads(done.stdout)
    assert found["threads"]["allowed"] == 1
    warnings = " ".join(found["warnings"])
    assert "VECTORLOOM_SIMDS is set" in warnings
    if found["threads"]["affinity"] > 1:
        assert "OMP_NUM_THREADS=1 keeps" in warnings


def test_wrong_answers_are_a_problem_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = module._truths

    def other(*arrays: Any) -> dict[str, Any]:
        return {metric: -values for metric, values in honest(*arrays).items()}

    monkeypatch.setattr(module, "_truths", other)
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["self_test"]["passed"] is False
    assert "differs from NumPy for cosine, ip, l2" in report["error"]["message"]


def test_tiles_that_the_system_withholds_are_warned_about() -> None:
    cpu = {"levels": ["scalar", "avx512"], "level": "avx512", "forced_by": None}
    (warning,) = module._cpu_warnings(cpu, frozenset({"amx_tile"}))
    assert "AMX" in warning
    assert module._cpu_warnings(cpu, frozenset()) == []
