"""Folders for tests that write many files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where the system has one, where an fsync costs nothing."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(dir=shared, prefix="lakehead-") as folder:
        yield Path(folder)
