"""States in JSONata."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from lakehead.workflow import ExecutionResult, execute

pytest.importorskip("jsonata", reason="JSONata is an extra")


def run(states: dict[str, Any], data: Any = None, **answer: Any) -> ExecutionResult:
    document = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states}
    return execute(document, {} if data is None else data, lambda *_: answer)


def output(expression: str, data: Any = None) -> Any:
    result = run({"A": {"Type": "Pass", "Output": f"{{% {expression} %}}", "End": True}}, data)
    return result.output if result.status == "SUCCEEDED" else result.error


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("$states.input.a", None),
        ("$states.input.l", [None, 1, 2]),
        ("$sum($states.input.n) / 2", 3),
        ("$states.context.State.Name", "A"),
        ("$partition([1,2,3], 2)", [[1, 2], [3]]),
        ("$range(0, 9, 3)", [0, 3, 6, 9]),
        ("$range(1, 1, 1)", 1),
        ("$hash('abc', 'MD5')", "900150983cd24fb0d6963f7d28e17f72"),
        ("$parse('{\"a\": null}')", {"a": None}),
        ("$length($uuid())", 36),
        ("$random() < 1 and $random(7) = $random(7)", True),
        ("{'n': $states.input.missing}", {}),
        ("$states.input.missing", "States.QueryEvaluationError"),
        ("$nope", "States.QueryEvaluationError"),
        ("$eval('1')", "States.QueryEvaluationError"),
        ("function($x){$x}", "States.QueryEvaluationError"),
        ("1/0", "States.QueryEvaluationError"),
        ("$parse('{')", "States.QueryEvaluationError"),
        ("($f := function($n){$f($n + 1)}; $f(1))", "States.QueryEvaluationError"),
        ("($f := function($n){1 + $f($n + 1)}; $f(1))", "States.QueryEvaluationError"),
    ],
)
def test_an_expression_answers(expression: str, answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehead.workflow.jsonata.MAX_EVALUATIONS", 20_000)
    assert output(expression, {"a": None, "l": [None, 1, 2.0], "n": [1, 2, 3]}) == answer


def test_the_library_leaves_the_recursion_limit_of_the_process_alone() -> None:
    code = (
        "import sys\nbefore = sys.getrecursionlimit()\n"
        "from lakehead.workflow import execute\n"
        "state = {'Type': 'Pass', 'Output': '{% 1 %}', 'End': True}\n"
        "document = {'QueryLanguage': 'JSONata', 'StartAt': 'A', 'States': {'A': state}}\n"
        "assert execute(document, {}, lambda *_: {}).output == 1\n"
        "assert sys.getrecursionlimit() == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_now_is_the_time_of_the_step() -> None:
    now = "{% {'now': $now(), 'entered': $states.context.State.EnteredTime, 'millis': $millis()} %}"
    found = run({"A": {"Type": "Pass", "Output": now, "End": True}}).output
    assert found["now"] == found["entered"] and found["millis"] > 1.7e12


def test_arguments_output_assign_and_catch() -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
        "Arguments": {"Key": "{% $states.input.key %}", "all": ["{% 1 + 1 %}", "text"]},
        "Output": {"size": "{% $states.result.Size %}", "key": "{% $states.input.key %}"},
        "Assign": {"size": "{% $states.result.Size * 2 %}"},
        "Catch": [
            {
                "ErrorEquals": ["States.ALL"],
                "Output": "{% $states.errorOutput.Error %}",
                "Assign": {"size": 0},
                "Next": "B",
            }
        ],
        "Next": "B",
    }
    after = {"Type": "Pass", "Output": "{% [$states.input, $size] %}", "End": True}
    assert run({"A": task, "B": after}, {"key": "k"}, output={"Size": 4}).output == [{"size": 4, "key": "k"}, 8]
    assert run({"A": task, "B": after}, {"key": "k"}, outcome="fail", error="E").output == ["E", 0]
    undefined = run({"A": task, "B": after}, {}, output={"Size": 4})
    assert undefined.output == ["States.QueryEvaluationError", 0]
    failed = next(event for event in undefined.history if event["type"] == "EvaluationFailed")
    assert failed["evaluationFailedEventDetails"]["location"] == "Arguments/Key"


def test_choice_wait_fail_and_map() -> None:
    states = {
        "A": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $count($states.input) > 2 %}", "Next": "M", "Assign": {"big": True}}],
            "Default": "W",
        },
        "W": {"Type": "Wait", "Seconds": "{% $count($states.input) %}", "Next": "F"},
        "F": {"Type": "Fail", "Error": "{% 'E' & $count($states.input) %}", "Cause": "why"},
        "M": {
            "Type": "Map",
            "Items": "{% $states.input[$ > 1] %}",
            "ItemSelector": {"v": "{% $states.context.Map.Item.Value * 10 %}", "big": "{% $big %}"},
            "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Succeed", "Output": "{% $states.input.v %}"}}},
            "Output": "{% $sum($states.result) %}",
            "End": True,
        },
    }
    assert run(states, [1, 2, 3]).output == 50
    failed = run(states, [1])
    assert (failed.error, failed.cause) == ("E1", "why")


def test_a_condition_that_is_not_a_boolean_fails() -> None:
    choices = [{"Condition": "{% $states.input.n %}", "Next": "B"}]
    states = {"A": {"Type": "Choice", "Choices": choices, "Default": "B"}, "B": {"Type": "Succeed"}}
    result = run(states, {"n": 1})
    assert result.error == "States.QueryEvaluationError" and "Expected 'boolean', but was 'number'" in str(result.cause)


TASK = {"Type": "Task", "Resource": "arn:aws:states:::x:y"}
MAP: dict[str, Any] = {
    "Type": "Map",
    "Items": [1],
    "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}},
}


@pytest.mark.parametrize(
    ("state", "field", "value"),
    [
        *((TASK, "TimeoutSeconds", value) for value in ("'5'", "0", "-1", "1.5", "true", "null", "100000000")),
        (TASK, "HeartbeatSeconds", "'a'"),
        *((MAP, "MaxConcurrency", value) for value in ("'1'", "-1", "1.5", "null")),
        (MAP, "ToleratedFailureCount", "-1"),
        (MAP, "ToleratedFailurePercentage", "101"),
    ],
)
def test_a_number_that_does_not_fit_is_a_failed_evaluation(state: dict[str, Any], field: str, value: str) -> None:
    if field.startswith("Tolerated"):
        config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
        state = {**state, "ItemProcessor": {**state["ItemProcessor"], "ProcessorConfig": config}}
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "C"}]
    found = run({"A": {**state, field: f"{{% {value} %}}", "Catch": catch, "End": True}, "C": {"Type": "Succeed"}})
    assert found.status == "SUCCEEDED" and found.output["Error"] == "States.QueryEvaluationError"
    failed = [event for event in found.history if event["type"] == "EvaluationFailed"]
    assert [event["evaluationFailedEventDetails"]["location"] for event in failed] == [field]


def test_a_number_that_fits_is_taken() -> None:
    found = run({"A": {**TASK, "TimeoutSeconds": "{% 4 + 1 %}", "End": True}}, output=1)
    (scheduled,) = [event for event in found.history if event["type"] == "TaskScheduled"]
    assert scheduled["taskScheduledEventDetails"]["timeoutInSeconds"] == 5


def test_a_catcher_whose_own_output_fails() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Output": "{% $nope %}", "Next": "C"}]
    found = run({"A": {**TASK, "Catch": catch, "End": True}, "C": {"Type": "Succeed"}}, outcome="fail", error="E")
    assert (found.status, found.error) == ("FAILED", "States.QueryEvaluationError")
    assert [event["type"] for event in found.history][-3:] == ["TaskFailed", "EvaluationFailed", "ExecutionFailed"]
