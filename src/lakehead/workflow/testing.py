"""Runs the test cases of a mock file against a definition, in memory, and says what differs from what is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lakehead.errors import UsageError
from lakehead.model import Json
from lakehead.workflow import history
from lakehead.workflow.execute import execute
from lakehead.workflow.functions import compact
from lakehead.workflow.mocks import MockedCase, MockedMachine, MockedTasks, check_mocks
from lakehead.workflow.states import Definition
from lakehead.workflow.types import ExecutionResult

EXECUTION = "test"
"""The name of every execution of a test case."""
DEFAULT = {"Status": "SUCCEEDED"}
"""What is expected of a test case that does not say."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a test case went. `differences` is empty where it passed; `entered` are the states entered, in order."""

    machine: str
    case: str
    differences: tuple[str, ...]
    entered: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.differences


class Suite:
    """Runs the test cases of state machines and keeps the verdicts."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self._documents: dict[str, tuple[Definition, set[str]]] = {}

    @property
    def failed(self) -> list[Verdict]:
        """The test cases that did not pass."""
        return [verdict for verdict in self.verdicts if not verdict.passed]

    def run(self, document: str, definition: Definition, machine: MockedMachine) -> None:
        """Run every test case of a state machine. Raises UsageError where one speaks of what is no Task state."""
        _, entered = self._documents.setdefault(document, (definition, set()))
        for case in machine.cases:
            check_mocks(definition, case)
        for case in machine.cases:
            verdict = _run(definition, machine.name, case)
            entered.update(verdict.entered)
            self.verdicts.append(verdict)

    def untested(self) -> dict[str, list[str]]:
        """By document, the states that no test case entered."""
        found = {}
        for document, (definition, entered) in self._documents.items():
            names = [name for machine in definition.machines.values() for name in machine.states]
            found[document] = [name for name in names if name not in entered]
        return {document: names for document, names in found.items() if names}


def _run(definition: Definition, machine: str, case: MockedCase) -> Verdict:
    tasks = MockedTasks(case)
    try:
        result = execute(definition, case.input, tasks, name=EXECUTION)
    except UsageError as error:
        return Verdict(machine, case.name, (str(error),))
    entered = history.entered_states(result.history)
    expected = DEFAULT if case.expected is None else case.expected
    return Verdict(machine, case.name, tuple(_differences(expected, result, entered, tasks.requests)), entered)


def _differences(
    expected: Mapping[str, Any], result: ExecutionResult, entered: tuple[str, ...], requests: list[tuple[str, Json]]
) -> Iterator[str]:
    status = expected.get("Status", DEFAULT["Status"])
    if result.status != status:
        why = f" ({result.error}: {result.cause})" if result.error else ""
        yield f"Status: expected {status}, received {result.status}{why}"
    if "Output" in expected and not _same(expected["Output"], result.output):
        yield f"Output: expected {compact(expected['Output'])}, received {compact(result.output)}"
    if "OutputIncludes" in expected:
        yield from missing(expected["OutputIncludes"], result.output, "Output")
    if "Error" in expected and expected["Error"] != result.error:
        yield f"Error: expected {expected['Error']}, received {result.error}"
    if "CauseIncludes" in expected and expected["CauseIncludes"] not in (result.cause or ""):
        yield f"Cause: expected to include {expected['CauseIncludes']!r}, received {result.cause!r}"
    if "States" in expected and tuple(expected["States"]) != entered:
        yield f"States: expected {' > '.join(expected['States'])}, received {' > '.join(entered)}"
    for state, wanted in expected.get("Requests", {}).items():
        yield from _asked(state, wanted, [request for name, request in requests if name == state])


def _asked(state: str, wanted: list[Json], received: list[Json]) -> Iterator[str]:
    if len(wanted) != len(received):
        yield f"Requests.{state}: expected {len(wanted)}, received {len(received)}"
        return
    for index, (part, whole) in enumerate(zip(wanted, received, strict=True)):
        yield from missing(part, whole, f"Requests.{state}[{index}]")


def missing(part: Json, whole: Json, path: str) -> Iterator[str]:
    """Where `whole` does not include `part`: objects may hold more members, all else is the same."""
    if isinstance(part, dict) and isinstance(whole, dict):
        for key, value in part.items():
            if key in whole:
                yield from missing(value, whole[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: expected {compact(value)}, received nothing"
    elif not _same(part, whole):
        yield f"{path}: expected {compact(part)}, received {compact(whole)}"


def _same(left: Json, right: Json) -> bool:
    """Equality of JSON: true is not 1, and 1 is 1.0."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
