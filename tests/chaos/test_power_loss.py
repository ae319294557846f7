"""Power loss at a slice of the system calls: what was not on the disk is gone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from chaos.bench import Bench, sweep
from chaos.ground import OPTIONS, disk_ground, no_disk
from chaos.machine import Zygote
from chaos.scenes import SCENES

STEPS = {"first": 331, "rewrite": 211}


@pytest.mark.skipif(bool(no_disk()), reason=no_disk())
@pytest.mark.parametrize(("name", "options"), [*zip(STEPS, OPTIONS, strict=True)])
def test_a_power_loss_leaves_the_old_state_or_the_new_one(
    zygote: Zygote, ground: Path, name: str, options: str
) -> None:
    scene, step, met = SCENES[name], STEPS[name], 0
    with disk_ground(ground, partial(scene.build, zygote), options) as disk:
        for outcome in sweep(Bench(zygote, disk, scene), "power", start=1 + step // 2, step=step):
            assert not outcome.problems, str(outcome)
            met += outcome.met
    assert met >= 4
