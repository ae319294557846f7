"""Processes that meet faults, and where their lakes lie."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.machine import Zygote

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    with Zygote() as started:
        if started.refusal:
            pytest.skip(started.refusal)
        yield started


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: what a kill leaves is the same, and fsync costs nothing."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="lakehead-chaos-", dir=MEMORY) as folder:
        yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
