# SPDX-License-Identifier: Apache-2.0
"""Corpora that go wrong: lines of 100 MB, Ctrl-C, other settings, no file written for nothing."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vectorloom as vl

LINE = 100_000_000

READ = """
import resource, sys
from vectorloom.learn import Corpus
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = Corpus(sys.argv[1]).encode(min_count=1, quiet=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(len(found.words), found.n_tokens, peak * 1024)
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "vectorloom", "learn", "words", *arguments, "--json"]


def test_a_line_of_100_mb_is_read_in_pieces(tmp_path):
    path = tmp_path / "long.txt"
    block = "sea ship sails " * 1_000_000
    with path.open("w") as file:
        for _ in range(LINE // len(block) + 1):
            file.write(block)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True
    )
    words, tokens, peak = map(int, done.stdout.split())
    assert words == 3
    assert tokens == 3_000_000 * (LINE // len(block) + 1)
    # The numbers of the words are 80 MB.
    assert peak < 4 * tokens + 100e6


def test_a_word_of_100_mb_is_no_word(tmp_path):
    path = tmp_path / "glued.txt"
    path.write_text("sea ship " + "x" * LINE + " sea ship\n")
    found = vl.learn.Corpus(path).encode(min_count=1, quiet=True)
    assert sorted(found.words) == ["sea", "ship"]


def test_ctrl_c_leaves_a_checkpoint_that_training_goes_on_from(tmp_path):
    words = [f"w{i}" for i in range(200)]
    draw = random.Random(0)
    text = tmp_path / "text.txt"
    text.write_text("\n".join(" ".join(draw.choices(words, k=20)) for _ in range(500)))
    out, kept = tmp_path / "out.vl", tmp_path / "kept.vl"
    given = command(str(text), "--out", str(out), "--checkpoint", str(kept), "--seed", "1",
                    "--dim", "8", "--jobs", "1")  # fmt: skip
    process = subprocess.Popen(
        [*given, "--epochs", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130, printed
    assert time.monotonic() - began < 5
    assert kept.exists()
    assert not out.exists()
    other = subprocess.run(
        [*given, "--epochs", "3", "--resume"], capture_output=True, text=True, check=False
    )
    assert other.returncode == 1
    assert "another training (epochs: 100000 != 3)" in json.loads(other.stdout)["error"]["message"]


@pytest.mark.parametrize("text", ["", "word word word", "a\nb\na\nb\n", "\0\0"])
def test_nothing_is_written_where_nothing_was_learned(tmp_path, text):
    path, out = tmp_path / "text.txt", tmp_path / "out.vl"
    path.write_text(text)
    given = command(str(path), "--out", str(out), "--min-count", "1")
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error" in json.loads(done.stdout)
    assert list(tmp_path.iterdir()) == [Path(path)]
