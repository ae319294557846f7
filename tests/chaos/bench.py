"""One case: a lake, a command that meets a fault, the recovery, and all that must hold afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chaos import truth
from chaos.ground import Ground
from chaos.machine import Ended, Fault, Zygote
from chaos.scenes import INGEST, Landed, Scene, give

ENDS = (0, 1, 2, 75)
"""How a command may end when a disk fails: done, failed, settings that cannot be read, try again later.

70 would be a fault of Lakehead.
"""
DEADLY = ("kill", "power", "memory")
CLEAN_RUNS = 3
"""Threads make the number of calls vary, so a sweep ends when so many runs in a row had fewer calls than asked for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case came to. `problems` is empty where every promise was kept."""

    scene: str
    fault: Fault
    ended: Ended
    problems: tuple[str, ...]
    redriven: int = 0

    @property
    def met(self) -> bool:
        """Whether the fault happened; else the command had fewer calls, or enough memory."""
        return self.ended.hit is not None or self.ended.killed

    def __str__(self) -> str:
        hit = self.ended.hit
        where = f"{hit.name} {hit.path}" if hit else "not met"
        told = "".join(f"\n  {problem}" for problem in self.problems)
        return f"{self.scene}, {self.fault.kind} at call {self.fault.at} ({where}):{told}"


class Bench:
    """Runs the cases of one scene, one after the other, on one ground."""

    def __init__(self, zygote: Zygote, ground: Ground, scene: Scene, *, mutation: str = "") -> None:
        self.zygote, self.ground, self.scene, self.mutation = zygote, ground, scene, mutation

    def case(self, fault: Fault) -> Outcome:
        """One fault and what comes of it."""
        ground, scene = self.ground, self.scene
        ground.fresh()
        scene.prepare(self.zygote, ground.root, fault.at)
        ended = give(self.zygote, ground.root, scene.command, ground.armed(fault), self.mutation)
        ground.after(fault)
        return self.judge(fault, ended)

    def judge(self, fault: Fault, ended: Ended) -> Outcome:
        """What a fault came to, by how the command ended and what it left."""
        scene = self.scene
        found = _judge_end(ended, fault)
        found += self._look([scene.earlier, scene.landed])
        redriven = 0
        if not found:
            redriven = self._recover(found, may_fail=fault.kind not in DEADLY)
            self._settle(found)
        return Outcome(scene.name, fault, ended, tuple(found), redriven)

    def _look(self, states: Sequence[Landed]) -> list[str]:
        """What is there before anybody mends it: whole raw files, and whole files' rows for a reader."""
        raw = truth.raw_files(self.ground.root)
        wrong = [key for key, data in raw.items() if all(data != one.get(key) for one in states)]
        found = [f"{key} is none of its versions" for key in wrong]
        if not self.scene.readable:
            return found
        answer = self.zygote.call(self.ground.root, "chaos.people:look", mutation=self.mutation)
        if answer.code != 0:
            return [*found, f"a reader failed with {answer.code}: {answer.err}"]
        return [*found, *judge_answer(json.loads(answer.out), states)]

    def _recover(self, found: list[str], *, may_fail: bool) -> int:
        """Give the command again, and then redrive what had failed because of the disk. Returns how many."""
        root = self.ground.root
        for command in self.scene.recover:
            again = give(self.zygote, root, command, mutation=self.mutation)
            if again.code not in ((0, 1) if may_fail else (0,)) or "Traceback" in again.err:
                found.append(f"the recovery ended with {again.code}:\n{again.out}\n{again.err}")
        failed = truth.failed_executions(root)
        if failed and not may_fail:
            found.append(f"executions failed: {failed}")
        for name in failed:
            redriven = self.zygote.run(root, "runs", "redrive", name, mutation=self.mutation)
            if redriven.code != 0:
                found.append(f"redriving {name} ended with {redriven.code}: {redriven.out} {redriven.err}")
        return len(failed)

    def _settle(self, found: list[str]) -> None:
        found += settled(self.zygote, self.ground.root, self.scene.landed)


def _judge_end(ended: Ended, fault: Fault) -> list[str]:
    if ended.code is None:
        return [f"the command hung:\n{ended.err}"]
    if ended.killed:
        expected = fault.kind == "memory" or (fault.kind in DEADLY and ended.hit)
        return [] if expected else ["something else killed the command"]
    told = "Traceback" in ended.err or "Logging error" in ended.err
    if ended.code not in ENDS or told or (ended.hit is None and ended.code):
        return [f"the command ended with {ended.code}:\n{ended.out}\n{ended.err}"]
    return []


def settled(zygote: Zygote, root: Any, landed: Landed) -> list[str]:
    """What is wrong with a lake at rest: by the truth, by `verify`, and by what another run changes."""
    found = truth.problems(root, landed)
    verified = zygote.run(root, "--output", "json", "verify")
    if verified.code != 0 or json.loads(verified.out)["findings"]:
        found.append(f"verify ended with {verified.code}: {verified.out} {verified.err}")
    before = truth.snapshot(root)
    again = zygote.run(root, *INGEST)
    if again.code != 0 or not again.out.startswith("Nothing new"):
        found.append(f"a second run ended with {again.code}: {again.out} {again.err}")
    after = truth.snapshot(root)
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return [*found, f"a second run changed {changed}"] if changed else found


def judge_answer(answer: list[list[Any]], states: Sequence[Mapping[str, bytes]]) -> list[str]:
    """Whether each file's rows in an answer are those of one of its versions. A file's order ids share a thousand."""
    legal: dict[int, list[list[Any]]] = {}
    for state in states:
        for data in state.values():
            rows = truth.expected(data).rows
            quantity, total = sum(int(row[3]) for row in rows), sum((Decimal(row[6]) for row in rows), Decimal(0))
            for thousand in {int(row[0]) // 1000 for row in rows}:
                legal.setdefault(thousand, []).append([len(rows), quantity, str(total)])
    parts = [one for one in answer if one[1:] not in legal.get(one[0], [])]
    return [f"a reader saw a part of file {file}: {rest}" for file, *rest in parts]


def sweep(
    bench: Bench, kind: str, *, start: int = 1, step: int = 1, length: int = 1, suffix: str = ""
) -> Iterator[Outcome]:
    """Cases at call `start`, `start + step`, ... until the command runs to its end without the fault."""
    clean, at = 0, start
    while clean < CLEAN_RUNS:
        outcome = bench.case(Fault(at, kind, length, suffix))
        clean = 0 if outcome.met else clean + 1
        at += step
        yield outcome
