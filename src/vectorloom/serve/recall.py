# SPDX-License-Identifier: Apache-2.0
"""Live recall: a share of the real queries is asked again, exactly, in the background.

    r_i    = |answered ∩ true| / |true|             of one query, at the commit it was answered at
    p      = mean of the last 1,000 r_i
    low, high = Wilson's interval of p with n = number of queries, z = 1.96

A query is the unit: its hits stand or fall together. As 0 ≤ r ≤ 1, the variance of r is at most
p (1 − p), so the interval is that of a coin as uneven and holds at least 95 % where queries are
drawn alike. It is never of width zero.

The exact scans take one thread and, together, at most a set share of one core's time: each is paid
for afterwards from an account that fills at that rate. What waits for longer than half a minute is
dropped and counted.

References
----------
.. [1] Wilson. Probable inference, the law of succession, and statistical inference. JASA 1927.
       doi:10.1080/01621459.1927.10502953
.. [2] Brown, Cai, DasGupta. Interval estimation for a binomial proportion. Statistical Science
       2001. doi:10.1214/ss/1009213286
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vectorloom.store import Collection, PointHits
from vectorloom.store.pinned import Pin, Question

log = logging.getLogger("vectorloom.serve")

_Z = 1.96
_WINDOW = 1000
_MOST_SERIES = 1000
_MOST_WAITING = 64
_OLDEST_S = 30.0
_MOST_SAVED_S = 1.0


class Series(NamedTuple):
    """What queries are counted together."""

    collection: str
    field: str
    filter: str
    k: str
    target: str


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int


class _Sample(NamedTuple):
    series: Series
    question: Question
    ids: list[Any]
    scores: list[float]
    born: float


def wilson(values: Any) -> Interval:
    """Return the mean of values in [0, 1] with Wilson's interval.

    Examples
    --------
    >>> wilson([1.0] * 9 + [0.0])
    Interval(mean=0.9, low=0.596, high=0.982, n=10)
    """
    n = len(values)
    mean = math.fsum(values) / n
    spread = _Z * _Z / n
    middle = (mean + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(mean * (1 - mean) / n + spread / (4 * n))
    return Interval(mean, max(0.0, middle - half), min(1.0, middle + half), n)


class Asked:
    """A search that was drawn to be checked; `answered` hands it over."""

    def __init__(self, recall: Recall, found: Collection, place: int) -> None:
        self._recall = recall
        self._field = found.schema.fields[place].name
        self._pin = Pin(found, place)

    def answered(
        self, name: str, queries: Any, k: int, where: Mapping[str, Any] | None, hits: PointHits,
        target: float | None,
    ) -> None:  # fmt: skip
        """Queue one of the queries of a search with its answer."""
        i = random.randrange(len(queries))
        question = self._pin.question(np.asarray(queries[i])[None, :], k, where)
        if question is None or question.matches == 0:
            self._recall.dropped += 1
            return
        own = hits[i]
        series = Series(
            name, self._field, filter_class(where, question), k_class(k),
            f"{0.95 if target is None else target:.2f}",
        )  # fmt: skip
        self._recall.put(
            _Sample(series, question, own.ids.tolist(), own.scores.tolist(), time.monotonic())
        )


class Recall:
    """See the module.

    Parameters
    ----------
    share : float
        Of the searches that are checked, from 0 to 1.
    budget : float
        Seconds of one core's time a second that the checks may take.
    """

    def __init__(self, share: float, budget: float) -> None:
        self._share = share
        self._budget = budget
        self._waiting: deque[_Sample] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._values: dict[Series, deque[float]] = {}
        self.checked = 0
        self.dropped = 0
        self.cpu_seconds = 0.0
        self._thread = threading.Thread(target=self._work, name="vectorloom-recall", daemon=True)
        if share > 0 and budget > 0:
            self._thread.start()

    def begin(self, found: Collection, place: int) -> Asked | None:
        """Draw whether the search that is about to be done is checked."""
        if not self._thread.is_alive() or random.random() >= self._share:
            return None
        return Asked(self, found, place)

    def put(self, sample: _Sample) -> None:
        """Queue a sample, or drop it where too many wait."""
        with self._lock:
            if len(self._waiting) >= _MOST_WAITING:
                self.dropped += 1
                return
            self._waiting.append(sample)
        self._wake.set()

    def intervals(self) -> dict[Series, Interval]:
        """Return what was found so far, by series."""
        with self._lock:
            held = {series: list(values) for series, values in self._values.items()}
        return {series: wilson(values) for series, values in sorted(held.items())}

    def forget(self, collection: str) -> None:
        """Drop what was found about a collection that is removed."""
        with self._lock:
            self._values = {s: v for s, v in self._values.items() if s.collection != collection}

    def stop(self) -> None:
        """End the thread; a scan that is running is finished."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def lines(self, covers: Callable[[str], bool]) -> Iterator[str]:
        """Yield the exposition lines of the collections that a key covers."""
        found = {s: i for s, i in self.intervals().items() if covers(s.collection)}
        for name, about, pick in (
            ("vectorloom_recall", "Mean recall of the last checked queries.", "mean"),
            ("vectorloom_recall_low", "Lower end of its 95 % interval.", "low"),
            ("vectorloom_recall_high", "Upper end of its 95 % interval.", "high"),
            ("vectorloom_recall_queries", "Checked queries that it is the mean of.", "n"),
        ):
            yield f"# HELP {name} {about}"
            yield f"# TYPE {name} gauge"
            for series, interval in found.items():
                labels = ",".join(
                    f'{key}="{escaped(value)}"' for key, value in series._asdict().items()
                )
                yield f"{name}{{{labels}}} {getattr(interval, pick):.6g}"
        for name, about, value in (
            ("checked_total", "Queries asked again exactly.", self.checked),
            ("dropped_total", "Drawn queries that were not checked in time.", self.dropped),
            ("cpu_seconds_total", "Seconds of processor time of the checks.", self.cpu_seconds),
        ):
            yield f"# HELP vectorloom_recall_{name} {about}"
            yield f"# TYPE vectorloom_recall_{name} counter"
            yield f"vectorloom_recall_{name} {value:.6g}"

    # ---- the thread ----------------------------------------------------------------------------

    def _work(self) -> None:
        account, then = 0.0, time.monotonic()
        while not self._stopping:
            now = time.monotonic()
            account = min(_MOST_SAVED_S, account + (now - then) * self._budget)
            then = now
            sample = self._next(now) if account >= 0 else None
            if sample is None:
                wanted = 60.0 if account >= 0 else -account / self._budget
                self._wake.wait(min(60.0, max(0.01, wanted)))
                self._wake.clear()
                continue
            began = time.thread_time()
            try:
                self._check(sample)
            except Exception as error:  # the collection was closed, or a block is damaged
                self.dropped += 1
                log.debug("a query could not be checked", exc_info=error)
            spent = time.thread_time() - began
            self.cpu_seconds += spent
            account -= spent

    def _next(self, now: float) -> _Sample | None:
        with self._lock:
            while self._waiting:
                sample = self._waiting.popleft()
                if now - sample.born <= _OLDEST_S:
                    return sample
                self.dropped += 1
        return None

    def _check(self, sample: _Sample) -> None:
        truth = sample.question.exact()
        n = int(truth.counts[0])
        if n == 0 or not truth.is_sound:
            self.dropped += 1
            return
        true = set(truth.ids[0, :n].tolist())
        worst = float(np.float32(truth.scores[0, n - 1]))
        right = sum(
            id_ in true or score >= worst  # as near as the last one: a tie
            for id_, score in zip(sample.ids, sample.scores, strict=True)
        )
        with self._lock:
            if sample.series not in self._values and len(self._values) >= _MOST_SERIES:
                self.dropped += 1
                return
            values = self._values.setdefault(sample.series, deque(maxlen=_WINDOW))
            values.append(min(1.0, right / n))
            self.checked += 1


def filter_class(where: Mapping[str, Any] | None, question: Question) -> str:
    """Return how much a filter leaves, as a word."""
    if where is None:
        return "none"
    left = question.matches / question.total
    return "under 1%" if left < 0.01 else "1% to 10%" if left < 0.1 else "over 10%"


def k_class(k: int) -> str:
    """Return the size of an answer, as a word."""
    return "1 to 10" if k <= 10 else "11 to 100" if k <= 100 else "over 100"


def escaped(value: str) -> str:
    """Return a label's value as Prometheus reads it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
