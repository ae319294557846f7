"""305 files of real sales land at once, and `lakehead up` is killed again and again while it loads them."""

from __future__ import annotations

import json
import random
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos import truth
from chaos.bench import settled
from chaos.machine import Ended, Zygote
from chaos.people import BY_DAY
from chaos.scenes import Landed, land

UP = ("up", "--no-console")
FIRST_SECONDS = 1.0
"""How long `up` may work at most before it is killed for the first time. The machine decides what can be done in that:
after a kill that nothing was loaded before it may be longer, after another shorter."""
SHORTER, LONGER = 0.7, 1.3
MOST_KILLS = 500
"""A round that takes more makes no progress."""


@dataclass(frozen=True, slots=True)
class Round:
    """305 files loaded in spite of kills. `midway`: kills after which executions were under way."""

    root: Path
    kills: int
    midway: int
    looks: int
    problems: tuple[str, ...]


def retail(files: Path) -> Landed:
    """The raw keys and bytes of the daily files in a folder."""
    return {f"sales/orders/ingest_date={path.stem}/{path.name}": path.read_bytes() for path in files.glob("*.csv")}


def build(root: Path, landed: Landed) -> None:
    """A new lake in which all of them have landed."""
    from lakehead.examples import write_example

    write_example("retail", root)
    land(root, landed)


def rounds(worker: Zygote, reader: Zygote, folder: Path, landed: Landed, seed: int) -> Iterator[Round]:
    """Rounds without end, each in a new lake; one with problems is left where it is."""
    dice = random.Random(seed)
    while True:
        root = folder / f"lake-{dice.randrange(1 << 30)}"
        build(root, landed)
        found = one_round(worker, reader, root, landed, dice)
        if not found.problems:
            shutil.rmtree(root)
        yield found


def one_round(worker: Zygote, reader: Zygote, root: Path, landed: Landed, dice: random.Random) -> Round:
    """Kill `up` until all is loaded; meanwhile somebody queries."""
    kills = midway = done = 0
    longest, problems = FIRST_SECONDS, list[str]()
    with _Reading(reader, root, landed) as reading:
        while not problems and done < len(landed):
            ended = worker.run(root, *UP, kill_after=dice.uniform(0, longest))
            problems += _judge(ended)
            kills += ended.killed
            midway += _count(root, "workflow", "executions", "status = 'RUNNING'") > 0
            before, done = done, _count(root, "events", "events", "state = 'done'")
            longest *= SHORTER if done > before else LONGER
            if kills > MOST_KILLS:
                problems.append("a round makes no progress")
        last = worker.run(root, "ingest")
        problems += [] if last.code == 0 else [f"the last ingest ended with {last.code}: {last.out} {last.err}"]
    problems += reading.problems
    return Round(root, kills, midway, reading.looks, (*problems, *settled(worker, root, landed)))


def _judge(ended: Ended) -> list[str]:
    if ended.killed:
        return []
    return [f"up ended by itself with {ended.code}: {ended.out} {ended.err}"]


def _count(root: Path, database: str, table: str, condition: str) -> int:
    """How many rows there are; none where the process was killed before the table was made."""
    if not (root / truth.STATE / f"{database}.db").exists():
        return 0
    if not truth.table(root, database, f"SELECT 1 FROM sqlite_master WHERE name = '{table}'"):
        return 0
    ((count,),) = truth.table(root, database, f"SELECT count(*) FROM {table} WHERE {condition}")
    return int(count)


class _Reading:
    """Somebody who queries for the length of a block, and what was wrong with the answers."""

    def __init__(self, zygote: Zygote, root: Path, landed: Landed) -> None:
        self.problems: list[str] = []
        self.looks = 0
        self._zygote, self._root, self._days = zygote, root, _days(landed)
        self._stop = root / "stop-reading"
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> _Reading:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.touch()
        self._thread.join()

    def _read(self) -> None:
        given = {"until": str(self._stop), "sql": BY_DAY}
        ended = self._zygote.call(self._root, "chaos.people:watch", given=given, seconds=600)
        if ended.code != 0:
            self.problems.append(f"a reader failed with {ended.code}: {ended.err}")
            return
        *rows, count = ended.out.splitlines()
        self.looks = int(count)
        for day, *found in map(json.loads, rows):
            if found != self._days.get(day):
                self.problems.append(f"a reader saw a part of {day}: {found}, not {self._days.get(day)}")


def _days(landed: Landed) -> Mapping[str, list[Any]]:
    days: dict[str, list[Any]] = {}
    for data in landed.values():
        for day, (rows, quantity, _, total) in truth.expected(data).days.items():
            days[day] = [rows, quantity, str(total)]
    return days
