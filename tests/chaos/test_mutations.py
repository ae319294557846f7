"""Controls: what is done wrong on purpose must be caught, else the sweeps would prove nothing."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest
from chaos import truth
from chaos.bench import Bench, Outcome, judge_answer, settled, sweep
from chaos.ground import OPTIONS, FolderGround, disk_ground, no_disk
from chaos.machine import Zygote
from chaos.mutations import MUTATIONS
from chaos.scenes import SCENES, Scene, give

FIRST = SCENES["first"]
KILLS = {
    "record_before_data": "-0.parquet",
    "random_names": "-1.parquet",
    "glob_reader": "-1.parquet",
    "append_on_retry": ".json",
}
"""The files at whose calls the process is killed: the first or the second that an object brings, and records."""

SIGNS = {
    "record_before_data": '"kind": "missing_file"',
    "random_names": '"kind": "orphan_file"',
    "glob_reader": "a reader saw a part of file",
    "append_on_retry": r"rows and sums of object .*: expected \((1, .* found \(2|2, .* found \(4), ",
    "no_fsync": "Lakehead.CorruptRecord|too small to be a Parquet file",
}
"""What each mistake must bring about. Another problem would be the control's own: that it crashes shows nothing."""


def caught(
    outcomes: list[Outcome], bench: Bench, kind: str, *, start: int = 1, step: int = 1, suffix: str = ""
) -> bool:
    sign = re.compile(SIGNS[bench.mutation])
    for outcome in sweep(bench, kind, start=start, step=step, suffix=suffix):
        outcomes.append(outcome)
        if any(map(sign.search, outcome.problems)):
            return True
    return False


def told(outcomes: list[Outcome]) -> str:
    others = "".join(f"\n{outcome}" for outcome in outcomes if outcome.problems)
    return f"{len(outcomes)} cases did not show it; they showed: {others or 'nothing'}"


def test_there_is_a_control_for_every_mutation() -> None:
    assert {*KILLS, "no_fsync"} == set(MUTATIONS) == set(SIGNS)


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("scene", [FIRST, SCENES["rewrite"]], ids=lambda scene: scene.name)
def test_a_mistake_does_not_show_as_long_as_nothing_happens(
    zygote: Zygote, ground: Path, mutation: str, scene: Scene
) -> None:
    place = FolderGround(ground / "g", partial(scene.build, zygote))
    place.fresh()
    ended = give(zygote, place.root, scene.command, mutation=mutation)
    assert (ended.code, ended.err) == (0, "")
    log = (place.root / truth.STATE / "logs/lakehead.jsonl").read_text()
    assert [line for line in log.splitlines() if json.loads(line)["level"] in ("WARNING", "ERROR")] == []
    if mutation == "append_on_retry" and scene.earlier:
        return  # a rewrite is to it what a repeated attempt is
    assert settled(zygote, place.root, scene.landed) == []
    looked = zygote.call(place.root, "chaos.people:look", mutation=mutation)
    assert (looked.code, judge_answer(json.loads(looked.out), [scene.landed])) == (0, [])


@pytest.mark.parametrize("mutation", KILLS)
def test_a_kill_shows(zygote: Zygote, ground: Path, mutation: str) -> None:
    outcomes: list[Outcome] = []
    bench = Bench(zygote, FolderGround(ground / "g", partial(FIRST.build, zygote)), FIRST, mutation=mutation)
    assert caught(outcomes, bench, "kill", suffix=KILLS[mutation]), told(outcomes)


@pytest.mark.skipif(bool(no_disk()), reason=no_disk())
def test_a_power_loss_shows(zygote: Zygote, ground: Path) -> None:
    outcomes: list[Outcome] = []
    with disk_ground(ground, partial(FIRST.build, zygote), OPTIONS[1]) as disk:
        bench = Bench(zygote, disk, FIRST, mutation="no_fsync")
        assert caught(outcomes, bench, "power", start=701, step=53), told(outcomes)
