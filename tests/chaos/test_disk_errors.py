"""Disks that fail, at a slice of the system calls that they can fail at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from chaos.bench import Bench, Outcome, sweep
from chaos.ground import FolderGround
from chaos.machine import Zygote
from chaos.scenes import BOUNDED, SCENES
from chaos.syscalls import TROUBLES

STEPS = {"EIO": 397, "ENOSPC": 347, "EMFILE": 59, "EROFS": 61}
"""How many system calls lie between two faults."""


@pytest.fixture(scope="module")
def zygotes(zygote: Zygote) -> Iterator[list[Zygote]]:
    """Several, because what meets a fault waits before it tries again."""
    with ExitStack() as stack:
        yield [zygote, *(stack.enter_context(Zygote()) for _ in range(3))]


def side_by_side(zygotes: list[Zygote], works: Sequence[Callable[[Zygote], list[Outcome]]]) -> list[Outcome]:
    with ThreadPoolExecutor(len(works)) as pool:
        ended = pool.map(lambda pair: pair[1](pair[0]), zip(zygotes, works, strict=True))
        return [outcome for outcomes in ended for outcome in outcomes]


def cases(zygote: Zygote, *, ground: Path, name: str, kind: str, step: int, length: int) -> list[Outcome]:
    scene = SCENES[name]
    if length == 0:
        scene = replace(scene, command=BOUNDED)
    bench = Bench(zygote, FolderGround(ground / kind, partial(scene.build, zygote)), scene)
    return list(sweep(bench, kind, start=1 + step // 2, step=step, length=length))


@pytest.mark.parametrize("name", ["first", "rewrite", "delete"])
def test_a_call_that_fails_once_loses_nothing(zygotes: list[Zygote], ground: Path, name: str) -> None:
    works = [partial(cases, ground=ground, name=name, kind=kind, step=STEPS[kind], length=1) for kind in TROUBLES]
    outcomes = side_by_side(zygotes, works)
    assert not [str(one) for one in outcomes if one.problems]
    assert sum(one.met for one in outcomes) >= 6


def test_a_disk_that_fails_from_then_on_loses_nothing(zygotes: list[Zygote], ground: Path) -> None:
    works = [
        partial(cases, ground=ground, name="rewrite", kind=kind, step=2 * STEPS[kind], length=0) for kind in TROUBLES
    ]
    outcomes = side_by_side(zygotes, works)
    assert not [str(one) for one in outcomes if one.problems]
    assert sum(one.met for one in outcomes) >= 3
