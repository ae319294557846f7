"""A disk of which one change fails, and what of its names a power loss would take back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

CHANGES = ("fsync", "link", "rename", "mkdir", "unlink")


class FaultyDisk:
    """Lets the n-th fsync, link, rename, mkdir or unlink fail (0: none), or those that `fails` chooses.

    `unsettled` are the names that were given, and whose directory was not fsynced since.
    """

    def __init__(self, number: int = 0, code: int = 0, fails: Callable[[str, Path], bool] | None = None) -> None:
        self.number, self.code, self.fails = number, code, fails
        self.changes = 0
        self.unsettled: set[Path] = set()
        self._lock = threading.Lock()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in CHANGES:
            patch.setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **options: Any) -> Any:
            path = _target(arguments)
            with self._lock:
                self.changes += 1
                failing = self.changes == self.number
            if failing or (self.fails is not None and self.fails(name, path)):
                raise OSError(self.code, os.strerror(self.code))
            found = real(*arguments, **options)
            with self._lock:
                if name == "fsync":
                    self.unsettled = {one for one in self.unsettled if one.parent != path}
                elif name != "unlink":
                    self.unsettled.add(path)
            return found

        return change

    def would_lose(self, paths: Iterable[Path]) -> set[Path]:
        """Those names, of these files or of directories above them, that a power loss now may take back."""
        return {one for path in paths for one in (path, *path.parents) if one in self.unsettled}


def _target(arguments: tuple[Any, ...]) -> Path:
    """What is changed: the last path, or what a descriptor is open for."""
    if isinstance(arguments[0], int):
        return Path(f"/proc/self/fd/{arguments[0]}").readlink()
    return Path([one for one in arguments if isinstance(one, str | os.PathLike)][-1])
