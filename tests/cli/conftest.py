"""What the command-line tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lakehead.cli.app import main
from lakehead.examples import write_example


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: (exit code, stdout, stderr). Quicker than a process."""

    def called(*command: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(command))
        out, err = capsys.readouterr()
        return code, out, err

    return called


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """A lake as `lakehead init` writes it."""
    root = tmp_path / "lake"
    write_example("sales", root)
    return root
