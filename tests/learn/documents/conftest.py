# SPDX-License-Identifier: Apache-2.0
"""Texts that each speak of one of four topics."""

from __future__ import annotations

import numpy as np
import pytest

TOPICS = [[f"{topic}{i}" for i in range(25)] for topic in ("sea", "sky", "war", "law")]


def topic_texts(n, length, seed):
    """Return texts and the number of the topic of each."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(4, size=n)
    common = [f"of{i}" for i in range(5)]
    texts = []
    for topic in topics:
        words = [str(word) for word in rng.choice(TOPICS[topic], size=length)]
        words += [str(word) for word in rng.choice(common, size=length // 4)]
        rng.shuffle(words)
        texts.append(" ".join(words))
    return texts, topics


@pytest.fixture(scope="session")
def texts():
    return topic_texts(500, 24, seed=0)


@pytest.fixture(scope="session")
def new_texts():
    return topic_texts(60, 24, seed=1)
