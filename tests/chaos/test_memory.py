"""Too little memory: the kernel kills the process wherever it is when it asks for more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from chaos.bench import Bench
from chaos.ground import FolderGround
from chaos.machine import Fault, Zygote
from chaos.scenes import SCENES

GROUPS = Path("/sys/fs/cgroup")
FIRST_MB, STEP_MB, MOST_MB = 2, 3, 200


@pytest.fixture
def group() -> Iterator[tuple[Path, Path]]:
    """A control group for memory, and the file that sets its limit in bytes."""
    old = (GROUPS / "memory").is_dir()
    folder = (GROUPS / "memory" if old else GROUPS) / f"lakehead-chaos-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error.strerror}")
    try:
        limit = folder / ("memory.limit_in_bytes" if old else "memory.max")
        if not limit.exists():
            pytest.skip("control groups do not limit memory here")
        yield folder, limit
    finally:
        folder.rmdir()


def test_a_process_that_runs_out_of_memory_loses_nothing(
    zygote: Zygote, ground: Path, group: tuple[Path, Path]
) -> None:
    folder, limit = group
    scene, killed = SCENES["rewrite"], 0
    place = FolderGround(ground / "g", partial(scene.build, zygote))
    bench = Bench(zygote, place, scene)
    for megabytes in range(FIRST_MB, MOST_MB, STEP_MB):
        place.fresh()
        limit.write_text(str(megabytes << 20))
        ended = zygote.run(place.root, "ingest", cgroup=str(folder))
        outcome = bench.judge(Fault(megabytes, "memory"), ended)
        assert not outcome.problems, str(outcome)
        killed += ended.killed
        if ended.code == 0:
            break
    assert killed >= 3
    assert ended.code == 0
