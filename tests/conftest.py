# SPDX-License-Identifier: Apache-2.0
"""What every test shares: one seed, and no way out to the network."""

from __future__ import annotations

import signal
import socket

import numpy as np
import pytest

SEED = 20240229

# A suite started in the background by a shell ignores Ctrl-C, and so would processes it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def seed() -> int:
    """The one seed; printed with a failing test because it is part of its captured output."""
    print(f"seed = {SEED}")
    return SEED


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A fresh generator with the same start in every test."""
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches beyond this machine fails, instead of passing only where it can."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        inside = self.family not in (socket.AF_INET, socket.AF_INET6) or (
            isinstance(address, tuple) and address[0] in ("127.0.0.1", "::1", "localhost")
        )
        if not inside:
            pytest.fail(f"a test tried to reach the network: {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
