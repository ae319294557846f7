"""Runs jobs in processes that end by SIGKILL right before their n-th change of the disk.

`python -m support.killer` reads one JSON line per job, `{"root", "versions", "kill_at", "force"}`, forks, and prints
how the child ended: `killed`, or `done`. Forking saves the imports for every job.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lakehead.etl.staged import _connection
from lakehead.model import ObjectVersion
from support.jobs import local_scene, reader

CHANGES = ("link", "rename", "unlink", "mkdir", "rmdir", "chmod", "fsync")


class Fuse:
    """Kills this process right before the n-th change of the disk that os makes (0: never)."""

    def __init__(self, kill_at: int) -> None:
        self.kill_at, self.changes = kill_at, 0

    def watch(self, name: str) -> None:
        real: Callable[..., Any] = getattr(os, name)

        def change(*arguments: Any, **options: Any) -> Any:
            self.changes += 1
            if self.changes == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        setattr(os, name, change)


class Killer:
    """Runs jobs in children that are killed before their n-th change of the disk."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.killer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
        )

    def __enter__(self) -> Killer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def run(self, root: Path, versions: Sequence[ObjectVersion], *, kill_at: int, force: bool = False) -> bool:
        """True where the child was killed, False where it came to the end. Several versions are loaded together."""
        told = [asdict(version) for version in versions]
        job = {"root": str(root), "versions": told, "kill_at": kill_at, "force": force}
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer in ("killed", "done"), answer
        return answer == "killed"


def run(job: dict[str, Any]) -> None:
    scene = local_scene(Path(job["root"]))
    fuse = Fuse(job["kill_at"])
    for name in CHANGES:
        fuse.watch(name)
    versions = [ObjectVersion(**version) for version in job["versions"]]
    if len(versions) == 1:
        scene.run(versions[0], attempt="killed", execution="killed", force=job["force"])
    else:
        scene.run_all(versions, attempt="killed", execution="killed")


def main() -> None:
    reader(), _connection()  # with one thread each, so that a fork can go on with them
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        answer = "killed" if killed else "done" if status == 0 else f"failed with {status}"
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
