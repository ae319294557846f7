"""Waiting for what comes about by itself, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(condition: Callable[[], Any], *, seconds: float = 60, pause: float = 0.01) -> Any:
    """What the condition is, once it is true. It is asked again after each `pause` (seconds)."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"it did not come about within {seconds:g} s"
        time.sleep(pause)
    return found
