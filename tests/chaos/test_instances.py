"""Two processes on one lake, one of which may be killed, while somebody reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from chaos.bench import judge_answer, settled
from chaos.ground import FolderGround
from chaos.machine import Ended, Fault, Zygote
from chaos.scenes import BOTH, FIRST, SCENES, SECOND, land

WAIT = 60.0


@pytest.fixture(scope="module")
def other(zygote: Zygote) -> Iterator[Zygote]:
    with Zygote() as started:
        yield started


@pytest.fixture
def place(zygote: Zygote, ground: Path) -> FolderGround:
    made = FolderGround(ground / "g", partial(SCENES["rewrite"].build, zygote))
    made.fresh()
    return made


@pytest.fixture
def fresh(place: FolderGround) -> Callable[[], Path]:
    """A new lake at each call."""

    def make() -> Path:
        place.fresh()
        return place.root

    return make


def load_at_once(zygote: Zygote, other: Zygote, root: Path, fault: Fault | None = None) -> Ended:
    """How the first of two loads ended; the second and all that is left must be well whatever becomes of it."""
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(zygote.run, root, "ingest", fault=fault)
        two = pool.submit(other.run, root, "ingest")
        first, second = one.result(), two.result()
    assert first.code == 0 or (first.killed and first.hit)
    assert (second.code, "Traceback" in second.err) == (0, False), second.err
    assert zygote.run(root, "ingest").code == 0
    assert settled(zygote, root, BOTH) == []
    return first


def test_two_load_at_once(zygote: Zygote, other: Zygote, place: FolderGround) -> None:
    assert load_at_once(zygote, other, place.root).code == 0


def test_two_load_at_once_and_one_is_killed(zygote: Zygote, other: Zygote, fresh: Callable[[], Path]) -> None:
    """Which of them does the work is chance; who only waits has ended before its call comes."""
    ended = [load_at_once(zygote, other, fresh(), Fault(at)) for at in (40, 333, 617, 871)]
    assert any(one.killed for one in ended)


def test_of_two_daemons_one_works(zygote: Zygote, other: Zygote, place: FolderGround) -> None:
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(one.call, place.root, "chaos.people:up_until_idle") for one in (zygote, other)]
        ended = [future.result() for future in futures]
    # The second may come when the first has done its work already.
    assert all(one.code == 0 or "another process works for this lake" in one.err for one in ended), ended
    assert any(one.code == 0 for one in ended)
    assert settled(zygote, place.root, BOTH) == []


@pytest.mark.parametrize(
    "command", [("replay", "--all"), ("verify", "--repair"), ("catalog", "crawl", "--full"), ("ingest",)]
)
def test_whatever_else_somebody_does_meanwhile(
    zygote: Zygote, other: Zygote, place: FolderGround, command: tuple[str, ...]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        loading = pool.submit(zygote.run, place.root, "ingest")
        beside = [pool.submit(other.run, place.root, *command).result() for _ in range(2)]
        loaded = loading.result()
    assert loaded.code == 0, loaded.err
    # A table may be stale for as long as a load is under way.
    assert all(one.code == 0 or command[0] == "verify" for one in beside), beside
    assert zygote.run(place.root, "ingest").code == 0
    assert settled(zygote, place.root, BOTH) == []


def test_a_reader_sees_whole_files_whatever_happens(zygote: Zygote, other: Zygote, place: FolderGround) -> None:
    until, kills = place.root / "stop-reading", 0
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(
            other.call, place.root, "chaos.people:watch", given={"until": str(until)}, seconds=4 * WAIT
        )
        try:
            for number, files in enumerate([SECOND, FIRST, SECOND, FIRST, SECOND]):
                land(place.root, files)
                kills += zygote.run(place.root, "ingest", fault=Fault(200 + 190 * number)).killed
                assert zygote.run(place.root, "ingest").code == 0
                assert zygote.run(place.root, "replay", "--all").code == 0
        finally:
            until.touch()
        ended: Ended = reading.result()
    assert ended.code == 0, ended.err
    *rows, count = ended.out.splitlines()
    assert judge_answer([json.loads(row) for row in rows], [FIRST, SECOND]) == []
    assert int(count) > 0 and rows and kills
