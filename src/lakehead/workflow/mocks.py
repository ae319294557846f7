"""Mocked answers of Task states, in the form that Step Functions Local reads (MockConfigFile.json), and tests of them.

    {"StateMachines": {"ingest": {
        "TestCases": {"HappyPath": {"ReadCommit": "NoCommit"}},
        "Definition": "ingest.asl.json",
        "Input": {}, "Inputs": {"HappyPath": {}},
        "Expectations": {"HappyPath": {"Status": "SUCCEEDED"}}}},
     "MockedResponses": {"NoCommit": {"0": {"Throw": {"Error": "...", "Cause": "..."}}, "1-2": {"Return": {}}}}}

`StateMachines`, `TestCases` and `MockedResponses` are Step Functions Local's ("Configuration file for mocked service
integrations"); the rest is what a test needs besides. Responses are numbered by the state's invocations, from 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from lakehead.errors import UsageError
from lakehead.model import Json
from lakehead.workflow.states import Definition, TaskState

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_TEXT = {"type": "string"}
_STATUS = {"enum": ["SUCCEEDED", "FAILED", "TIMED_OUT"]}
_MOCK = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {
        "Return": {},
        "Throw": {
            "type": "object",
            "properties": {"Error": _TEXT, "Cause": _TEXT},
            "required": ["Error"],
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
_EXPECTATION = {
    "type": "object",
    "properties": {
        "Status": _STATUS,
        "Output": {},
        "OutputIncludes": {},
        "Error": _TEXT,
        "CauseIncludes": _TEXT,
        "States": {"type": "array", "items": _TEXT},
        "Requests": {"type": "object", "additionalProperties": {"type": "array"}},
    },
    "additionalProperties": False,
}
_MACHINE = {
    "type": "object",
    "properties": {
        "Comment": _TEXT,
        "Definition": _TEXT,
        "TestCases": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": _TEXT}},
        "Input": {},
        "Inputs": {"type": "object"},
        "Expectations": {"type": "object", "additionalProperties": _EXPECTATION},
    },
    "required": ["TestCases"],
    "additionalProperties": False,
}
_SCHEMA = {
    "type": "object",
    "properties": {
        "Comment": _TEXT,
        "StateMachines": {"type": "object", "minProperties": 1, "additionalProperties": _MACHINE},
        "MockedResponses": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": "^[0-9]+(-[0-9]+)?$"},
                "additionalProperties": _MOCK,
            },
        },
    },
    "required": ["StateMachines"],
    "additionalProperties": False,
}

MAX_RESPONSES = 10_000
"""How many invocations of one state can be mocked."""


@dataclass(frozen=True, slots=True)
class MockedCase:
    """One test case: its input, each state's answers in the order of its invocations, and what is expected of it.

    An answer is as `execute` takes it. `expected` is None where the file does not say.
    """

    name: str
    input: Json
    answers: Mapping[str, tuple[dict[str, Any], ...]]
    expected: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class MockedMachine:
    """The test cases of a state machine. `definition` is the path of its document, empty where it is not told."""

    name: str
    definition: str
    cases: tuple[MockedCase, ...]


def load_mocks(document: Json) -> tuple[MockedMachine, ...]:
    """Read a parsed mock file. Raises UsageError with the JSON path of its first fault."""
    errors = sorted(_validator().iter_errors(document), key=lambda error: error.json_path)
    if errors:
        raise UsageError(f"the mock file is wrong: {errors[0].message}", path=errors[0].json_path)
    responses = {
        name: _in_order(f"$.MockedResponses.{name}", given)
        for name, given in document.get("MockedResponses", {}).items()
    }
    return tuple(_machine(name, spec, responses) for name, spec in document["StateMachines"].items())


@cache
def _validator() -> Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(_SCHEMA)


def _in_order(path: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The answers one after the other; `1-3` stands for three. Raises UsageError where a number is left out."""
    ranges = []
    for numbers, response in given.items():
        begin, _, end = numbers.partition("-")
        ranges.append((int(begin), int(end or begin), _answer(response)))
    answers: list[dict[str, Any]] = []
    for first, last, answer in sorted(ranges, key=lambda entry: entry[0]):
        if first != len(answers) or not first <= last < MAX_RESPONSES:
            raise UsageError(
                "the responses of a mock are numbered 0, 1, 2-5, ... without a gap",
                path=path,
                expected=len(answers),
                received=f"{first}-{last}",
            )
        answers += [answer] * (last - first + 1)
    return tuple(answers)


def _answer(response: Mapping[str, Any]) -> dict[str, Any]:
    if "Return" in response:
        return {"output": response["Return"]}
    thrown = response["Throw"]
    return {"outcome": "fail", "error": thrown["Error"], "cause": thrown.get("Cause", "")}


def _machine(name: str, spec: Mapping[str, Any], responses: Mapping[str, tuple[dict[str, Any], ...]]) -> MockedMachine:
    path, cases = f"$.StateMachines.{name}", spec["TestCases"]
    for part in ("Inputs", "Expectations"):
        for case in spec.get(part, {}):
            if case not in cases:
                raise UsageError("there is no such test case", path=f"{path}.{part}.{case}", known=sorted(cases))
    found = []
    for case, mocked in cases.items():
        for state, response in mocked.items():
            if response not in responses:
                where = f"{path}.TestCases.{case}.{state}"
                raise UsageError(f"there is no mocked response {response!r}", path=where, known=sorted(responses))
        given = spec.get("Inputs", {}).get(case, spec.get("Input", {}))
        answers = {state: responses[response] for state, response in mocked.items()}
        found.append(MockedCase(case, given, answers, spec.get("Expectations", {}).get(case)))
    return MockedMachine(name, spec.get("Definition", ""), tuple(found))


def check_mocks(definition: Definition, case: MockedCase) -> None:
    """Hold a test case against the definition. Raises UsageError where it speaks of what is no Task state."""
    tasks = {
        name
        for machine in definition.machines.values()
        for name, state in machine.states.items()
        if isinstance(state, TaskState)
    }
    requests = (case.expected or {}).get("Requests", {})
    for name in (*case.answers, *requests):
        if name not in tasks:
            raise UsageError("the definition has no such Task state", state=name, case=case.name, known=sorted(tasks))


@dataclass(slots=True)
class MockedTasks:
    """Answers the tasks of one execution for `execute`, and remembers what was asked: state and request, in order."""

    case: MockedCase
    requests: list[tuple[str, Json]] = field(default_factory=list)

    def __call__(self, state: str, request: Json) -> Mapping[str, Any]:
        """The state's next answer. Raises UsageError where none is mocked."""
        invocation = sum(name == state for name, _ in self.requests)
        self.requests.append((state, request))
        answers = self.case.answers.get(state, ())
        if invocation < len(answers):
            return answers[invocation]
        if not answers:
            hint = f'Name one in TestCases: "{self.case.name}": {{"{state}": "..."}}'
            raise UsageError("no response is mocked for this state", state=state, case=self.case.name, hint=hint)
        raise UsageError(
            f"the state was invoked {invocation + 1} times and has {len(answers)} mocked responses",
            state=state,
            case=self.case.name,
            hint=f'Add a response "{invocation}".',
        )


def state_machine_name(file_name: str) -> str:
    """The state machine that a definition's file name stands for: `ingest` of `ingest.asl.json`."""
    return re.sub(r"(\.asl)?\.(json|yaml|yml)$", "", file_name)
