"""Terraform as `lakehead deploy` runs it: in one folder, what it says on stderr, its answers as values."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lakehead.errors import ConfigError, LakeheadError, TerminalError
from lakehead.model import Json

HINT = "Install Terraform 1.9 or newer (https://developer.hashicorp.com/terraform/install), then run this again."
STDERR = 2
PLAN = "lakehead.tfplan"
CHANGES = 2
"""How `plan -detailed-exitcode` ends where there is something to do."""


@dataclass(frozen=True, slots=True)
class Terraform:
    """Terraform with a root module in `folder`. `program` is the executable."""

    folder: Path
    program: str

    @classmethod
    def found(cls, folder: Path) -> Terraform:
        """Terraform from the PATH. Raises ConfigError where it is not installed."""
        program = shutil.which("terraform")
        if program is None:
            raise ConfigError("terraform is not installed, or not on the PATH", hint=HINT)
        return cls(folder, program)

    def init(self) -> None:
        """Fetch the provider and, where one is configured, connect to the backend. Raises TerminalError."""
        self._must("init")

    def plan(self, *, destroy: bool = False) -> bool:
        """Show what would change, and keep it as the plan that `apply` carries out. False where nothing would."""
        command = ["plan", "-detailed-exitcode", f"-out={PLAN}", *(["-destroy"] if destroy else [])]
        code = self._run(*command)
        if code not in (0, CHANGES):
            raise self._failed("plan", code)
        return code == CHANGES

    def apply(self) -> None:
        """Carry out the kept plan, once. Raises TerminalError."""
        try:
            self._must("apply", PLAN)
        finally:
            (self.folder / PLAN).unlink(missing_ok=True)

    def outputs(self) -> dict[str, Json]:
        """The values of the root module's outputs; empty where nothing is deployed."""
        command = [self.program, "output", "-json", "-no-color"]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=STDERR, check=False)
        if done.returncode:
            raise self._failed("output", done.returncode)
        return {name: told["value"] for name, told in json.loads(done.stdout).items()}

    def _must(self, *command: str) -> None:
        code = self._run(*command)
        if code:
            raise self._failed(command[0], code)

    def _run(self, command: str, *arguments: str) -> int:
        """Run to the end. Ctrl-C reaches Terraform too, which then ends in order and saves its state: wait for that."""
        colour = [] if sys.stderr.isatty() else ["-no-color"]
        line = [self.program, command, "-input=false", *colour, *arguments]
        process = subprocess.Popen(line, cwd=self.folder, stdout=STDERR, stdin=subprocess.DEVNULL)
        code, interrupted = to_the_end(process.wait)
        if interrupted:
            raise KeyboardInterrupt
        return code

    def _failed(self, command: str, code: int) -> LakeheadError:
        hint = "What Terraform says above tells why. Mend it, then run this again: it goes on where it stopped."
        return TerminalError(f"terraform {command} failed", hint=hint, path=str(self.folder), code=code)


def to_the_end(wait: Callable[[], int]) -> tuple[int, bool]:
    """A process's exit code, and whether somebody pressed Ctrl-C meanwhile."""
    interrupted = False
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            return wait(), interrupted
        interrupted = True
