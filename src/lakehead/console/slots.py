"""A bound on what is done at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lakehead.errors import Busy


class Slots:
    """Places for what may be under way at the same time. For one event loop."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    @contextmanager
    def taken(self) -> Iterator[None]:
        """One of them, for the length of the block. Raises Busy where none is free."""
        if not self._free:
            raise Busy("others are being served", hint="Try again when they are done.")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
