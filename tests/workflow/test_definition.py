from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehead.errors import DefinitionError
from lakehead.workflow import load_definition

EVERYTHING: dict[str, Any] = {
    "Comment": "one state of each kind",
    "StartAt": "Task",
    "Version": "1.0",
    "TimeoutSeconds": 60,
    "States": {
        "Task": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
            "Parameters": {"Key.$": "$.key"},
            "ResultSelector": {"body.$": "$.Body"},
            "ResultPath": "$.found",
            "TimeoutSeconds": 5,
            "Retry": [{"ErrorEquals": ["A"], "IntervalSeconds": 1, "MaxDelaySeconds": 9, "JitterStrategy": "FULL"}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Fail"}],
            "Next": "Choice",
        },
        "Choice": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.a", "IsPresent": True, "Next": "Parallel"}],
            "Default": "Wait",
        },
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Map"},
        "Parallel": {
            "Type": "Parallel",
            "Branches": [{"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": 1, "End": True}}}],
            "Next": "Map",
        },
        "Map": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemSelector": {"item.$": "$$.Map.Item.Value"},
            "ItemProcessor": {"StartAt": "M", "States": {"M": {"Type": "Succeed"}}},
            "Next": "Done",
        },
        "Done": {"Type": "Succeed"},
        "Fail": {"Type": "Fail", "Error": "E", "CausePath": "States.Format('{}', $.error)"},
    },
}


def faults_of(refusal: DefinitionError) -> list[str]:
    return refusal.where.get("faults") or [f"{refusal.where['path']}: {refusal.message}"]


def broken(*path: str | int, to: Any = None, drop: bool = False) -> list[str]:
    """The faults of EVERYTHING with one place changed."""
    document = copy.deepcopy(EVERYTHING)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    with pytest.raises(DefinitionError) as refusal:
        load_definition(document)
    return faults_of(refusal.value)


def test_a_definition_with_every_kind_of_state_loads() -> None:
    loaded = load_definition(EVERYTHING)
    assert loaded.timeout_seconds == 60
    assert set(loaded.machines) == {"$", "$.States.Parallel.Branches[0]", "$.States.Map.ItemProcessor"}


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("StartAt",), "Nope", "$.StartAt: there is no state 'Nope'"),
        (("Extra",), 1, "$.Extra: unknown field 'Extra' in a state machine"),
        (("States", "Task", "Next"), "Nope", "$.States.Task.Next: there is no state 'Nope'"),
        (("States", "Task", "Catch", 0, "Next"), "X", "$.States.Task.Catch[0].Next: there is no state 'X'"),
        (("States", "Choice", "Choices", 0, "Next"), "X", "$.States.Choice.Choices[0].Next: there is no state 'X'"),
        (("States", "Choice", "Default"), "X", "$.States.Choice.Default: there is no state 'X'"),
        (("States", "Lost"), {"Type": "Succeed"}, "$.States.Lost: state 'Lost' cannot be reached"),
        (("States", "a b"), {"Type": "Succeed"}, "$.States['a b']: state 'a b' cannot be reached"),
        (("States", "Task", "Type"), "Job", "$.States.Task.Type: Type is one of"),
        (("States", "Task", "Seconds"), 1, "$.States.Task.Seconds: unknown field 'Seconds' in a Task state"),
        (("States", "Task", "End"), True, "$.States.Task: a state has either Next or End: true"),
        (("States", "Task", "Resource"), "lambda", "$.States.Task.Resource: Resource is an ARN"),
        (("States", "Task", "ResultPath"), "$.a[*]", "$.States.Task.ResultPath: ResultPath is a reference path"),
        (("States", "Task", "InputPath"), "a", "$.States.Task.InputPath: a path begins with $"),
        (("States", "Task", "TimeoutSeconds"), 0, "$.States.Task.TimeoutSeconds: TimeoutSeconds is a whole number"),
        (("States", "Task", "HeartbeatSeconds"), 5, "$.States.Task.HeartbeatSeconds: HeartbeatSeconds is smaller"),
        (("States", "Task", "TimeoutSecondsPath"), "$.t", "$.States.Task.TimeoutSecondsPath: TimeoutSeconds and"),
        (("States", "Task", "Parameters"), {"a.$": "x"}, "$.States.Task.Parameters.a.$: a path begins with $"),
        (("States", "Task", "Parameters"), {"a.$": 1}, "$.States.Task.Parameters.a.$: a key that ends in .$"),
        (
            ("States", "Task", "Parameters"),
            {"deep": [{"a.$": "States.Nope()"}]},
            "$.States.Task.Parameters.deep[0].a.$: unknown intrinsic function States.Nope",
        ),
        (("States", "Task", "Retry", 0, "MaxAttempts"), -1, "$.States.Task.Retry[0].MaxAttempts: MaxAttempts is"),
        (("States", "Task", "Retry", 0, "BackoffRate"), 0.5, "$.States.Task.Retry[0].BackoffRate: BackoffRate is"),
        (("States", "Task", "Retry", 0, "JitterStrategy"), "X", "$.States.Task.Retry[0].JitterStrategy: Jitter"),
        (("States", "Task", "Retry", 0, "ErrorEquals"), [], "$.States.Task.Retry[0].ErrorEquals: ErrorEquals is"),
        (
            ("States", "Task", "Catch", 0, "ErrorEquals"),
            ["States.ALL", "B"],
            "$.States.Task.Catch[0].ErrorEquals: States.ALL stands alone",
        ),
        (
            ("States", "Task", "Catch", 0, "ErrorEquals"),
            ["States.Timout"],
            "$.States.Task.Catch[0].ErrorEquals: 'States.Timout' is no error name of the language",
        ),
        (("States", "Task", "Assign"), {"states": 1}, "$.States.Task.Assign.states: 'states' cannot be"),
        (("States", "Wait", "Timestamp"), "x", "$.States.Wait: a Wait state has exactly one of"),
        (("States", "Choice", "Choices"), [], "$.States.Choice.Choices: Choices is a list of rules"),
        (("States", "Parallel", "Branches"), [], "$.States.Parallel.Branches: Branches is a list"),
        (
            ("States", "Parallel", "Branches", 0, "States", "P", "Next"),
            "Done",
            "$.States.Parallel.Branches[0].States.P.Next: there is no state 'Done'",
        ),
        (("States", "Map", "Iterator"), {}, "$.States.Map: a Map state has exactly one of ItemProcessor and Iterator"),
        (("States", "Map", "ItemReader"), {}, "$.States.Map.ItemReader: ItemReader reads or writes S3"),
        (("States", "Map", "MaxConcurrency"), -1, "$.States.Map.MaxConcurrency: MaxConcurrency is a whole number"),
        (
            ("States", "Map", "ItemProcessor", "ProcessorConfig"),
            {"Mode": "X"},
            "$.States.Map.ItemProcessor.ProcessorConfig.Mode: Mode is",
        ),
        (("States", "Fail", "ErrorPath"), "$.e", "$.States.Fail.ErrorPath: Error and ErrorPath exclude each other"),
        (("QueryLanguage",), "SQL", "$.QueryLanguage: QueryLanguage is JSONPath or JSONata"),
    ],
)
def test_a_fault_is_named_with_its_json_path(path: tuple[str | int, ...], value: Any, fault: str) -> None:
    assert any(found.startswith(fault) for found in broken(*path, to=value)), broken(*path, to=value)


def test_what_is_missing_is_named() -> None:
    assert "$.StartAt: StartAt is missing" in broken("StartAt", drop=True)
    assert "$.States.Task.Resource: Resource is missing" in broken("States", "Task", "Resource", drop=True)
    assert "$.States.Task.Catch[0].Next: Next is missing" in broken("States", "Task", "Catch", 0, "Next", drop=True)


def test_a_machine_that_never_ends_is_refused() -> None:
    loop = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A"}}}
    with pytest.raises(DefinitionError, match="no state ends the machine"):
        load_definition(loop)


def test_all_faults_are_named_at_once() -> None:
    document = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Result": 1, "Nxt": "B", "Next": "C", "InputPath": "x"},
            "B": {"Type": "Task", "End": True},
        },
    }
    with pytest.raises(DefinitionError) as refusal:
        load_definition(document)
    assert [fault.split(":")[0] for fault in faults_of(refusal.value)] == [
        "$.States.A.Nxt",
        "$.States.A.InputPath",
        "$.States.B.Resource",
        "$.States.A.Next",
        "$.States.B",
    ]
    assert refusal.value.message == "5 faults; the first: unknown field 'Nxt' in a Pass state"


def test_jsonata_fields_and_jsonpath_fields_do_not_mix() -> None:
    document = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {"A": {"Type": "Pass", "Parameters": {}, "Next": "B"}, "B": {"Type": "Succeed"}},
    }
    with pytest.raises(DefinitionError, match=r"unknown field 'Parameters' in a Pass state in JSONata"):
        load_definition(document)


def test_an_expression_that_is_no_jsonata_is_refused_with_its_place() -> None:
    pytest.importorskip("jsonata", reason="JSONata is an extra")
    document = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {"A": {"Type": "Pass", "Output": {"a": "{% $sum( %}"}, "End": True}},
    }
    with pytest.raises(DefinitionError, match="not a JSONata expression") as refusal:
        load_definition(document)
    assert refusal.value.where["path"] == "$.States.A.Output.a"


def nested(depth: int) -> dict[str, Any]:
    machine: dict[str, Any] = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
    for level in range(depth):
        state = {"Type": "Parallel", "Branches": [machine], "End": True}
        machine = {"StartAt": f"A{level}", "States": {f"A{level}": state}}
    return machine


def test_nesting_is_bounded() -> None:
    load_definition(nested(30))
    with pytest.raises(DefinitionError, match="nest at most"):
        load_definition(nested(60))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in paths_of(item, (*path, key)))]


@given(json_values)
def test_any_json_loads_or_is_refused(document: Any) -> None:
    try:
        load_definition(document)
    except DefinitionError as refusal:
        assert faults_of(refusal)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(paths_of(EVERYTHING)[1:]), json_values)
def test_a_definition_with_any_one_place_changed_loads_or_is_refused(path: tuple[str | int, ...], value: Any) -> None:
    document = json.loads(json.dumps(EVERYTHING))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    try:
        load_definition(document)
    except DefinitionError as refusal:
        assert faults_of(refusal) and str(refusal)
