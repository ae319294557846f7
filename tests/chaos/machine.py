"""Drives zygotes: a command of Lakehead on a lake, with a fault, and how it ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import lakehead

TESTS = Path(__file__).resolve().parents[1]
SOURCE = Path(lakehead.__file__).resolve().parents[1]
"""The Lakehead that these tests have imported, which need not be the one that is installed."""
SECONDS = 60.0
"""No command of these tests may take longer; one that does counts as hung."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the `at`-th call (from 1) on the lake's files.

    `kind` is `kill`, `power` (the image of the lake's file system is copied as it is on the disk, then the process is
    killed), `clock` (the text `copy` is written to the file `image`, which faketime reads) or the name of an error,
    which `length` calls in a row give (0: all from there on). Only calls on paths that end with `suffix` count.
    """

    at: int
    kind: str = "kill"
    length: int = 1
    suffix: str = ""
    image: str = ""
    copy: str = ""


@dataclass(frozen=True)
class Hit:
    """The call that met the fault."""

    number: int
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `code` is negative for a signal, None for a command that hung."""

    code: int | None
    out: str
    err: str
    calls: int
    hit: Hit | None
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.code == -9


class Zygote:
    """One process that forks commands, one after the other. `prefix` is what it is started by, such as faketime."""

    def __init__(self, prefix: tuple[str, ...] = (), variables: Mapping[str, str] | None = None) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LAKEHEAD_", "AWS_"))}
        # What the tests import, the process that they start imports too.
        folders = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "chaos.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TESTS,
            env={**clean, "PYTHONPATH": folders, **(variables or {})},
        )
        self.refusal: str = self._read()["refusal"]

    def __enter__(self) -> Zygote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def run(self, root: Path, *command: str, fault: Fault | None = None, **more: Any) -> Ended:
        """Run `lakehead --lake ROOT COMMAND`. `more`: mutation, cgroup, variables, seconds, kill_after."""
        return self._ask({"root": str(root), "command": command, "fault": fault and asdict(fault), **more})

    def call(self, root: Path, function: str, fault: Fault | None = None, given: Any = None, **more: Any) -> Ended:
        """Call `module:function` with the lake's folder and what is `given`, by name; it returns an exit code."""
        job = {"root": str(root), "call": function, "given": given or {}, "fault": fault and asdict(fault), **more}
        return self._ask(job)

    def _ask(self, job: dict[str, Any]) -> Ended:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"seconds": SECONDS, **job}) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        hit = answer.pop("hit")
        return Ended(**answer, hit=Hit(**hit) if hit else None)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the zygote ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
