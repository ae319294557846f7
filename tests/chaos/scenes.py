"""Small lakes of the sales contract, as they are before a fault, and the commands that meet it."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from chaos import truth
from chaos.machine import Ended, Fault, Zygote
from chaos.truth import PROCESSED, RAW

Landed: TypeAlias = Mapping[str, bytes]
"""Raw keys and their bytes."""

Command: TypeAlias = tuple[str, ...]
"""The words after `lakehead`, or a function of these tests as `module:name`. `{root}` stands for the lake's folder."""

HEADER = "order_id,customer_id,product,quantity,price,order_date\n"
FEED = """
[[notify]]
name = "feed"
url = "console:"
"""
INGEST: Command = ("ingest",)
BOUNDED: Command = ("ingest", "--timeout", "2")
"""For a disk that does not get better: without a bound the work would wait for minutes."""


def key(name: str) -> str:
    """Where a file of this name lands."""
    return f"sales/orders/ingest_date=2025-01-05/{name}"


def text(first: int, *rows: str) -> bytes:
    """A file whose rows have order ids from `first` on."""
    return (HEADER + "".join(f"{first + number},{row}\n" for number, row in enumerate(rows))).encode()


FIRST: Landed = {
    key("a.csv"): text(
        1000, "C1,Laptop,1,75000,2025-01-01", "C2,Mouse,2,500.50,2025-01-01", "C3,Cable,3,0.01,2025-01-02"
    ),
    key("b.csv"): text(
        2000,
        "C4,Mouse,3,500,2025-01-02",
        ",Cable,1,1,2025-01-02",
        "C5,Lamp,x,1,2025-01-02",
        "C6,Lamp,4,19.99,2025-01-03",
    ),
    key("c.csv"): text(3000, 'C7,"Keyboard ""Compact""",2,1750,2025-01-03', "C8,Desk,1,-1,2025-01-03"),
}
"""Three files: two with rows that break the contract, one with a row in quotes."""

SECOND: Landed = {
    key("a.csv"): text(
        1000, "C1,Laptop,2,75000,2025-01-01", "C9,Mouse,7,500.50,2025-01-04", "C3,Cable,3,0.015,2025-01-02"
    ),
    key("d.csv"): text(4000, ",Nothing,1,1,2025-01-01", "C1,Screen,1,189.95,2025-01-01"),
}
"""One file is rewritten, with other days and rows that now break the contract, and one is new."""


def write_lake(root: Path) -> None:
    """A new lake, without anything in it."""
    from lakehead.examples import write_example

    write_example("sales", root)
    with (root / "lakehead.toml").open("a") as settings:
        settings.write(FEED)


def land(root: Path, files: Landed) -> None:
    """Land files as another program would: each written aside and renamed into place."""
    for name, data in files.items():
        path = root / RAW / name
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.part")
        aside.write_bytes(data)
        aside.rename(path)


@dataclass(frozen=True)
class Scene:
    """A lake before a fault, and the command that meets it.

    `landed` is what the raw zone holds in the end; `earlier` what was loaded before the command. `recover` is what
    somebody types after a crash. `prepare` runs before each case; it gets the number of the call that is to fail.
    `readable`: a query can be answered at any time.
    """

    name: str
    build: Callable[[Zygote, Path], None]
    landed: Landed
    earlier: Landed = field(default_factory=dict)
    command: Command = INGEST
    recover: tuple[Command, ...] = (INGEST,)
    prepare: Callable[[Zygote, Path, int], None] = lambda _zygote, _root, _at: None
    readable: bool = True


def give(zygote: Zygote, root: Path, command: Command, fault: Fault | None = None, mutation: str = "") -> Ended:
    """Run one of a scene's commands."""
    if ":" in command[0]:
        return zygote.call(root, command[0], fault=fault, mutation=mutation)
    return zygote.run(root, *(word.format(root=root) for word in command), fault=fault, mutation=mutation)


def landed_first(_zygote: Zygote | None, root: Path) -> None:
    """Three files have landed in a new lake."""
    write_lake(root)
    land(root, FIRST)


def loaded_first(zygote: Zygote, root: Path) -> None:
    """Three files are loaded."""
    landed_first(zygote, root)
    _done(zygote.run(root, "ingest"))


def landed_second(zygote: Zygote, root: Path) -> None:
    """Three files are loaded; one of them was rewritten since, and another has landed."""
    loaded_first(zygote, root)
    land(root, SECOND)


def _incoming(zygote: Zygote, root: Path) -> None:
    """Three files are loaded; two lie beside the lake to be put into it."""
    loaded_first(zygote, root)
    (root / "incoming").mkdir()
    for name, data in SECOND.items():
        (root / "incoming" / Path(name).name).write_bytes(data)


def _crashed(zygote: Zygote, root: Path, at: int) -> None:
    """Somewhere in its work another process was killed."""
    zygote.run(root, "ingest", fault=Fault(random.Random(at).randrange(1, 1700)))


def _damaged(zygote: Zygote, root: Path) -> None:
    """A lake that was loaded, and then met somebody with root's rights."""
    loaded_first(zygote, root)
    processed = root / PROCESSED
    records = truth.records(root)
    data = records[key("a.csv")]["files"][0]["key"]
    beginning, _, ending = data.rpartition("-")
    shutil.copy(processed / data, processed / f"{beginning[:-12]}{'0' * 12}-{ending}")
    record = processed / truth.RECORDS / records[key("b.csv")]["file"]
    record.write_bytes(record.read_bytes()[:1500])
    (processed / records[key("c.csv")]["files"][0]["key"]).unlink()
    stale = processed / ".lakehead/staging/long-gone"
    stale.mkdir(parents=True)
    (stale / "half.parquet").write_bytes(b"PAR1")
    for path in (stale / "half.parquet", stale):
        os.utime(path, (0, 0))


def _done(ended: Ended) -> None:
    if ended.code != 0:
        raise RuntimeError(f"a scene cannot be built: {ended}")


DELETE: Command = ("delete", key("b.csv"), "--yes", "--by", "a test")
DELETE_PREFIX: Command = ("delete", "--prefix", key("b"), "--yes", "--by", "a test")
KEPT = {name: data for name, data in FIRST.items() if name != key("b.csv")}
BOTH = {**FIRST, **SECOND}
PUT: Command = ("put", "--ingest-date", "2025-01-05", "{root}/incoming/a.csv", "{root}/incoming/d.csv")
REPAIR: Command = ("verify", "--repair")

SCENES = {
    scene.name: scene
    for scene in (
        Scene("first", landed_first, FIRST),
        Scene("rewrite", landed_second, BOTH, FIRST),
        Scene("replay", loaded_first, FIRST, FIRST, ("replay", "--all")),
        Scene("put", _incoming, BOTH, FIRST, PUT, (PUT, INGEST)),
        Scene("up", landed_second, BOTH, FIRST, ("chaos.people:up_until_idle",)),
        Scene("recovery", landed_second, BOTH, FIRST, prepare=_crashed),
        Scene("delete", loaded_first, KEPT, FIRST, DELETE, (DELETE, INGEST)),
        Scene("delete-prefix", loaded_first, KEPT, FIRST, DELETE_PREFIX, (DELETE_PREFIX, INGEST)),
        Scene("repair", _damaged, FIRST, FIRST, REPAIR, (REPAIR, INGEST), readable=False),
    )
}
"""What is killed: a first load, a rewrite, a replay, a put, the daemon, a deletion, a recovery, and a repair."""
