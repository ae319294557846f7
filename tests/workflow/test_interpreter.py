"""What an execution does, state by state, with its data, errors, retries, timers and history."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lakehead.errors import NotRedrivable, UsageError
from lakehead.workflow import ExecutionInfo, ExecutionResult, Step, advance, execute, load_definition, redrive, start
from lakehead.workflow.types import (
    CancelTask,
    CancelTimer,
    ScheduleTask,
    StartTimer,
    StopRequested,
    TaskFailed,
    TaskSucceeded,
    TaskTimedOut,
    TimerFired,
)

NOW = datetime(2025, 1, 3, 8, 0, tzinfo=UTC)
INFO = ExecutionInfo("arn:aws:states:us-east-1:1:execution:m:run-1", "run-1", "2025-01-03T08:00:00.000Z", "m-id", "m")
RESOURCE = "arn:aws:states:::aws-sdk:s3:getObject"


def chain(**states: dict[str, Any]) -> dict[str, Any]:
    """A machine whose states follow one another unless they say otherwise."""
    names = list(states)
    for name, following in zip(names, [*names[1:], None], strict=True):
        state = states[name]
        if state["Type"] not in ("Choice", "Succeed", "Fail") and "Next" not in state and "End" not in state:
            state.update({"Next": following} if following else {"End": True})
    return {"StartAt": names[0], "States": states}


def run(definition: dict[str, Any], data: Any = None, *answers: Any) -> ExecutionResult:
    """Run with the given answers, one per task: an output, or an exception (error, cause)."""
    left = list(answers)

    def answer(_state: str, _request: Any) -> dict[str, Any]:
        found = left.pop(0)
        if isinstance(found, Exception):
            return {"outcome": "fail", "error": found.args[0], "cause": found.args[1] if len(found.args) > 1 else ""}
        return {"output": found}

    return execute(definition, {} if data is None else data, answer)


def begin(definition: dict[str, Any], data: Any = None) -> tuple[Any, Step]:
    loaded = load_definition(definition)
    return loaded, start(loaded, {} if data is None else data, INFO, NOW)


def types(history: Any) -> list[str]:
    return [event["type"] for event in history]


def only(step: Step, kind: type) -> Any:
    found = [command for command in step.commands if isinstance(command, kind)]
    assert len(found) == 1
    return found[0]


TASK: dict[str, Any] = {"Type": "Task", "Resource": RESOURCE}


# Data


def test_data_flows_through_input_parameters_selector_result_and_output_path() -> None:
    task = {
        **TASK,
        "InputPath": "$.in",
        "Parameters": {"Key.$": "$.key", "fixed": 1, "run.$": "$$.Execution.Name"},
        "ResultSelector": {"size.$": "$.Size", "all.$": "$"},
        "ResultPath": "$.out.found",
        "OutputPath": "$.out",
    }
    requests = []

    def answer(state: str, request: Any) -> dict[str, Any]:
        requests.append((state, request))
        return {"output": {"Size": 3}}

    result = execute(chain(Read=dict(task)), {"in": {"key": "k"}, "out": {"old": True}}, answer, name="run-7")
    assert requests == [("Read", {"Key": "k", "fixed": 1, "run": "run-7"})]
    assert result.output == {"old": True, "found": {"size": 3, "all": {"Size": 3}}}


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, {"r": 1}),
        ({"ResultPath": None}, {"a": {"b": 0}}),
        ({"ResultPath": "$.a.b"}, {"a": {"b": {"r": 1}}}),
        ({"ResultPath": "$.x.y.z"}, {"a": {"b": 0}, "x": {"y": {"z": {"r": 1}}}}),
        ({"OutputPath": None}, {}),
        ({"ResultPath": "$.n", "OutputPath": "$.n.r"}, 1),
    ],
)
def test_a_result_goes_where_result_path_and_output_path_say(fields: dict[str, Any], output: Any) -> None:
    data = {"a": {"b": 0}}
    assert run(chain(P={"Type": "Pass", "Result": {"r": 1}, **fields}), data).output == output
    assert data == {"a": {"b": 0}}


def test_a_result_that_has_no_place_fails_and_can_be_caught() -> None:
    definition = chain(
        T={**TASK, "ResultPath": "$.a.b", "Catch": [{"ErrorEquals": ["States.ResultPathMatchFailure"], "Next": "C"}]},
        D={"Type": "Succeed"},
        C={"Type": "Pass", "Result": "caught", "End": True},
    )
    assert run(definition, {"a": "text"}, 1).output == "caught"


def test_variables_are_set_together_and_read_the_old_values() -> None:
    definition = chain(
        A={"Type": "Pass", "Assign": {"x": 1, "y.$": "$.n"}},
        B={"Type": "Pass", "Assign": {"x.$": "$y", "y.$": "$x"}},
        C={"Type": "Pass", "Parameters": {"x.$": "$x", "y.$": "$y"}},
    )
    result = run(definition, {"n": 2})
    assert result.output == {"x": 2, "y": 1}
    exits = [event["stateExitedEventDetails"] for event in result.history if event["type"] == "PassStateExited"]
    assert exits[0]["assignedVariables"] == {"x": "1", "y": "2"} and "assignedVariables" not in exits[2]


def test_a_variable_that_is_not_there_is_a_runtime_error() -> None:
    result = run(chain(A={"Type": "Pass", "Parameters": {"x.$": "$nope"}}))
    assert (result.status, result.error) == ("FAILED", "States.Runtime")
    assert "entered at the event id #2" in str(result.cause)


def test_the_context_object_tells_of_state_retry_and_token() -> None:
    definition = chain(
        T={
            **TASK,
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"all.$": "$$", "token.$": "$$.Task.Token"},
            "Retry": [{"ErrorEquals": ["States.ALL"]}],
        }
    )
    loaded, step = begin(definition, {"in": 1})
    first = only(step, ScheduleTask)
    context = first.request["all"]
    assert context["Execution"]["Input"] == {"in": 1} and context["Execution"]["Id"] == INFO.id
    assert context["State"] == {"EnteredTime": "2025-01-03T08:00:00.000Z", "Name": "T", "RetryCount": 0}
    assert first.wait_for_token and first.task_token == first.request["token"] != ""
    step = advance(loaded, step.state, TaskFailed(first.task_id, "E", ""), NOW)
    step = advance(loaded, step.state, TimerFired(only(step, StartTimer).timer_id), NOW)
    second = only(step, ScheduleTask)
    assert second.request["all"]["State"]["RetryCount"] == 1
    assert second.task_id != first.task_id and second.task_token != first.task_token


# Limits


def test_a_payload_may_have_262144_bytes_and_not_one_more() -> None:
    fits = "x" * (262_144 - 2)
    assert run(chain(A={"Type": "Pass"}), fits).status == "SUCCEEDED"
    for result in (fits + "x", "é" * 131_072):
        ended = run(chain(A={"Type": "Pass", "Result": result}))
        assert (ended.status, ended.error) == ("FAILED", "States.DataLimitExceeded")
        with pytest.raises(UsageError, match="too large"):
            run(chain(A={"Type": "Pass"}), result)


def test_a_task_whose_answer_is_too_large_failed_and_can_be_caught() -> None:
    catch = [{"ErrorEquals": ["States.DataLimitExceeded"], "Next": "C"}]
    definition = chain(T={**TASK, "Catch": catch}, D={"Type": "Succeed"}, C={"Type": "Pass", "Result": 1, "End": True})
    result = run(definition, {}, "x" * 262_144)
    assert result.output == 1 and "TaskFailed" in types(result.history)


def test_an_answer_that_is_no_json_fails_the_execution_not_the_interpreter() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for answer in (NOW, float("nan"), loop, {1: object()}):
        assert run(chain(T=dict(TASK)), {}, answer).error == "States.Runtime"


def test_a_history_ends_at_25000_events() -> None:
    loop = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Next": "B"},
            "B": {"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": False, "Next": "A"}], "Default": "C"},
            "C": {"Type": "Succeed"},
        },
    }
    result = run(loop)
    assert (result.status, result.error, len(result.history)) == ("FAILED", "States.Runtime", 25_000)
    assert "maximum number of history events (25000)" in str(result.cause)
    assert [event["id"] for event in result.history] == list(range(1, 25_001))


def test_data_nested_too_deeply_fails_the_execution_not_the_interpreter() -> None:
    deeper = chain(
        A={"Type": "Pass", "Parameters": {"n.$": "$"}, "Next": "B"},
        B={"Type": "Choice", "Choices": [{"Variable": "$.n", "IsPresent": True, "Next": "A"}], "Default": "C"},
        C={"Type": "Succeed"},
    )
    result = run(deeper, {"n": 0})
    assert (result.status, result.error) == ("FAILED", "States.Runtime")
    assert "nested more than 500 levels deep" in str(result.cause)
    brackets: dict[str, Any] = {"text": "[{" * 1000, "list": [{}] * 1000, "n": None}
    assert run(chain(A={"Type": "Pass"}), brackets).output == brackets
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(UsageError, match="nested"):
        run(chain(A={"Type": "Pass"}), deep)


# Errors


def test_retries_back_off_up_to_the_longest_delay_and_then_the_error_is_caught() -> None:
    definition = chain(
        T={
            **TASK,
            "Retry": [
                {"ErrorEquals": ["Other"], "MaxAttempts": 9},
                {
                    "ErrorEquals": ["Busy"],
                    "IntervalSeconds": 2,
                    "BackoffRate": 3,
                    "MaxAttempts": 4,
                    "MaxDelaySeconds": 20,
                },
            ],
            "Catch": [{"ErrorEquals": ["Busy"], "ResultPath": "$.error", "Next": "C"}],
        },
        D={"Type": "Succeed"},
        C={"Type": "Pass", "End": True},
    )
    loaded, step = begin(definition, {"a": 1})
    now, delays = NOW, []
    while step.state["status"] == "RUNNING":
        step = advance(loaded, step.state, TaskFailed(only(step, ScheduleTask).task_id, "Busy", "no room"), now)
        if step.state["status"] == "RUNNING":
            timer = only(step, StartTimer)
            delays.append((timer.due - now).total_seconds())
            now = timer.due
            step = advance(loaded, step.state, TimerFired(timer.timer_id), now)
    assert delays == [2, 6, 18, 20]
    assert step.state["output"] == {"a": 1, "error": {"Error": "Busy", "Cause": "no room"}}


def test_full_jitter_waits_a_random_part_that_a_replay_repeats() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 100, "JitterStrategy": "FULL"}]
    loaded, step = begin(chain(T={**TASK, "Retry": retry}))
    failed = TaskFailed(only(step, ScheduleTask).task_id, "E", "")
    first, again = (only(advance(loaded, step.state, failed, NOW), StartTimer).due for _ in range(2))
    assert first == again and NOW <= first < NOW + timedelta(seconds=100)


def test_a_state_that_is_entered_again_may_retry_again() -> None:
    definition = chain(
        T={**TASK, "ResultPath": "$.n", "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}]},
        B={"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericLessThan": 3, "Next": "T"}], "Default": "D"},
        D={"Type": "Succeed"},
    )
    twice = [RuntimeError("E"), 1, RuntimeError("E"), 2, RuntimeError("E"), 3]
    assert run(definition, {}, *twice).output == {"n": 3}
    assert run(definition, {}, RuntimeError("E"), 1, RuntimeError("E"), RuntimeError("E")).error == "E"


def test_max_attempts_zero_never_retries() -> None:
    retry = [{"ErrorEquals": ["E"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}]
    assert run(chain(T={**TASK, "Retry": retry}), {}, RuntimeError("E")).error == "E"


@pytest.mark.parametrize(
    ("error", "caught_by"),
    [
        ("Custom", ["Custom", "States.TaskFailed", "States.ALL"]),
        ("States.Timeout", ["States.Timeout", "States.ALL"]),
        ("States.HeartbeatTimeout", ["States.HeartbeatTimeout", "States.Timeout", "States.TaskFailed", "States.ALL"]),
        ("States.DataLimitExceeded", ["States.DataLimitExceeded", "States.TaskFailed", "States.ALL"]),
        ("States.Runtime", []),
    ],
)
def test_an_error_is_caught_by_its_name_and_by_the_wildcards_that_cover_it(error: str, caught_by: list[str]) -> None:
    names = ["Custom", "States.Timeout", "States.HeartbeatTimeout", "States.TaskFailed", "States.DataLimitExceeded",
             "States.Runtime", "States.ALL", "custom"]  # fmt: skip
    for name in names:
        definition = chain(
            T={**TASK, "Catch": [{"ErrorEquals": [name], "Next": "C"}]},
            D={"Type": "Succeed"},
            C={"Type": "Pass", "Result": "caught", "End": True},
        )
        result = run(definition, {}, RuntimeError(error))
        assert (result.output == "caught") is (name in caught_by), name


def test_a_catcher_can_set_variables_from_the_error() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Assign": {"why.$": "$.Cause"}, "Next": "C"}]
    definition = chain(
        T={**TASK, "Catch": catch},
        D={"Type": "Succeed"},
        C={"Type": "Pass", "Parameters": {"why.$": "$why"}, "End": True},
    )
    assert run(definition, {}, RuntimeError("E", "because")).output == {"why": "because"}


def test_timeouts_are_reported_as_their_own_errors() -> None:
    definition = chain(T={**TASK, "TimeoutSecondsPath": "$.t", "HeartbeatSeconds": 2})
    loaded, step = begin(definition, {"t": 30})
    task = only(step, ScheduleTask)
    assert (task.timeout_seconds, task.heartbeat_seconds) == (30, 2)
    late = advance(loaded, step.state, TaskTimedOut(task.task_id), NOW)
    assert (late.state["status"], late.state["error"]) == ("FAILED", "States.Timeout")
    silent = advance(loaded, step.state, TaskTimedOut(task.task_id, heartbeat=True), NOW)
    assert silent.state["error"] == "States.HeartbeatTimeout"
    assert types(silent.history) == ["TaskTimedOut", "ExecutionFailed"]


def test_a_fail_state_may_take_error_and_cause_from_the_input() -> None:
    fail = {"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('{}!', $.c)"}
    result = run(chain(F=fail), {"e": "Bad", "c": "why"})
    assert (result.status, result.error, result.cause) == ("FAILED", "Bad", "why!")
    assert run(chain(F=fail), {"e": 1, "c": "why"}).error == "States.Runtime"


# Time


def test_a_wait_starts_a_timer_and_goes_on_when_it_fires() -> None:
    loaded, step = begin(chain(W={"Type": "Wait", "SecondsPath": "$.s"}, D={"Type": "Succeed"}), {"s": 90})
    timer = only(step, StartTimer)
    assert timer.due == NOW + timedelta(seconds=90)
    step = advance(loaded, step.state, TimerFired(timer.timer_id), timer.due)
    assert step.state["status"] == "SUCCEEDED"
    assert step.history[0]["timestamp"] == "2025-01-03T08:01:30.000Z"


@pytest.mark.parametrize(
    "wait",
    [{"Seconds": 0}, {"Timestamp": "2025-01-03T09:00:00+01:00"}, {"Timestamp": "2016-03-05T21:29:29.243167252Z"}],
)
def test_what_is_due_already_does_not_wait(wait: dict[str, Any]) -> None:
    _, step = begin(chain(W={"Type": "Wait", **wait}))
    assert step.state["status"] == "SUCCEEDED" and step.commands == ()


@pytest.mark.parametrize("value", [-1, 1.5, "1", None, True, 1e300, [1], 100_000_000])
def test_a_number_of_seconds_that_cannot_be_is_a_runtime_error(value: Any) -> None:
    assert run(chain(W={"Type": "Wait", "SecondsPath": "$.s"}), {"s": value}).error == "States.Runtime"


def test_a_machine_ends_when_its_own_time_is_up_and_calls_off_what_is_open() -> None:
    definition = {**chain(T=dict(TASK)), "TimeoutSeconds": 60}
    loaded, step = begin(definition)
    timer, task = only(step, StartTimer), only(step, ScheduleTask)
    assert timer.due == NOW + timedelta(seconds=60)
    ended = advance(loaded, step.state, TimerFired(timer.timer_id), timer.due)
    assert (ended.state["status"], ended.state["error"]) == ("TIMED_OUT", None)
    assert types(ended.history) == ["ExecutionTimedOut"] and ended.commands == (CancelTask(task.task_id),)
    done = advance(loaded, step.state, TaskSucceeded(task.task_id, 1), NOW)
    assert done.state["status"] == "SUCCEEDED" and done.commands == (CancelTimer(timer.timer_id),)


def test_stopping_calls_off_what_is_open() -> None:
    loaded, step = begin(chain(T=dict(TASK)))
    stopped = advance(loaded, step.state, StopRequested("Stop", "by hand"), NOW)
    assert stopped.state["status"] == "ABORTED" and stopped.state["cause"] == "by hand"
    assert stopped.history[-1]["executionAbortedEventDetails"] == {"error": "Stop", "cause": "by hand"}
    assert stopped.commands == (CancelTask(only(step, ScheduleTask).task_id),)


def test_an_event_that_nobody_waits_for_changes_nothing() -> None:
    loaded, step = begin(chain(T=dict(TASK), U=dict(TASK)))
    task = only(step, ScheduleTask)
    later = advance(loaded, step.state, TaskSucceeded(task.task_id, 1), NOW)
    strangers = (TaskSucceeded(task.task_id, 2), TaskFailed(99, "E", ""), TaskTimedOut(99), TimerFired(99))
    for event in strangers:
        assert advance(loaded, later.state, event, NOW) == Step(later.state, (), ())
    ended = advance(loaded, later.state, TaskSucceeded(only(later, ScheduleTask).task_id, 3), NOW)
    assert advance(loaded, ended.state, StopRequested(), NOW) == Step(ended.state, (), ())


# History


def test_events_are_named_after_the_kind_of_resource() -> None:
    cases = {
        "arn:aws:lambda:eu-west-1:1:function:f": ["LambdaFunctionScheduled", "LambdaFunctionStarted"],
        "arn:aws:states:eu-west-1:1:activity:a": ["ActivityScheduled", "ActivityStarted"],
        RESOURCE: ["TaskScheduled", "TaskStarted"],
        "arn:aws:states:::glue:startJobRun.sync": ["TaskScheduled", "TaskStarted", "TaskSubmitted"],
    }
    for resource, expected in cases.items():
        _, step = begin(chain(T={**TASK, "Resource": resource}))
        assert types(step.history) == ["ExecutionStarted", "TaskStateEntered", *expected]
    _, step = begin(chain(T={**TASK, "Resource": "arn:aws:states:::glue:startJobRun.sync", "TimeoutSeconds": 5}))
    assert step.history[2]["taskScheduledEventDetails"] == {
        "resourceType": "glue",
        "resource": "startJobRun.sync",
        "region": "us-east-1",
        "parameters": "{}",
        "timeoutInSeconds": 5,
    }


# Redrive


def test_a_redrive_goes_on_at_the_failed_state_with_new_retries() -> None:
    definition = chain(
        A={**TASK, "ResultPath": "$.a"},
        B={**TASK, "ResultPath": "$.b", "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}]},
    )
    loaded, step = begin(definition)
    step = advance(loaded, step.state, TaskSucceeded(only(step, ScheduleTask).task_id, 1), NOW)
    for _ in range(2):
        step = advance(loaded, step.state, TaskFailed(only(step, ScheduleTask).task_id, "E", ""), NOW)
        if step.state["status"] == "RUNNING":
            step = advance(loaded, step.state, TimerFired(only(step, StartTimer).timer_id), NOW)
    assert step.state["status"] == "FAILED"
    again = redrive(loaded, json.loads(json.dumps(step.state)), NOW)
    assert types(again.history) == ["ExecutionRedriven", "TaskScheduled", "TaskStarted"]
    assert again.history[0]["id"] == step.history[-1]["id"] + 1 and "error" not in again.state
    retried = advance(loaded, again.state, TaskFailed(only(again, ScheduleTask).task_id, "E", ""), NOW)
    assert retried.state["status"] == "RUNNING"
    done = advance(loaded, again.state, TaskSucceeded(only(again, ScheduleTask).task_id, 2), NOW)
    assert done.state["output"] == {"a": 1, "b": 2} and done.state["redrives"] == 1


def test_only_what_failed_is_redriven() -> None:
    loaded, step = begin(chain(T=dict(TASK)))
    with pytest.raises(NotRedrivable):
        redrive(loaded, step.state, NOW)
    done = advance(loaded, step.state, TaskSucceeded(only(step, ScheduleTask).task_id, 1), NOW)
    with pytest.raises(NotRedrivable):
        redrive(loaded, done.state, NOW)


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("2025-01-03T08:00:01Z", True),
        ("2025-01-03t08:01z", True),
        ("2025-01-03T09:00+00:30", True),
        ("2025-01-03T09:00:00.5+01:00", True),
        ("2025-01-03T07:59:59Z", False),
        ("2025-01-03T08:01:00+18:01", None),
        ("2025-01-03 08:01:00Z", None),
        ("2025-01-03T08:01:00", None),
    ],
)
def test_a_wait_reads_the_timestamps_that_java_reads(text: str, waits: bool | None) -> None:
    _, step = begin(chain(W={"Type": "Wait", "TimestampPath": "$"}), text)
    if waits is None:
        assert step.state["error"] == "States.Runtime" and "ISO-8601" in step.state["cause"]
    else:
        assert step.state["status"] == ("RUNNING" if waits else "SUCCEEDED")


def test_variables_are_as_large_as_a_payload_at_most() -> None:
    assign = {"a.$": "States.Format('{}{}', $, $)", "b.$": "$"}
    fits = run(chain(P={"Type": "Pass", "Assign": assign, "Result": 1}), "x" * 87_000)
    assert fits.status == "SUCCEEDED"
    result = run(chain(P={"Type": "Pass", "Assign": assign, "ResultPath": None}), "x" * 88_000)
    assert (result.status, result.error) == ("FAILED", "States.DataLimitExceeded")


def test_text_that_holds_a_number_is_one_in_a_path_field_and_other_text_is_not() -> None:
    each = {"Type": "Map", "MaxConcurrencyPath": "$.n", "ItemsPath": "$.i", "ItemProcessor": chain(I={"Type": "Pass"})}
    fitting: list[Any] = ["1", "+1", 1, 1.0]
    others: list[Any] = [" 1", "1_0", "1.0", "x", True, [1], "-1", -1]
    for value in fitting:
        assert run(chain(M=dict(each)), {"n": value, "i": [1]}).status == "SUCCEEDED"
    for value in others:
        found = run(chain(M=dict(each)), {"n": value, "i": [1]})
        assert (found.status, found.error) == ("FAILED", "States.Runtime"), value
