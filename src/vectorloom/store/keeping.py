# SPDX-License-Identifier: Apache-2.0
"""The background of a collection: one thread seals, another merges segments and builds graphs.

Building takes seconds to minutes, and rows go on coming meanwhile: a thread that did both would let
them pile up, to be scanned by every search.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod

from vectorloom import _core
from vectorloom.errors import CapacityError, VectorloomError
from vectorloom.store import upkeep
from vectorloom.store.engine import Engine
from vectorloom.store.segment import Segment

log = logging.getLogger("vectorloom.store")

_IDLE_S = 1.0
_ASKED_S = 5.0
_TICK_S = 0.25
# Often enough that no commit has to move much out of the log by itself.
_LOG_S = 5.0


class Activity:
    """When a collection was written to and asked last."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._written = time.monotonic()

    def wrote(self) -> None:
        """Tell that there was a commit."""
        self._written = time.monotonic()

    @property
    def idle(self) -> bool:
        """Whether writing pauses."""
        return time.monotonic() - self._written > _IDLE_S

    @property
    def asked(self) -> bool:
        """Whether there are searches that work in the background would slow down."""
        return time.monotonic() - self._engine.searched < _ASKED_S


class _Worker(threading.Thread, ABC):
    """A thread that does one thing after the other while there are any."""

    def __init__(self, name: str, engine: Engine, activity: Activity) -> None:
        super().__init__(name=name, daemon=True)
        self.engine = engine
        self.activity = activity
        self.wake = threading.Event()
        self.stop_asked = False
        self.last_error: str | None = None
        self._life = threading.Lock()
        self._over = False

    @abstractmethod
    def step(self) -> bool:
        """Do one thing that is due; False when there is none."""

    def ask_to_stop(self) -> None:
        """Let nothing more be begun."""
        self.stop_asked = True
        self.wake.set()

    def end(self) -> None:
        """Let what is being done end within a second, and wait for that."""
        self.ask_to_stop()
        if self.ident is None or self is threading.current_thread():
            return
        with self._life:
            if not self._over:
                _core.end_thread(self.ident, True)
        self.join()

    def run(self) -> None:
        """Work until told to stop."""
        try:
            self._work()
        finally:
            with self._life:
                self._over = True
                _core.end_thread(threading.get_ident(), False)  # the number is given to others

    def _work(self) -> None:
        while not self.stop_asked:
            try:
                busy = self.step()
                self.last_error = None
            except KeyboardInterrupt:  # of the core, that `end` asked for
                return
            except Exception as error:
                if self.engine.closed or self.stop_asked:
                    return  # what it was working on was let go
                if not isinstance(error, VectorloomError | OSError | MemoryError):
                    log.exception("upkeep of %s failed", self.engine.folder)
                elif self.last_error != str(error):
                    log.warning("upkeep of %s stopped: %s", self.engine.folder, error)
                self.last_error = str(error)
                busy = False
            if not busy:
                self.wake.wait(5.0 if self.activity.idle else _TICK_S)
                self.wake.clear()


class _Sealer(_Worker):
    """Seals what has come together, and verifies blocks where there is nothing else to do."""

    def __init__(self, engine: Engine, activity: Activity) -> None:
        super().__init__("vectorloom-sealer", engine, activity)
        self._checked = time.monotonic()

    def step(self) -> bool:
        """See the class."""
        engine = self.engine
        with engine.lock:
            fresh = engine.loader.fresh
            full = any(upkeep.is_full(each.schema, each.held) for each in fresh)
            due = full and fresh[0].n >= upkeep.SEAL_AT_LEAST
        if due:
            return upkeep.seal(engine)
        idle = self.activity.idle
        if idle or time.monotonic() - self._checked > _LOG_S:
            engine.checkpoint(thorough=idle)
            self._checked = time.monotonic()
        return idle and self._scrub()

    def _scrub(self) -> bool:
        """Verify one more run of blocks; damage is known before it is asked for."""
        with self.engine.lock:
            segments = self.engine.loader.segments
        for segment in segments:
            found = segment.scrub(64)
            if found is None:
                continue
            if found:
                self.engine.remake()
            return True
        return False


class _Builder(_Worker):
    """Merges segments and builds graphs: all when writing pauses, the needed while it does not."""

    def __init__(
        self, engine: Engine, activity: Activity, n_jobs: int | None, room: int | None
    ) -> None:
        super().__init__("vectorloom-builder", engine, activity)
        self._n_jobs = n_jobs
        self._room = room

    def step(self) -> bool:
        """See the class."""
        if self.activity.idle:
            if upkeep.compact(self.engine, self._build, stop=self._end_if_asked) or self.stop_asked:
                return True
            return upkeep.build_graphs(self.engine, self._jobs(), self._room) > 0
        # While rows stream in and no one asks, a graph would only be built again.
        return self.activity.asked and upkeep.index_streaming(
            self.engine, self._build, self._end_if_asked
        )

    def _build(self, segment: Segment) -> None:
        try:
            segment.build_graph(self._jobs(), self._room)
        except (CapacityError, OSError) as error:  # it is searched whole until there is room
            log.warning("%s", error)

    def _end_if_asked(self) -> None:
        if self.stop_asked:
            raise KeyboardInterrupt

    def _jobs(self) -> int:
        """Return how many threads to take: one is left to searches."""
        allowed: int = _core.resolve_jobs(self._n_jobs)
        return max(1, allowed - 1) if self.activity.asked else allowed


class Keeper:
    """Both threads of one collection.

    Parameters
    ----------
    engine : Engine
    n_jobs : int or None
    room : int or None
    """

    def __init__(self, engine: Engine, n_jobs: int | None, room: int | None) -> None:
        self._activity = Activity(engine)
        self._sealer = _Sealer(engine, self._activity)
        self._builder = _Builder(engine, self._activity, n_jobs, room)

    @property
    def last_error(self) -> str | None:
        """What stopped the upkeep last; None where nothing did."""
        return self._sealer.last_error or self._builder.last_error

    def start(self) -> None:
        """Begin."""
        self._sealer.start()
        self._builder.start()

    def wrote(self) -> None:
        """Tell that there was a commit."""
        self._activity.wrote()
        self._sealer.wake.set()
        self._builder.wake.set()

    def stop(self) -> None:
        """End the threads; a graph that is being built is left and built again another time."""
        self._builder.end()
        self._sealer.ask_to_stop()
        if self._sealer is not threading.current_thread():
            self._sealer.join()
