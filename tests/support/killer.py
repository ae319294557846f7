"""Runs jobs in processes that end by SIGKILL right before their n-th change of the disk.

`python -m support.killer` reads one JSON line per job, `{"root", "name", "sequencer", "content", "kill_at", "force"}`,
forks, and prints how the child ended: `killed`, or `done`. Forking saves the imports for every job.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lakehead.etl.staged import _connection
from lakehead.model import ObjectVersion
from support.jobs import DATASET, local_scene, reader

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


def run(job: dict[str, Any]) -> None:
    scene = local_scene(Path(job["root"]))
    fuse = Fuse(job["kill_at"])
    for name in CHANGES:
        fuse.watch(name)
    key = f"{DATASET}/ingest_date=2025-01-05/{job['name']}"
    version = ObjectVersion("raw", key, job["etag"], job["size"], job["sequencer"])
    scene.run(version, attempt=job["attempt"], execution=job["execution"], force=job["force"])


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
