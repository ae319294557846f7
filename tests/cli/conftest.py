"""How the command-line tests run it: in a process of its own for the whole, in this one for what needs no lake."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehead.cli.app import main
from lakehead.examples import write_example

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run() -> Run:
    """Run `lakehead ...` as a person's shell would. `cwd`, `stdin` and environment variables are keywords."""

    def started(*command: str, cwd: Path | None = None, stdin: str = "", **env: str) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "lakehead", *command],
            cwd=cwd,
            input=stdin,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return started


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
