"""Controls: what is done wrong on purpose must be caught, else the sweeps would prove nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from chaos.bench import Bench, Outcome, sweep
from chaos.ground import OPTIONS, FolderGround, disk_ground, no_disk
from chaos.machine import Zygote
from chaos.mutations import MUTATIONS
from chaos.scenes import SCENES

FIRST = SCENES["first"]
KILLS = {
    "record_before_data": (".parquet", 20, 2),
    "random_names": (".parquet", 20, 2),
    "glob_reader": (".parquet", 20, 1),
    "append_on_retry": ("catalog.db-wal", 61, 2),
}
"""The files at whose calls the process is killed, from which call on and how far apart: where the mistake can show."""


def caught(outcomes: list[Outcome], bench: Bench, kind: str, *, start: int, step: int, suffix: str = "") -> bool:
    for outcome in sweep(bench, kind, start=start, step=step, suffix=suffix):
        outcomes.append(outcome)
        if outcome.problems:
            return True
    return False


def test_there_is_a_control_for_every_mutation() -> None:
    assert {*KILLS, "no_fsync"} == set(MUTATIONS)


@pytest.mark.parametrize("mutation", KILLS)
def test_a_kill_shows(zygote: Zygote, ground: Path, mutation: str) -> None:
    (suffix, start, step), outcomes = KILLS[mutation], list[Outcome]()
    bench = Bench(zygote, FolderGround(ground / "g", partial(FIRST.build, zygote)), FIRST, mutation=mutation)
    assert caught(outcomes, bench, "kill", start=start, step=step, suffix=suffix), (
        f"{len(outcomes)} cases found nothing"
    )


@pytest.mark.skipif(bool(no_disk()), reason=no_disk())
def test_a_power_loss_shows(zygote: Zygote, ground: Path) -> None:
    outcomes: list[Outcome] = []
    with disk_ground(ground, partial(FIRST.build, zygote), OPTIONS[1]) as disk:
        bench = Bench(zygote, disk, FIRST, mutation="no_fsync")
        assert caught(outcomes, bench, "power", start=701, step=53), f"{len(outcomes)} cases found nothing"
