"""Fixtures every test folder may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def no_lake_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a developer's own LAKEHEAD_ and AWS_ variables out of the tests."""
    for name in list(os.environ):
        if name.startswith(("LAKEHEAD_", "AWS_")):
            monkeypatch.delenv(name)


def shared_path(relative: str) -> Path:
    """A file or folder shared beside the repository; skips the test where it is absent."""
    path = (ROOT / ".." / "shared" / relative).resolve()
    if not path.exists():
        pytest.skip(f"needs ../shared/{relative}, which only the project's own machines have")
    return path


@pytest.fixture(scope="session")
def retail_files() -> list[Path]:
    """The 305 daily files of UCI Online Retail."""
    return sorted(shared_path("data/uci-online-retail").glob("*.csv"))


@pytest.fixture(scope="session")
def asl_cases() -> Path:
    """The executions that AWS recorded."""
    return shared_path("conformance/asl-executions.jsonl")
