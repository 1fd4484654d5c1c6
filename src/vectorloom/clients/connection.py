# SPDX-License-Identifier: Apache-2.0
"""Where a server is, when it is asked again, and what a lost connection is called."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from vectorloom.errors import ParameterError
from vectorloom.estimator import check_count
from vectorloom.io.faults import missing_package

if TYPE_CHECKING:
    import httpx

    from vectorloom.clients.wire import Call

# The server is busy, or not there yet: it has done nothing of what was asked.
_AGAIN = (429, 503)
_LONGEST_PAUSE_S = 30.0


class Address:
    """Where the server is, who asks, and how often."""

    def __init__(self, url: str, key: str | None, timeout: float, retries: int) -> None:
        if not url.startswith(("http://", "https://")):
            raise ParameterError(f"url must be like 'http://localhost:8400'; got {url!r}.")
        if timeout <= 0:
            raise ParameterError(f"timeout must be above 0 seconds; got {timeout}.")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.retries = check_count("retries", retries, at_least=0)
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    def settings(self, transport: Any) -> dict[str, Any]:
        """Return what both kinds of connection are made with."""
        return {
            "base_url": self.url,
            "headers": self.headers,
            "timeout": self.timeout,
            "transport": transport,
        }

    def pause(
        self,
        attempt: int,
        call: Call[Any],
        answer: httpx.Response | None,
        failure: httpx.TransportError | None,
    ) -> float | None:
        """Return the seconds to wait before asking again; None to take the answer.

        Raises
        ------
        ConnectionError, TimeoutError
        """
        import httpx

        again = answer is not None and answer.status_code in _AGAIN
        told = "" if answer is None else answer.headers.get("retry-after", "")
        # The same write, of this key, is being done; its answer comes when it is.
        again |= answer is not None and answer.status_code == 409 and bool(told)
        if failure is not None:
            again = isinstance(failure, httpx.ConnectError) or call.is_repeatable
        if not again or attempt >= self.retries:
            if failure is not None:
                raise self.lost(failure) from failure
            return None
        seconds = float(told) if told.isdigit() else 0.2 * 2.0**attempt
        # Clients that were refused together must not come back together.
        return min(seconds, _LONGEST_PAUSE_S) * random.uniform(1.0, 1.25)

    def lost(self, error: Exception) -> OSError:
        """Return the error of a connection in our words."""
        import httpx

        if isinstance(error, httpx.TimeoutException):
            return TimeoutError(
                f"{self.url}: no answer within {self.timeout:g} s; what was asked may have been "
                "done. Stores and removals can be asked again, and those with an idempotency_key "
                "are, by themselves."
            )
        return ConnectionError(f"{self.url}: {str(error) or type(error).__name__}")


def httpx_or_why() -> Any:
    """Return httpx, or say how to get it.

    Raises
    ------
    DependencyError
    """
    try:
        import httpx
    except ImportError as error:
        raise missing_package("httpx", "client", "a client of a server") from error
    return httpx
