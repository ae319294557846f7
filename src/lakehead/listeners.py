"""Who wants to be told when something happens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Generic, ParamSpec

log = logging.getLogger(__name__)

P = ParamSpec("P")


class Listeners(Generic[P]):
    """Those who want to be told of one kind of thing. Safe from several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._listeners: dict[object, Callable[P, object]] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Callable[P, object]) -> Callable[[], None]:
        """Tell this one from now on. Returns how to end that, which may be called again."""
        key = object()
        with self._guard:
            self._listeners[key] = listener
        return partial(self._forget, key)

    def tell(self, *news: P.args, **more: P.kwargs) -> None:
        """Tell all of them, in this thread. What one raises is logged and keeps nothing from the others."""
        with self._guard:
            listeners = tuple(self._listeners.values())
        for listener in listeners:
            try:
                listener(*news, **more)
            except Exception:
                log.exception("a listener failed")

    def clear(self) -> None:
        """Tell nobody any more."""
        with self._guard:
            self._listeners.clear()

    def _forget(self, key: object) -> None:
        with self._guard:
            self._listeners.pop(key, None)
