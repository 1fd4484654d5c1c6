# SPDX-License-Identifier: Apache-2.0
"""What happens to collections: power, full disks, read-only disks, flipped bits, lost files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vectorloom as vl
from vectorloom.errors import CapacityError, FormatError, ParameterError
from vectorloom.store import repair, segment, segment_file, upkeep, verify

DIM = 16


def vectors(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


@pytest.fixture
def quiet(caplog):
    caplog.set_level("CRITICAL", "vectorloom.store")
    return caplog


def sealed(folder, n=400, graph=False):
    """A collection of n sealed points, closed; return its segment file."""
    x = vectors(n)
    with vl.collection(folder, DIM, index=["n"]) as c:
        c.upsert(range(n), x, payloads=[{"n": i} for i in range(n)])
        upkeep.seal(c._engine)
        if graph:
            upkeep.build_graphs(c._engine, 1, None)
    (file,) = (folder / "segments").iterdir()
    return x, file


def flip(file: Path, at: int):
    data = bytearray(file.read_bytes())
    data[at] ^= 0x10
    file.write_bytes(data)


# ---- kill -9 -------------------------------------------------------------------------------------


def killed(tmp_path, kills, seed, *kinds):
    script = Path(__file__).with_name("crashing.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "c"), str(kills), str(seed), *kinds],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
        env=os.environ | {"VECTORLOOM_PROGRESS": "off"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    print(report)
    return report


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children that it forks")
def test_a_killed_writer_leaves_every_write_whole(tmp_path):
    assert killed(tmp_path, 20, 11)["kills"] == 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children that it forks")
def test_a_killed_writer_of_fields_of_all_kinds_leaves_every_write_whole(tmp_path):
    assert killed(tmp_path, 15, 5, "kinds")["kills"] == 15


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "kinds"), [(1000, ()), (400, ("kinds",))])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children that it forks")
def test_a_thousand_kills_leave_every_write_whole(tmp_path, kills, kinds):
    report = killed(tmp_path, kills, 5000, *kinds)
    assert {"upsert", "seal", "compact", "index", "stream", "snapshot"} <= set(report["at"])
    assert report["slowest_open_s"] < 2.0


# ---- full and read-only disks --------------------------------------------------------------------


def test_a_full_database_refuses_the_batch_and_keeps_the_rest(folder):
    with vl.collection(folder, DIM) as c:
        c.upsert(range(100), vectors(100))
        pages = c._engine.db.execute("PRAGMA page_count").fetchone()[0]
        c._engine.db.execute(f"PRAGMA max_page_count = {pages + 4}")
        with pytest.raises(CapacityError, match="disk is full"):
            c.upsert(range(100, 5000), vectors(4900))
        assert len(c) == 100
        assert c.search(vectors(1)[0], k=1).ids.tolist() == [[0]]
        c._engine.db.execute("PRAGMA max_page_count = 1000000")
        c.upsert(range(100, 5000), vectors(4900))
        assert len(c) == 5000
    assert verify(folder).problems == []


def test_a_disk_that_fills_up_while_sealing_changes_nothing(folder, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    with vl.collection(folder, DIM) as c:
        c.upsert(range(100), vectors(100))
        monkeypatch.setattr(segment_file.os, "fsync", full)
        with pytest.raises(CapacityError, match="disk is full"):
            upkeep.seal(c._engine)
        with pytest.raises(CapacityError, match="disk is full"):
            c.snapshot(folder.parent / "saved")
        monkeypatch.undo()
        assert list((folder / "segments").iterdir()) == []
        assert not (folder.parent / "saved").exists()
        assert len(c) == 100
        upkeep.seal(c._engine)
    assert verify(folder).problems == []


def _mounted(path, size):
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    try:
        return subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def test_a_small_disk_that_fills_up_and_is_then_read_only(tmp_path):
    disk = tmp_path / "disk"
    if not _mounted(disk, "2m"):
        pytest.skip("may not mount a small file system here")
    try:
        c = vl.collection(disk / "c", DIM)
        stored = 0
        full = None
        while full is None and stored < 100_000:
            try:
                stored += c.upsert(range(stored, stored + 500), vectors(500, stored))
            except (CapacityError, OSError) as error:
                full = error
        assert "full" in str(full)
        assert 0 < stored < 100_000
        assert len(c) == stored
        assert c.search(vectors(500, 0)[3], k=1).ids.tolist() == [[3]]
        c.close()
        with vl.collection(disk / "c", read_only=True) as again:
            assert len(again) == stored
        assert verify(disk / "c").is_sound
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True, capture_output=True)
        with vl.collection(disk / "c", read_only=True) as again:
            assert len(again) == stored
        with pytest.raises(OSError, match=r"read-only|Read-only"):
            vl.collection(disk / "c")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False, capture_output=True)


# ---- flipped bits and lost files -----------------------------------------------------------------


def test_a_flipped_bit_in_a_segment_is_contained_to_its_block(folder, quiet, monkeypatch):
    monkeypatch.setattr(segment_file, "_BLOCK_BYTES", 64 * DIM * 4)
    x, file = sealed(folder)
    with vl.collection(folder) as c:
        saved = c.snapshot(folder.parent / "saved")
        layout = c._engine.loader.segments[0].record.layout
    flip(file, layout["vectors"] + 130 * DIM * 4 + 3)  # row 130: block 2, rows 128 to 191
    report = verify(folder)
    assert [(p.kind, p.ids) for p in report.problems] == [("block", tuple(range(128, 192)))]
    assert not report.is_sound
    with vl.collection(folder) as c:
        assert c.search(x[7], k=1).ids.tolist() == [[7]]
        hits = c.search(x[130], k=400)
        assert hits.counts.tolist() == [336]
        assert not np.isin(hits.ids, np.arange(128, 192)).any()
        assert c.get([100, 300]).ids.tolist() == [100, 300]
        with pytest.raises(FormatError, match="block 2 differs from its checksum"):
            c.get([130])
        assert c.info()["segments"][0]["damaged_blocks"] == [2]
        c.upsert([500], x[:1])
    with pytest.raises(ParameterError, match="64 points are lost, first 128"):
        repair(folder)
    done = repair(folder, saved)
    assert (done["restored"], done["dropped"]) == (64, [])
    assert verify(folder).problems == []
    with vl.collection(folder) as c:
        np.testing.assert_array_equal(c.get(range(400)).vectors, x)
        assert c.get([130]).payloads == [{"n": 130}]
        assert len(c) == 401


def test_without_a_snapshot_damaged_points_go_by_name(folder, quiet):
    _, file = sealed(folder)
    with vl.collection(folder) as c:
        layout = c._engine.loader.segments[0].record.layout
    flip(file, layout["vectors"])
    done = repair(folder, drop=True)
    assert done["dropped"] == list(range(400))  # one block
    assert verify(folder).problems == []
    with vl.collection(folder) as c:
        assert len(c) == 0
        c.upsert([1], vectors(1))
        assert c.search(vectors(1)[0], k=1).ids.tolist() == [[1]]


@pytest.mark.parametrize("fault", ["missing", "ids", "short"])
def test_a_lost_segment_is_named_and_the_rest_serves(folder, quiet, fault):
    x, file = sealed(folder)
    with vl.collection(folder) as c:
        saved = c.snapshot(folder.parent / "saved")
        layout = c._engine.loader.segments[0].record.layout
        c.upsert([1000], vectors(1, 9))
    if fault == "missing":
        file.unlink()
    elif fault == "short":
        os.truncate(file, layout["size"] - 9)
    else:
        flip(file, layout["ids"] + 8)
    report = verify(folder)
    assert {p.kind for p in report.problems} == {"segment", "points"}
    with vl.collection(folder, read_only=True) as c:
        assert c.search(x[0], k=3).ids[0].tolist() == [1000, -1, -1]
        assert file.name in c.info()["lost"][0]
    done = repair(folder, saved)
    assert done["restored"] == 400
    assert verify(folder).problems == []
    with vl.collection(folder) as c:
        np.testing.assert_array_equal(c.get(range(400)).vectors, x)


@pytest.mark.parametrize("where", [30, 0.6])
def test_a_damaged_graph_is_noticed_and_built_again(folder, quiet, monkeypatch, where):
    monkeypatch.setattr(segment, "GRAPH_MIN_ROWS", 256)
    x, _ = sealed(folder, graph=True)
    (graph,) = (folder / "derived").iterdir()
    size = graph.stat().st_size
    flip(graph, int(where * size) if isinstance(where, float) else where % size)
    report = verify(folder)
    assert [p.kind for p in report.problems] == ["graph"]
    assert report.is_sound
    with vl.collection(folder) as c:
        assert c.search(x[5], k=1).ids.tolist() == [[5]]
        c.optimize()
        assert c.info()["segments"][0]["graph"]
        assert "walk" in c.search(x[5], k=1, explain=True).plan[0]
    assert verify(folder).problems == []


def notices(folder):
    try:
        return not verify(folder).is_sound
    except FormatError as error:
        return "damaged" in str(error)


@pytest.mark.parametrize("at", [5, 2 * 8192])  # the head, and that of the third page
def test_a_damaged_database_is_noticed(folder, quiet, at):
    sealed(folder)
    database = folder / "collection.db"
    spoiled = bytearray(database.read_bytes())
    spoiled[at : at + 60] = b"\xff" * 60
    database.write_bytes(spoiled)
    assert notices(folder)


def test_files_of_a_killed_writer_are_removed(folder):
    sealed(folder)
    stray = folder / "segments" / ".abc.arrow.tmp"
    stray.write_bytes(b"x")
    assert [p.kind for p in verify(folder).problems] == ["stray"]
    vl.collection(folder).close()
    assert not stray.exists()


def test_a_newer_format_is_refused(folder):
    import sqlite3

    sealed(folder)
    db = sqlite3.connect(folder / "collection.db")
    db.execute("UPDATE state SET format = 99")
    db.commit()
    db.close()
    with pytest.raises(FormatError, match="version 99"):
        vl.collection(folder)


def test_compaction_gives_disk_back(folder):
    with vl.collection(folder, DIM) as c:
        c.upsert(range(4000), vectors(4000))
        c.optimize()
        before = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        c.delete(range(200, 4000))
        c.optimize()
    after = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    assert after < 0.5 * before
