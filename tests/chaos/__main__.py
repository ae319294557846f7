"""`make chaos`: the long form of the sweeps, for half an hour and more. Prints the figures and what could not be run
here; ends with 1 on a violation.

What has been done is written to `build/chaos/progress.jsonl`, one case a line, and the lake of each violation is kept
beside it. `python -m chaos kills power ...` runs only some of the parts.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TextIO, TypeAlias

from chaos import burst
from chaos.bench import Bench, sweep
from chaos.ground import OPTIONS, DiskGround, FolderGround, Ground, no_disk
from chaos.machine import Zygote
from chaos.scenes import BOUNDED, SCENES
from chaos.syscalls import TROUBLES

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build/chaos"
RETAIL = ROOT.parent / "shared/data/uci-online-retail"
BURST_KILLS = 500

KILLS = {"first": 2, "rewrite": 1, "replay": 5, "put": 1, "up": 5, "recovery": 5, "repair": 5}
KILLS |= {"delete": 1, "delete-prefix": 5}
ERRORS = {"EIO": 13, "ENOSPC": 11, "EMFILE": 2, "EROFS": 2}
LASTING = {"EIO": 61, "ENOSPC": 53, "EMFILE": 7, "EROFS": 7}
POWER = {"first": 13, "rewrite": 9}
"""How many system calls lie between two faults, by scene or by error."""


@dataclass(frozen=True, slots=True)
class Case:
    """What one case came to."""

    met: int
    problems: tuple[str, ...]
    told: str


@dataclass
class Part:
    """One line of the figures."""

    name: str
    cases: int = 0
    met: int = 0
    violations: int = 0
    seconds: float = 0.0


Job: TypeAlias = Callable[["Desk"], Iterator[Case]]
"""A part's cases, run by one worker."""


@dataclass
class Desk:
    """What one worker has: a process that forks, another that reads, and a folder."""

    zygote: Zygote
    reader: Zygote
    folder: Path


def swept(
    desk: Desk, *, name: str, kind: str, start: int, step: int, length: int = 1, options: str = ""
) -> Iterator[Case]:
    """The cases of a sweep; a lake that shows a violation is kept."""
    scene = SCENES[name]
    if length == 0:
        scene = replace(scene, command=BOUNDED)
    build = partial(scene.build, desk.zygote)
    where = desk.folder / f"{name}-{kind}-{start}-{length}"
    ground: Ground = DiskGround(where, build, options=options) if options else FolderGround(where, build)
    try:
        for outcome in sweep(Bench(desk.zygote, ground, scene), kind, start=start, step=step, length=length):
            if outcome.problems:
                found = f"{outcome.scene}-{outcome.fault.kind}-{outcome.fault.at}"
                keep(ground.root, found, f"{outcome}\n{outcome.ended.out}\n{outcome.ended.err}")
            yield Case(outcome.met, outcome.problems, str(outcome))
    finally:
        if isinstance(ground, DiskGround):
            ground.close()
        shutil.rmtree(where, ignore_errors=True)


def keep(root: Path, name: str, told: str) -> None:
    """Copy the lake that a violation left."""
    target = OUT / "violations" / f"{name}-{time.time_ns()}"
    shutil.copytree(root, target)
    (target / "violation.txt").write_text(told)


def bursts(desk: Desk, *, kills: int, seed: int) -> Iterator[Case]:
    """Rounds of 305 files until so many kills have been made."""
    landed = burst.retail(RETAIL)
    for found in burst.rounds(desk.zygote, desk.reader, desk.folder, landed, seed):
        kills -= found.kills
        told = f"305 files, {found.kills} kills, {found.midway} midway, {found.looks} looks"
        if found.problems:
            keep(found.root, f"burst-{seed}", "\n".join((told, *found.problems)))
        yield Case(found.kills, found.problems, told)
        if kills <= 0 or found.problems:
            return


def plan(wanted: Sequence[str]) -> Iterator[tuple[str, Job]]:
    """All jobs, each with the name of its part. Long sweeps are halved, so that two workers share them."""
    if "kills" in wanted:
        for name, step in KILLS.items():
            for start in (1, 1 + step):
                yield f"kill -9, {name}", partial(swept, name=name, kind="kill", start=start, step=2 * step)
    if "errors" in wanted:
        for kind in TROUBLES:
            for name in ("first", "rewrite", "delete"):
                yield f"{kind} once", partial(swept, name=name, kind=kind, start=1, step=ERRORS[kind])
            yield (
                f"{kind} from then on",
                partial(swept, name="rewrite", kind=kind, start=1, step=LASTING[kind], length=0),
            )
    if "power" in wanted and not no_disk():
        for name, step in POWER.items():
            for number, options in enumerate(OPTIONS):
                sweeping = partial(swept, name=name, kind="power", start=1 + number * step, step=2 * step)
                yield f"power loss, {name}", partial(sweeping, options=options)
    if "burst" in wanted and RETAIL.is_dir():
        for seed in (1, 2):
            yield "kill -9 in a burst", partial(bursts, kills=BURST_KILLS // 2, seed=seed)


def left_out(wanted: Sequence[str]) -> Iterator[str]:
    """The parts that cannot be run here, each with the reason."""
    if "power" in wanted and (reason := no_disk()):
        yield f"power: {reason}"
    if "burst" in wanted and not RETAIL.is_dir():
        yield f"burst: there is no {RETAIL}"


class Board:
    """The figures so far, and the file that keeps them."""

    def __init__(self, progress: TextIO) -> None:
        self.parts: dict[str, Part] = {}
        self._progress, self._lock = progress, threading.Lock()

    def note(self, name: str, case: Case, seconds: float) -> None:
        """Count a case."""
        with self._lock:
            part = self.parts.setdefault(name, Part(name))
            part.cases, part.met, part.seconds = part.cases + 1, part.met + case.met, part.seconds + seconds
            part.violations += bool(case.problems)
            line = {"part": name, "seconds": round(seconds, 2), "met": case.met, "told": case.told}
            self._progress.write(json.dumps({**line, "problems": case.problems}) + "\n")
            self._progress.flush()
            if case.problems:
                sys.stderr.write(f"VIOLATION {name}: {case.told}\n  " + "\n  ".join(case.problems) + "\n")

    def failed(self, name: str, error: BaseException) -> None:
        """A part that could not be run to its end is a violation, too."""
        self.note(name, Case(0, (f"{type(error).__name__}: {error}",), "could not go on"), 0.0)

    def table(self) -> str:
        """The figures, as Markdown."""
        lines = ["| fault | cases | faults met | violations | minutes of work |", "|---|--:|--:|--:|--:|"]
        for part in sorted(self.parts.values(), key=lambda one: one.name):
            minutes = part.seconds / 60
            lines.append(f"| {part.name} | {part.cases:,} | {part.met:,} | {part.violations} | {minutes:.1f} |")
        return "\n".join(lines)


def work(jobs: queue.SimpleQueue[tuple[str, Job]], board: Board, folder: Path) -> None:
    """Take jobs until there are none."""
    while True:
        try:
            name, job = jobs.get_nowait()
        except queue.Empty:
            return
        try:
            with Zygote() as zygote, Zygote() as reader:
                since = time.monotonic()
                for case in job(Desk(zygote, reader, folder)):
                    now = time.monotonic()
                    board.note(name, case, now - since)
                    since = now
        except Exception as error:
            board.failed(name, error)


def main() -> int:
    """Run the parts that are asked for, side by side."""
    parts = ("burst", "power", "kills", "errors")
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all unless told")
    parser.add_argument("--workers", type=int, default=(os.cpu_count() or 1) + 1)
    asked = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    memory = Path("/dev/shm")
    ground = (memory if memory.is_dir() else OUT) / f"lakehead-chaos-{os.getpid()}"
    missing = "".join(f"NOT RUN, {reason}\n" for reason in left_out(asked.parts or parts))
    sys.stderr.write(missing)
    jobs: queue.SimpleQueue[tuple[str, Job]] = queue.SimpleQueue()
    for part in parts:
        for job in plan([part]) if part in (asked.parts or parts) else ():
            jobs.put(job)
    with (OUT / "progress.jsonl").open("w") as progress:
        board = Board(progress)
        workers = [
            threading.Thread(target=work, args=(jobs, board, ground / str(number))) for number in range(asked.workers)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    shutil.rmtree(ground, ignore_errors=True)
    sys.stdout.write(f"{board.table()}\n{missing}")
    return int(any(part.violations for part in board.parts.values()))


if __name__ == "__main__":
    sys.exit(main())
