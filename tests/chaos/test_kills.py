"""kill -9 at a slice of the system calls that change the lake."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from chaos.bench import Bench, sweep
from chaos.ground import FolderGround
from chaos.machine import Zygote
from chaos.scenes import SCENES

STEPS = {
    "first": 211,
    "rewrite": 149,
    "replay": 331,
    "put": 23,
    "up": 337,
    "recovery": 53,
    "delete": 41,
    "delete-prefix": 43,
    "repair": 223,
}
"""How many system calls lie between two kills. Primes, so that the points fall on different ones."""


@pytest.mark.parametrize("name", SCENES)
def test_a_kill_leaves_the_old_state_or_the_new_one(zygote: Zygote, ground: Path, name: str) -> None:
    scene, step, met = SCENES[name], STEPS[name], 0
    bench = Bench(zygote, FolderGround(ground / name, partial(scene.build, zygote)), scene)
    for outcome in sweep(bench, "kill", start=1 + step // 2, step=step):
        assert not outcome.problems, str(outcome)
        met += outcome.met
    assert met >= 2
