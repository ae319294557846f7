"""Times the workflow engine: in memory beside moto's interpreter, and durable beside what bare SQLite needs.

    python -m benchmarks.workflow [--rounds N] [--executions N] [--json FILE]

Contenders take turns, and figures are medians over the rounds; compare the ratios, not the absolute numbers.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from lakehead.workflow import execute
from lakehead.workflow.journal import Journal, Start
from lakehead.workflow.types import TaskRequest
from lakehead.workflow.worker import Worker

Figures = dict[str, Any]

WORK = "arn:aws:states:::demo:work"
TASKS = 7
LOOPS = 500
EVENTS = 20_000
PAGE = 100
ROUNDS = 5
EXECUTIONS = 100_000


def counting(step: dict[str, Any]) -> dict[str, Any]:
    """A machine that goes round `step`, which adds one to `n`, until `n` is `until`."""
    return {
        "StartAt": "Count",
        "States": {
            "Count": {**step, "Next": "Enough"},
            "Enough": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericLessThanPath": "$.until", "Next": "Count"}],
                "Default": "Done",
            },
            "Done": {"Type": "Succeed"},
        },
    }


PASS_LOOP = counting({"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)", "until.$": "$.until"}})
TASK_LOOP = counting({"Type": "Task", "Resource": WORK})


def chain(length: int) -> dict[str, Any]:
    """A machine of tasks, one after the other."""
    states = {
        f"T{i}": {"Type": "Task", "Resource": WORK, **({"Next": f"T{i + 1}"} if i + 1 < length else {"End": True})}
        for i in range(length)
    }
    return {"StartAt": "T0", "States": states}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workflow")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often the contenders take turns")
    parser.add_argument("--executions", type=int, default=EXECUTIONS, help="how many the long listing has")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakehead-bench-") as folder:
        figures = run(Path(folder), options.rounds, options.executions)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def run(root: Path, rounds: int = ROUNDS, executions: int = EXECUTIONS) -> Figures:
    """Measure and print everything."""
    return {
        "in_memory": in_memory(rounds),
        "durable": durable(root, rounds),
        "long_execution": long_execution(root, rounds),
        "listing": listing(root, rounds, executions),
    }


# In memory, beside moto


def in_memory(rounds: int) -> Figures:
    """States per second of one loop of Pass and Choice, definitions parsed each time."""
    states = 2 * LOOPS + 1
    given, expected = {"n": 0, "until": LOOPS}, {"n": LOOPS, "until": LOOPS}
    ours: list[float] = []
    motos: list[float] = []
    with moto_machine(PASS_LOOP) as moto:
        for _ in range(rounds):
            for seconds, contender in ((ours, lakehead), (motos, moto)):
                taken, output = contender(given)
                if output != expected:
                    raise SystemExit(f"the interpreters do not agree: {output} is not {expected}")
                seconds.append(taken)
    speeds = {name: states / statistics.median(taken) for name, taken in (("lakehead", ours), ("moto", motos))}
    print(f"a loop of {states:,} states in memory")
    for name, speed in speeds.items():
        print(f"  {name:<9} {speed:12,.0f} states/s {speed / speeds['moto']:8.1f}x")
    print()
    return {"states": states, "states_per_second": speeds, "ratio": speeds["lakehead"] / speeds["moto"]}


def lakehead(given: dict[str, Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = execute(PASS_LOOP, given, lambda _state, _request: {})
    return time.perf_counter() - started, result.output


@contextmanager
def moto_machine(definition: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], tuple[float, Any]]]:
    """Runs a definition on moto's interpreter: the seconds from start to stop, as moto tells them, and the output."""
    import boto3
    from moto import mock_aws

    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        client: Any = boto3.client("stepfunctions", region_name="us-east-1")
        machine = client.create_state_machine(
            name="loop", definition=json.dumps(definition), roleArn="arn:aws:iam::123456789012:role/states"
        )["stateMachineArn"]

        def once(given: dict[str, Any]) -> tuple[float, Any]:
            name = f"run-{time.monotonic_ns()}"
            execution = client.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))
            # Asked seldom, so that asking takes no time from the interpreter, which runs in a thread of this process.
            while (told := client.describe_execution(executionArn=execution["executionArn"]))["status"] == "RUNNING":
                time.sleep(0.05)
            taken: timedelta = told["stopDate"] - told["startDate"]
            return taken.total_seconds(), json.loads(told.get("output", "null"))

        once({"n": 0, "until": 1})
        yield once


# Durable, beside bare SQLite


def answer(request: TaskRequest) -> Any:
    return request.arguments


@contextmanager
def working(journal: Journal) -> Iterator[None]:
    """Let a worker with trivial handlers run in a thread."""
    stop = threading.Event()
    worker = Worker(journal, {WORK: answer})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(worker.run, stop)
        try:
            yield
        finally:
            stop.set()
            worker.wake()
            running.result(60)


def durable(root: Path, rounds: int, together: int = 500, alone: int = 100) -> Figures:
    """Executions of seven tasks: many at once, then one at a time beside bare commits of the same number."""
    speeds, latencies, commits = [], [], []
    for number in range(rounds):
        with Journal(root / f"durable-{number}.db") as journal, working(journal):
            speeds.append(together / many(journal, together))
            for index in range(alone):
                latencies.append(one(journal, f"alone-{index}"))
        commits += bare_commits(root / f"bare-{number}.db", alone)
    p50, p99 = statistics.median(latencies), statistics.quantiles(latencies, n=100)[98]
    floor = statistics.median(commits)
    print(f"durable executions of {TASKS} tasks, synchronous=FULL, trivial handlers")
    print(f"  {together} at once     {statistics.median(speeds):8,.0f} executions/s")
    print(f"  one at a time    p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    print(f"  bare SQLite      p50 {floor * 1000:.1f} ms for {TASKS + 1} commits of one row  {p50 / floor:.1f}x\n")
    return {
        "executions_per_second": statistics.median(speeds),
        "alone_p50_seconds": p50,
        "alone_p99_seconds": p99,
        "bare_sqlite_p50_seconds": floor,
        "ratio_to_bare_sqlite": p50 / floor,
    }


def many(journal: Journal, count: int) -> float:
    started = time.perf_counter()
    journal.start_executions(Start(f"together-{index}", chain(TASKS), {"index": index}) for index in range(count))
    while journal.count("RUNNING"):
        time.sleep(0.005)
    taken = time.perf_counter() - started
    if journal.count("SUCCEEDED") != count:
        raise SystemExit(f"executions failed: {journal.counts()}")
    return taken


def one(journal: Journal, name: str) -> float:
    started = time.perf_counter()
    journal.start_execution(name, chain(TASKS), {})
    ended = journal.wait_for(name, 60)
    if ended.status != "SUCCEEDED":
        raise SystemExit(f"an execution failed: {ended}")
    return time.perf_counter() - started


def bare_commits(path: Path, count: int) -> list[float]:
    """Seconds that SQLite takes for as many durable commits as an execution has steps, however little they write."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for setup in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE rows (text TEXT)"):
            connection.execute(setup)
        taken = []
        for _ in range(count):
            started = time.perf_counter()
            for _ in range(TASKS + 1):
                connection.execute("INSERT INTO rows VALUES ('a row')")
            taken.append(time.perf_counter() - started)
        return taken
    finally:
        connection.close()


# One long execution


def long_execution(root: Path, rounds: int) -> Figures:
    """Seconds of a step at the beginning and at the end of an execution whose history grows long."""
    print(f"one execution of {EVENTS:,} events: a step of the last tenth beside one of the first")
    figures: Figures = {}
    for name, contender in (("in memory", long_in_memory), ("durable", long_durable)):
        firsts, lasts = zip(*(tenths(contender(root / f"long-{number}.db")) for number in range(rounds)), strict=True)
        first, last = statistics.median(firsts), statistics.median(lasts)
        print(f"  {name:<9} {first * 1e6:8.0f} us {last * 1e6:8.0f} us {last / first:6.2f}x")
        figures[name.replace(" ", "_")] = {"first_seconds": first, "last_seconds": last, "ratio": last / first}
    print()
    return figures


def tenths(moments: list[float]) -> tuple[float, float]:
    """The median step of the first tenth and of the last."""
    steps = [after - before for before, after in pairwise(moments)]
    tenth = len(steps) // 10
    return statistics.median(steps[:tenth]), statistics.median(steps[-tenth:])


def rounds_of(events: int) -> int:
    # Entered, Scheduled, Started, Succeeded and Exited of the task, Entered and Exited of the choice.
    return events // 7


def add_one(moments: list[float], data: dict[str, int]) -> dict[str, int]:
    moments.append(time.perf_counter())
    return {**data, "n": data["n"] + 1}


def long_in_memory(_: Path) -> list[float]:
    moments: list[float] = []
    given = {"n": 0, "until": rounds_of(EVENTS)}
    result = execute(TASK_LOOP, given, lambda _, request: {"output": add_one(moments, request)})
    if result.status != "SUCCEEDED":
        raise SystemExit(f"the long execution failed: {result.error}: {result.cause}")
    return moments


def long_durable(path: Path) -> list[float]:
    moments: list[float] = []
    with Journal(path) as journal:
        worker = Worker(journal, {WORK: lambda request: add_one(moments, request.arguments)}, pools={"default": 1})
        # The first one lets SQLite's log grow to its size, which is not the execution's cost.
        for name, events in (("warm-up", EVENTS // 10), ("long", EVENTS)):
            moments.clear()
            journal.start_execution(name, TASK_LOOP, {"n": 0, "until": rounds_of(events)})
            if not worker.run_until_idle(600) or journal.describe(name).status != "SUCCEEDED":
                raise SystemExit(f"the long execution failed: {journal.describe(name)}")
    return moments


# Listing


class Ticking:
    """A clock that goes on by a minute when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def tick(self) -> None:
        self.now += timedelta(minutes=1)


def filled(path: Path, count: int) -> Journal:
    """A journal with executions of two statuses and four datasets, a hundred in each minute."""
    clock = Ticking()
    journal = Journal(path, clock=clock)
    machine = {
        "StartAt": "Good",
        "States": {
            "Good": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.good", "BooleanEquals": True, "Next": "Done"}],
                "Default": "Bad",
            },
            "Done": {"Type": "Pass", "End": True},
            "Bad": {"Type": "Fail", "Error": "Bad"},
        },
    }
    for first in range(0, count, PAGE):
        journal.start_executions(
            Start(f"run-{n:07}", machine, {"good": n % 5 > 0}, {"dataset": f"dataset-{n % 4}", "bucket": "raw"})
            for n in range(first, first + PAGE)
        )
        clock.tick()
    return journal


def pages(count: int) -> dict[str, dict[str, Any]]:
    """Conditions of `Journal.executions`, each of which fills a page at least."""
    middle = count // 2 // PAGE * PAGE
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=middle // PAGE)
    return {
        "first page": {},
        "page in the middle": {"after": f"run-{middle:07}"},
        "by status": {"status": "FAILED"},
        "by label": {"labels": {"dataset": "dataset-3"}},
        "by label and status": {"labels": {"dataset": "dataset-3"}, "status": "SUCCEEDED"},
        "by name prefix": {"name_prefix": f"run-{middle:07}"[:-2]},
        "by time window": {"since": moment, "until": moment + timedelta(minutes=1)},
    }


def listing(root: Path, rounds: int, executions: int) -> Figures:
    """Milliseconds of a page of a hundred, among many executions and among a thousand."""
    sizes = (1_000, executions)
    started = time.perf_counter()
    journals = {size: filled(root / f"listing-{size}.db", size) for size in sizes}
    built = time.perf_counter() - started
    print(f"a page of {PAGE} out of {sizes[0]:,} and out of {sizes[1]:,} executions (made in {built:.0f} s)")
    figures: Figures = {"executions": executions}
    for name in pages(executions):
        taken: dict[int, list[float]] = {size: [] for size in sizes}
        for _ in range(rounds * 10):
            for size in sizes:
                taken[size].append(looking(journals[size], pages(size)[name]))
        small, large = (statistics.median(taken[size]) for size in sizes)
        print(f"  {name:<20} {small * 1000:8.2f} ms {large * 1000:8.2f} ms {large / small:6.2f}x")
        figures[name.replace(" ", "_")] = {"small_seconds": small, "large_seconds": large, "ratio": large / small}
    for journal in journals.values():
        journal.close()
    print()
    return figures


def looking(journal: Journal, conditions: dict[str, Any]) -> float:
    started = time.perf_counter()
    found = journal.executions(limit=PAGE, **conditions)
    taken = time.perf_counter() - started
    if len(found) != PAGE:
        raise SystemExit(f"a page of {len(found)} for {conditions}")
    return taken


if __name__ == "__main__":
    sys.exit(main())
