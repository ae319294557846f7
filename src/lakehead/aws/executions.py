"""Executions of a deployed lake: Step Functions asked for what the embedded journal tells."""

from __future__ import annotations

import heapq
import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from lakehead.aws.api import Aws, Expected
from lakehead.errors import Busy, ExecutionNotFound, NotRedrivable
from lakehead.model import Json, iso
from lakehead.results import RunDetail, RunSummary

DESCRIBES = 8
"""How many executions are described at the same time."""
BATCH = 100
LOOK_SECONDS = 2.0
"""Pause between two looks: 20 executions at a time stay below the 10 to 15 descriptions a second that AWS grants."""
WAIT_SECONDS = 6 * 3600 + 300.0
"""The workflow's own time-out, and a little more: what runs longer is no execution of it."""


class Executions:
    """The executions of all datasets. `machines` holds each dataset's state machine, by ARN."""

    def __init__(self, aws: Aws, machines: Mapping[str, str]) -> None:
        self._aws, self._machines = aws, machines
        self._datasets = {machine: dataset for dataset, machine in machines.items()}
        self._seen: dict[str, str] = {}
        self._redriven: dict[str, datetime] = {}

    def listed(
        self,
        *,
        status: str | None = None,
        dataset: str | None = None,
        key: str | None = None,
        since: datetime | None = None,
        limit: int,
        after: str | None = None,
    ) -> list[RunSummary]:
        """Executions, newest first. Step Functions tells a key only execution by execution, so `key` takes longer."""
        machines = [self._machines[dataset]] if dataset else list(self._machines.values())
        found: list[RunSummary] = []
        entries = self._after(self._merged(machines, status), after)
        if since:
            entries = itertools.takewhile(lambda entry: entry["startDate"] >= since, entries)
        with ThreadPoolExecutor(DESCRIBES) as pool:
            while len(found) < limit:
                batch = list(itertools.islice(entries, BATCH if key else limit - len(found)))
                if not batch:
                    break
                runs = pool.map(lambda entry: self.summary(self._described(entry["executionArn"])), batch)
                found += [run for run in runs if key in (None, run.key)]
        return found[:limit]

    def found(self, name: str) -> dict[str, Any]:
        """What Step Functions tells of an execution. Raises ExecutionNotFound."""
        known = [self._seen[name]] if name in self._seen else self._machines.values()
        for machine in known:
            try:
                told = self._described(execution_arn(machine, name), expected=("ExecutionDoesNotExist",))
            except Expected:
                continue
            self._seen[name] = machine
            return told
        hint = "List them with: lakehead runs ls. AWS forgets an execution 90 days after its end."
        raise ExecutionNotFound("no such execution", hint=hint, name=name)

    def detail(self, name: str) -> RunDetail:
        """An execution with its history. Raises ExecutionNotFound."""
        told = self.found(name)
        output = json.loads(told["output"]) if told.get("output") else None
        return RunDetail(self.summary(told), json.loads(told["input"]), output, tuple(self.history(told)))

    def history(self, told: Mapping[str, Any]) -> Iterator[dict[str, Json]]:
        """The history events of an execution, in order, as the embedded engine writes them."""
        asked = {"executionArn": told["executionArn"], "includeExecutionData": True}
        for page in self._aws.pages("stepfunctions", "get_execution_history", **asked):
            yield from (_plain(event) for event in page["events"])

    def document(self, name: str) -> dict[str, Json]:
        """The workflow document that an execution runs. Raises ExecutionNotFound."""
        arn = self.found(name)["executionArn"]
        told = self._aws.call("stepfunctions", "describe_state_machine_for_execution", executionArn=arn)
        document: dict[str, Json] = json.loads(told["definition"])
        return document

    def start(self, dataset: str, name: str, event: Json) -> None:
        """Start an execution for an event."""
        machine, text = self._machines[dataset], json.dumps(event, ensure_ascii=False)
        self._seen[name] = machine
        self._aws.call("stepfunctions", "start_execution", stateMachineArn=machine, name=name, input=text)

    def stop(self, name: str, *, error: str, cause: str) -> RunSummary:
        """Stop a running execution; one that has ended already stays as it is."""
        told = self.found(name)
        if told["status"] == "RUNNING":
            arn = told["executionArn"]
            self._aws.call("stepfunctions", "stop_execution", executionArn=arn, error=error, cause=cause)
            return self.ended(name)
        return self.summary(told)

    def redrive(self, name: str) -> bool:
        """Go on with a failed execution where it failed. False where it ended in a Fail state, which it would only
        enter again. Raises NotRedrivable for one that did not fail, or that AWS does not go on with.
        """
        told = self.found(name)
        if told["status"] in ("RUNNING", "SUCCEEDED"):
            hint = "Only one that failed can be redriven."
            raise NotRedrivable(f"the execution is {told['status']}", hint=hint, name=name)
        arn = told["executionArn"]
        asked = {"executionArn": arn, "reverseOrder": True, "maxResults": 2}
        newest = self._aws.call("stepfunctions", "get_execution_history", **asked)["events"]
        if any(event["type"] == "FailStateEntered" for event in newest):
            return False
        expected = ("ExecutionNotRedrivable",)
        try:
            answer = self._aws.call("stepfunctions", "redrive_execution", executionArn=arn, expected=expected)
        except Expected as error:
            hint = f"Load its object again instead: lakehead replay --key {self.summary(told).key}"
            raise NotRedrivable(error.message, hint=hint, name=name) from error
        self._redriven[name] = answer["redriveDate"]
        return True

    def ended(self, name: str) -> RunSummary:
        """The execution, once it has ended."""
        for run in self.ends([name]):
            return run
        raise ExecutionNotFound("no such execution", name=name)

    def ends(
        self, names: Iterable[str], begin: Callable[[str], None] = lambda _: None, *, at_once: int = BATCH
    ) -> Iterator[RunSummary]:
        """The named executions as they end; `begin` starts each, so that `at_once` run at a time.

        Raises Busy where none ends for longer than one may run.
        """
        waiting, running = iter(names), set[str]()
        deadline = time.monotonic() + WAIT_SECONDS
        with ThreadPoolExecutor(DESCRIBES) as pool:
            while True:
                for name in itertools.islice(waiting, at_once - len(running)):
                    begin(name)
                    running.add(name)
                if not running:
                    return
                over = [run for run in pool.map(self._end_of, sorted(running)) if run]
                running -= {run.name for run in over}
                yield from over
                deadline = time.monotonic() + WAIT_SECONDS if over else deadline
                if time.monotonic() > deadline:
                    raise Busy(f"{len(running)} executions do not end", hint="See them with: lakehead runs ls")
                if not over:
                    time.sleep(LOOK_SECONDS)

    def _end_of(self, name: str) -> RunSummary | None:
        """The execution if it has ended. A description may be older than what was asked of the execution last."""
        try:
            told = self.found(name)
        except ExecutionNotFound:
            if name not in self._seen:
                raise
            return None
        redriven = self._redriven.get(name)
        stale = redriven is not None and ("redriveDate" not in told or told["redriveDate"] < redriven)
        return None if stale or told["status"] == "RUNNING" else self.summary(told)

    def summary(self, told: Mapping[str, Any]) -> RunSummary:
        """An execution in brief, from what DescribeExecution tells."""
        output = json.loads(told["output"]) if told.get("output") else {}
        counts = output if isinstance(output, dict) else {}
        started, ended = told["startDate"].astimezone(UTC), told.get("stopDate")
        return RunSummary(
            told["name"],
            told["status"],
            self._datasets.get(told["stateMachineArn"], ""),
            _key(told.get("input") or "{}"),
            started,
            ended.astimezone(UTC) if ended else None,
            (ended - told["startDate"]).total_seconds() if ended else None,
            counts.get("rows_read"),
            counts.get("rows_committed"),
            counts.get("rows_quarantined"),
            told.get("error"),
            told.get("cause"),
        )

    def _described(self, arn: str, *, expected: tuple[str, ...] = ()) -> dict[str, Any]:
        told: dict[str, Any] = self._aws.call(
            "stepfunctions", "describe_execution", executionArn=arn, expected=expected
        )
        return told

    def _merged(self, machines: Iterable[str], status: str | None) -> Iterator[dict[str, Any]]:
        """What ListExecutions tells of several state machines, the newest first."""
        return heapq.merge(*(self._entries(machine, status) for machine in machines), key=_newest_first)

    def _entries(self, machine: str, status: str | None) -> Iterator[dict[str, Any]]:
        asked = {"stateMachineArn": machine, **({"statusFilter": status} if status else {})}
        for page in self._aws.pages("stepfunctions", "list_executions", **asked):
            yield from page["executions"]

    def _after(self, entries: Iterator[dict[str, Any]], name: str | None) -> Iterator[dict[str, Any]]:
        """The entries behind an execution."""
        if name is None:
            return entries
        last = self.found(name)["startDate"]
        seen = False

        def before(entry: dict[str, Any]) -> bool:
            nonlocal seen
            passed, seen = seen, seen or entry["name"] == name
            return entry["startDate"] > last or (entry["startDate"] == last and not passed)

        return itertools.dropwhile(before, entries)


def execution_arn(machine: str, name: str) -> str:
    """The ARN of an execution of a state machine."""
    return f"{machine.replace(':stateMachine:', ':execution:', 1)}:{name}"


def _newest_first(entry: Mapping[str, Any]) -> float:
    return -float(entry["startDate"].timestamp())


def _key(text: str) -> str:
    """The key of the object that an execution's input tells of; empty for an input that is no event."""
    try:
        return str(json.loads(text)["detail"]["object"]["key"])
    except (ValueError, KeyError, TypeError):
        return ""


def _plain(value: Any) -> Any:
    """An answer of boto3 as JSON."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return iso(value) if isinstance(value, datetime) else value
