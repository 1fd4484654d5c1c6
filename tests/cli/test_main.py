# SPDX-License-Identifier: Apache-2.0
"""Laws of the entry point: it answers at once, and importing it or the package stays light."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import vectorloom as vl
from vectorloom.cli.main import app

HEAVY = ("matplotlib", "pandas", "pyarrow", "rich", "scipy", "sklearn", "torch", "typer")


def vectorloom(
    *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, off-terminal."""
    return subprocess.run(
        [sys.executable, "-m", "vectorloom", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        timeout=120,
    )


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that are loaded after running `code` in a new interpreter."""
    report = (
        "import json, sys; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert modules_after("import vectorloom").isdisjoint(HEAVY)


def test_the_entry_point_imports_typer_and_none_of_our_tools() -> None:
    loaded = modules_after("import vectorloom.cli.main")
    assert "typer" in loaded
    assert loaded.isdisjoint(set(HEAVY) - {"typer"})
    assert "numpy" not in loaded


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["search", "--help"], ["demo", "-h"]])
def test_help_is_0_and_on_standard_output(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "Usage" in result.stdout
    assert result.stderr == ""


def test_every_command_has_a_help_line_a_json_and_a_debug_option() -> None:
    listing = CliRunner().invoke(app, ["--help"]).stdout
    for command in ("demo", "search", "info", "convert", "doctor"):
        assert command in listing
        text = CliRunner().invoke(app, [command, "--help"]).stdout
        assert "--json" in text
        assert "--debug" in text


def test_version_is_the_installed_one() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"vectorloom {vl.__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["info"],
        ["info", "a.npy", "--nonsense"],
        ["search", "a.npy", "b.npy", "-k", "0"],
        ["search", "a.npy", "b.npy", "-k", "ten"],
    ],
)
def test_wrong_usage_is_2_with_nothing_on_standard_output(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage" in result.stderr


def test_no_argument_shows_the_help() -> None:
    done = vectorloom()
    assert done.returncode in (0, 2)  # typer's choice, which changed between its versions
    assert "Usage" in done.stdout + done.stderr


def test_missing_file_is_1_without_traceback() -> None:
    done = vectorloom("info", "no/such/file.npy")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no/such/file.npy" in done.stderr
    assert "Traceback" not in done.stderr
    done = vectorloom("info", "no/such/file.npy", "--json")
    assert done.returncode == 1
    assert "no/such/file.npy" in json.loads(done.stdout)["error"]["message"]


def test_debug_shows_the_traceback() -> None:
    done = vectorloom("info", "no/such/file.npy", "--debug")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
