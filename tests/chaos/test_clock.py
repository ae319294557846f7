"""Clocks that are set while Lakehead works, and the night when the hour is told twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from chaos import truth
from chaos.bench import settled
from chaos.ground import FolderGround
from chaos.machine import Fault, Zygote
from chaos.scenes import SCENES

LIBRARIES = (Path("/usr/lib/x86_64-linux-gnu/faketime"), Path("/usr/lib/faketime"), Path("/usr/local/lib/faketime"))
MOST_CRAWLS = 40
"""A handful is needed; who waits for the clock to catch up makes thousands."""


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that says by how many seconds the clock of a faked process is wrong."""
    return tmp_path_factory.mktemp("clock") / "offset"


@pytest.fixture(scope="module")
def faked(clock: Path) -> Iterator[Zygote]:
    found = [folder / "libfaketimeMT.so.1" for folder in LIBRARIES if (folder / "libfaketimeMT.so.1").exists()]
    if not found:
        pytest.skip("libfaketime is not installed")
    clock.write_text("+0")
    settings = {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    with Zygote(variables=settings) as started:
        if started.refusal:
            pytest.skip(started.refusal)
        yield started


@pytest.mark.parametrize("jump", ["-60", "-3600", "-86400", "+3600"])
@pytest.mark.parametrize("at", [200, 300, 700])
def test_a_clock_that_is_set_holds_nothing_up(
    zygote: Zygote, faked: Zygote, ground: Path, clock: Path, jump: str, at: int
) -> None:
    """The next commands tell the right time again, so the clock is set twice."""
    clock.write_text("+0")
    scene = SCENES["rewrite"]
    place = FolderGround(ground / "g", partial(scene.build, zygote))
    place.fresh()
    fault = Fault(at, "clock", image=str(clock), copy=jump)
    ended = faked.run(place.root, "ingest", fault=fault)
    assert ended.hit is not None and clock.read_text() == jump
    assert (ended.code, ended.err) == (0, "")
    assert settled(zygote, place.root, scene.landed) == []
    ((crawls,),) = truth.table(place.root, "catalog", "SELECT count(*) FROM crawls")
    assert crawls < MOST_CRAWLS


def test_a_clock_that_is_set_forward_by_days_is_told_and_mended(
    zygote: Zygote, faked: Zygote, ground: Path, clock: Path
) -> None:
    """An execution may last six hours, so it ends as timed out; its rows may be there or not, and are in the end."""
    clock.write_text("+0")
    scene = SCENES["rewrite"]
    place = FolderGround(ground / "g", partial(scene.build, zygote))
    place.fresh()
    ended = faked.run(place.root, "ingest", fault=Fault(450, "clock", image=str(clock), copy="+259200"))
    assert ended.hit is not None and clock.read_text() == "+259200"
    assert ended.code == 1
    late = truth.table(place.root, "workflow", "SELECT name FROM executions WHERE status = 'TIMED_OUT'")
    assert late and {name for (name,) in late} == set(truth.failed_executions(place.root))
    attributes = truth.table(place.root, "notify", "SELECT attributes FROM notifications")
    told = [json.loads(text) for (text,) in attributes]
    assert {one["execution"] for one in told if one["outcome"] == "failure"} == {name for (name,) in late}
    for (name,) in late:
        assert name in ended.out
        assert zygote.run(place.root, "runs", "redrive", name).code == 0
    assert settled(zygote, place.root, scene.landed) == []


@pytest.mark.parametrize("switch", ["2025-03-30T01:00:00", "2025-10-26T01:00:00"])
def test_a_night_of_daylight_saving(zygote: Zygote, faked: Zygote, ground: Path, clock: Path, switch: str) -> None:
    """In Berlin the hour is left out, or told twice, while the files are loaded."""
    scene = SCENES["rewrite"]
    place = FolderGround(ground / "g", partial(scene.build, zygote))
    place.fresh()
    moment = datetime.fromisoformat(switch).replace(tzinfo=UTC)
    before = moment.timestamp() - datetime.now(UTC).timestamp()
    clock.write_text(f"{before - 1.0:+.3f}")
    fault = Fault(450, "clock", image=str(clock), copy=f"{before:+.3f}")
    ended = faked.run(place.root, "ingest", fault=fault, variables={"TZ": "Europe/Berlin"})
    assert ended.hit is not None
    assert (ended.code, ended.err) == (0, "")
    assert settled(zygote, place.root, scene.landed) == []
