"""Locks between processes: files that the operating system lets go of when their holder dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lakehead.errors import Busy
from lakehead.private import make_folder


@contextmanager
def alone(path: Path, message: str, hint: str, *, wait: float = 0) -> Iterator[None]:
    """Hold the lock of this file; any thread may end the block.

    Raises Busy, with `message` and `hint`, where another holds it for more than `wait` seconds.
    """
    make_folder(path.parent)
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise Busy(message, hint=hint, path=str(path)) from error
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock of this file. Who tries to take it at this very moment may find it taken."""
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
