# SPDX-License-Identifier: Apache-2.0
"""Laws of every command: what goes to which stream, and how a command ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from vectorloom.cli import output
from vectorloom.cli.output import job, plain, to_json
from vectorloom.errors import FormatError, InternalError


def run(error: BaseException | None, *, as_json: bool = False, debug: bool = False) -> Result:
    """Run a command whose body raises `error`."""
    app = typer.Typer()

    @app.command()
    def command() -> None:
        with job(as_json=as_json, debug=debug) as out:
            if error is not None:
                raise error
            if as_json:
                out.document({"answer": 42})
            else:
                out.show("the answer is 42")

    return CliRunner().invoke(app, [])


def test_success_is_0_with_the_answer_alone_on_standard_output() -> None:
    result = run(None)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "the answer is 42\n", "")
    result = run(None, as_json=True)
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {"answer": 42}


def test_failed_job_is_1_with_its_message_on_standard_error_and_no_traceback() -> None:
    result = run(FormatError("a.npy: expected NPY; found text."))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "vectorloom: a.npy: expected NPY; found text.\n"


def test_failed_job_with_json_prints_one_error_object() -> None:
    result = run(FormatError("a.npy: expected NPY; found text."), as_json=True)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "error": {"kind": "FormatError", "message": "a.npy: expected NPY; found text."}
    }
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.npy"), "a.npy: No such file"),
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (MemoryError(), "out of memory"),
        (InternalError("heap is no heap"), "heap is no heap. This is a bug of vectorloom"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero. This is"),
    ],
)
def test_any_exception_ends_in_a_message_that_says_what_to_do(error: Exception, words: str) -> None:
    result = run(error)
    assert result.exit_code == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_lets_the_exception_pass() -> None:
    result = run(FormatError("broken"), debug=True)
    assert isinstance(result.exception, FormatError)


def test_interrupt_is_130_with_one_line() -> None:
    result = run(KeyboardInterrupt())
    assert result.exit_code == 130
    assert (result.stdout, result.stderr) == ("", "vectorloom: interrupted\n")
    result = run(KeyboardInterrupt(), as_json=True)
    assert result.exit_code == 130
    assert json.loads(result.stdout)["error"]["kind"] == "Interrupted"


@pytest.mark.parametrize("error", [typer.Exit(3), typer.BadParameter("odd")])
def test_the_ways_in_which_typer_ends_a_command_are_left_alone(error: Exception) -> None:
    assert run(error).exit_code == (3 if isinstance(error, typer.Exit) else 2)


def test_a_command_may_report_its_failure_inside_its_document() -> None:
    app = typer.Typer()

    @app.command()
    def command() -> None:
        with job(as_json=True) as out:
            out.failed = True
            out.document({"ok": False})

    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"ok": False}


def test_broken_pipe_is_quiet() -> None:
    code = (
        "import typer\nfrom vectorloom.cli.output import job\n"
        "def command():\n"
        "    with job(as_json=True) as out:\n"
        "        for i in range(100_000): out.line({'i': i})\n"
        "typer.run(command)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline()) == {"i": 0}
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(timeout=60) == output.EXIT_BROKEN_PIPE
    assert errors == ""


def test_json_is_strict_and_of_plain_values() -> None:
    data = {
        "nan": float("nan"),
        "inf": np.float32("inf"),
        "array": np.arange(3),
        "scalar": np.float64(0.5),
        "flag": np.bool_(True),
        "path": Path("a") / "b",
        "tuple": (1, None, "é"),
        7: True,
    }
    text = to_json(data)
    assert json.loads(text) == {
        "nan": None,
        "inf": None,
        "array": [0, 1, 2],
        "scalar": 0.5,
        "flag": True,
        "path": "a/b",
        "tuple": [1, None, "é"],
        "7": True,
    }
    assert "é" in text


def test_results_with_to_dict_are_written_as_their_data() -> None:
    class Answer:
        def to_dict(self) -> dict[str, object]:
            return {"mrr": np.float32(0.25)}

    assert plain({"answer": Answer()}) == {"answer": {"mrr": 0.25}}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_survives_any_encoding_of_standard_output(encoding: str) -> None:
    code = (
        "from vectorloom.cli.output import Output\n"
        "Output(as_json=True).line({'id': '\\u2192 \\udc80 caf\\u00e9'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": f"{encoding}:strict", "PYTHONPATH": ":".join(sys.path)},
    )
    assert json.loads(done.stdout.decode(encoding)) == {"id": "→ \udc80 café"}


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_text_survives_a_locale_that_lacks_its_signs(errors: str) -> None:
    code = (
        "from vectorloom.cli.output import job\n"
        "with job(as_json=False) as out: out.show('5 \u00d7 7')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        env={"PYTHONIOENCODING": f"ascii:{errors}", "PYTHONPATH": ":".join(sys.path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"5 ? 7\n", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_full_disk_is_1_with_one_line() -> None:
    code = (
        "import typer\nfrom vectorloom.cli.output import job\n"
        "def command():\n"
        "    with job(as_json=True) as out: out.document({})\n"
        "typer.run(command)\n"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "vectorloom: No space left on device\n"


def test_closed_standard_output_is_1_with_one_line() -> None:
    command = f'"{sys.executable}" -m vectorloom info missing.npy >&-'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("vectorloom: standard output is closed")
    assert done.stderr.count("\n") == 1
