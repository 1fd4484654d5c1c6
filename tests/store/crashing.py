# SPDX-License-Identifier: Apache-2.0
"""Kills a writer again and again and looks at what it left; run by test_faults.py in a process.

    python crashing.py FOLDER KILLS SEED [kinds]

With ``kinds`` each point has a sparse vector and several vectors beside its dense one.

A child writes, deletes, seals, merges, indexes and takes snapshots, and tells each change before it
begins and after it returned; it is killed at a random moment. What the folder then holds must be
the state before or after the change that was under way, the same for all of its rows. Prints one
JSON line with what happened.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

import vectorloom as vl
from vectorloom.store import segment, upkeep, verify

DIM, IDS, TERMS = 16, 400, 30
KINDS = len(sys.argv) > 4 and sys.argv[4] == "kinds"
SHAPE = {"dim": DIM}
if KINDS:
    SHAPE = {
        "fields": {
            "dense": DIM,
            "sparse": {"kind": "sparse", "dim": TERMS},
            "multi": {"kind": "multi", "dim": 4},
        }
    }


def vector(id_, version):
    rng = np.random.default_rng([id_, version])
    return rng.standard_normal(DIM).astype(np.float32)


def more(id_, version):
    """The sparse vector and the several vectors of a point."""
    rng = np.random.default_rng([id_, version, 1])
    weights = np.where(rng.random(TERMS) < 0.2, rng.random(TERMS), 0).astype(np.float32)
    return weights, rng.standard_normal((rng.integers(1, 4), 4)).astype(np.float32)


def vectors(ids, version):
    dense = np.array([vector(i, version) for i in ids])
    if not KINDS:
        return dense
    weights, several = zip(*(more(i, version) for i in ids), strict=True)
    return {"dense": dense, "sparse": np.array(weights), "multi": list(several)}


def assert_vectors(points, state):
    own = points.vectors
    for place, id_ in enumerate(points.ids.tolist()):
        dense = own["dense"] if KINDS else own
        np.testing.assert_array_equal(dense[place], vector(id_, state[id_]))
        if KINDS:
            weights, several = more(id_, state[id_])
            np.testing.assert_array_equal(own["sparse"][[place]].toarray()[0], weights)
            np.testing.assert_array_equal(own["multi"][place], several)


def change(c, rng, version):
    """Yield what is to change, do it, and yield that it is done."""
    steps = ["bulk", "delete", "seal", "compact", "index", "stream", "snapshot"]
    kind = rng.choice(["upsert"] * 6 + steps)
    if kind in ("upsert", "bulk"):
        ids = rng.sample(range(IDS), rng.randint(1, 30) if kind == "upsert" else 300)
        yield ["upsert", version, ids]
        c.upsert(ids, vectors(ids, version), [{"v": version}] * len(ids))
    elif kind == "delete":
        ids = rng.sample(range(IDS), 20)
        yield ["delete", version, ids]
        c.delete(ids)
    else:
        yield ["keep", kind, []]
        if kind == "seal":
            upkeep.seal(c._engine)
        elif kind == "compact":
            upkeep.compact(c._engine, rng.choice([None, build]), fully=rng.random() < 0.3)
        elif kind == "stream":
            upkeep.index_streaming(c._engine, build)
        elif kind == "index":
            upkeep.build_graphs(c._engine, 1, None)
        else:
            target = c.path.with_name("saved")
            if target.exists():
                shutil.rmtree(target.rename(target.with_name("old")))
            c.snapshot(target)
    yield "done"


def build(one):
    one.build_graph(1, None)


def child(folder, seed, version, pipe):
    upkeep.SEAL_ROWS = 256
    segment.GRAPH_MIN_ROWS = 256
    rng = random.Random(seed)
    c = vl.collection(folder, **SHAPE, index=["v"], n_jobs=1)
    os.write(pipe, b'"open"\n')
    while True:
        version += 1
        for word in change(c, rng, version):
            os.write(pipe, json.dumps(word).encode() + b"\n")


def after(state, word):
    kind, version, ids = word
    if kind == "upsert":
        return state | dict.fromkeys(ids, version)
    if kind == "delete":
        return {i: v for i, v in state.items() if i not in ids}
    return state


def replay(state, lines):
    """Return the states that are allowed, the last version, and what was under way."""
    under_way, version = None, 0
    for word in lines:
        if word == "done":
            state, under_way = after(state, under_way), None
        elif word != "open":
            under_way = word
            version = word[1] if isinstance(word[1], int) else version
    allowed = [state] if under_way is None else [state, after(state, under_way)]
    return allowed, version, "idle" if under_way is None else under_way[0:2]


def held(folder, read_only=False):
    began = time.perf_counter()
    with vl.collection(folder, n_jobs=1, read_only=read_only) as c:
        opened = time.perf_counter() - began
        points = c.get(range(IDS), missing="ignore")
        assert c.info()["lost"] == []
        state = {i: p["v"] for i, p, _ in points}
        assert_vectors(points, state)
        assert len(c) == len(state)
        some = list(state.items())[:3]
        for id_, version in some:
            hits = c.search(vector(id_, version), k=1, where={"v": version}, exact=True)
            assert hits.ids[0, 0] == id_
            if KINDS:
                weights, several = more(id_, version)
                hits = c.search(several, k=1, where={"v": version}, field="multi")
                assert hits.ids[0, 0] == id_
                if weights.any():
                    hits = c.search(weights, k=IDS, where={"v": version}, field="sparse")
                    assert id_ in hits.ids[0]
    return state, opened


def one_round(folder, state, seed, version, rng):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            child(folder, seed, version, writing)
        finally:
            os._exit(3)  # an exception: the parent sees that it was not killed
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        # So many changes in, however slow the machine, and then at any moment.
        first = b"".join(pipe.readline() for _ in range(1 + rng.randrange(16)))
        time.sleep(rng.random() ** 2 * 0.1)
        os.kill(pid, signal.SIGKILL)
        rest = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"the writer failed by itself: {status}"
    whole = rest[: rest.rfind(b"\n") + 1]
    lines = [json.loads(line) for line in (first + whole).splitlines()]
    allowed, last, under_way = replay(state, lines)
    report = verify(folder)
    assert report.is_sound, report.problems
    found, opened = held(folder)
    assert found in allowed, (under_way, len(found), [len(each) for each in allowed])
    shutil.rmtree(folder.with_name("old"), ignore_errors=True)
    saved = folder.with_name("saved")
    if saved.exists():
        assert verify(saved).problems == []
    return found, max(version, last), under_way, opened


def main():
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    vl.collection(folder, **SHAPE, index=["v"]).close()
    state, version, slowest, where = {}, 0, 0.0, {}
    for turn in range(kills):
        state, version, under_way, opened = one_round(folder, state, seed + turn, version, rng)
        slowest = max(slowest, opened)
        name = under_way if isinstance(under_way, str) else under_way[0]
        name = under_way[1] if name == "keep" else name
        where[name] = where.get(name, 0) + 1
    left = [p.name for p in folder.parent.iterdir() if p.name not in (folder.name, "saved")]
    print(json.dumps({"kills": kills, "at": where, "slowest_open_s": slowest, "left": left,
                      "points": len(state), "versions": version}))  # fmt: skip


if __name__ == "__main__":
    main()
