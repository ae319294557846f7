"""The same kills by other means: the command line as people start it, under strace. A check of our own tool."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from chaos.bench import Bench
from chaos.ground import FolderGround
from chaos.machine import Ended, Fault, Zygote
from chaos.scenes import SCENES


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not on the PATH")
@pytest.mark.parametrize(("call", "nth"), [("pwrite64", 200), ("rename", 1), ("fsync", 4), ("link", 1)])
def test_a_kill_by_strace_leaves_one_state(zygote: Zygote, ground: Path, call: str, nth: int) -> None:
    """strace counts the calls of each thread by itself, so the n-th comes early or late; some thread makes it."""
    scene = SCENES["rewrite"]
    place = FolderGround(ground / "g", partial(scene.build, zygote))
    place.fresh()
    inject = f"inject={call}:signal=KILL:when={nth}"
    command = [sys.executable, "-m", "lakehead", "--lake", str(place.root), "ingest"]
    log = place.root.parent / "strace.log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LAKEHEAD_", "AWS_"))}
    done = subprocess.run(
        ["strace", "-f", "-o", str(log), "-e", f"trace={call}", "-e", inject, *command],
        capture_output=True,
        text=True,
        timeout=120,
        env=clean,
    )
    # strace ends as the command ended. The log alone would do for a child of it that was killed.
    assert done.returncode == -9, done.stderr
    assert "+++ killed by SIGKILL +++" in log.read_text(), done.stderr
    ended = Ended(done.returncode, done.stdout, done.stderr, 0, None, 0.0)
    outcome = Bench(zygote, place, scene).judge(Fault(nth, "memory"), ended)
    assert not outcome.problems, str(outcome)
