"""A second opinion: moto's interpreter takes the shipped workflow along the same path as ours, with the same data.

moto carries LocalStack's interpreter, which others wrote. Both get the same document, the same event and the same
answers to their tasks. What is compared: the states entered with their inputs, what the tasks were asked, how they
failed, and how the execution ended.
"""

from __future__ import annotations

import copy
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import pytest

from lakehead.pipeline import configured
from lakehead.workflow import execute

DOCUMENT = json.loads((files("lakehead.examples") / "sales" / "workflow" / "ingest.asl.json").read_text("utf-8"))
NAME = "orders-1"
LONG_AGO, LATER = "2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
MOTO = "moto.stepfunctions.parser"


# What a scenario's tasks answer


def gives(output: Any) -> dict[str, Any]:
    return {"output": output}


def fails(error: str, cause: str = "for a reason") -> dict[str, Any]:
    return {"outcome": "fail", "error": error, "cause": cause}


def crawler(state: str, *, began: str | None = None, status: str = "SUCCEEDED") -> dict[str, Any]:
    last = {} if began is None else {"LastCrawl": {"Status": status, "StartTime": began}}
    return gives({"Crawler": {"Name": "a-crawler", "State": state, **last}})


def record(execution: str = NAME, *, etag: str = "e1", sequencer: str = "0A") -> dict[str, Any]:
    rows = {"rows_read": 3, "rows_committed": 2, "rows_quarantined": 1}
    summary = {"source": {"etag": etag, "sequencer": sequencer}, "execution": execution, **rows}
    return gives({"Body": json.dumps(summary), "ContentLength": 1024})


def job(state: str = "SUCCEEDED") -> dict[str, Any]:
    return gives({"Id": "jr_1", "JobName": "dev-sales-orders-etl", "JobRunState": state, "Attempt": 0})


NO_COMMIT = fails("S3.NoSuchKeyException", "The specified key does not exist.")
CRAWLED = crawler("READY", began=LATER)
CRAWL_FAILED = crawler("READY", began=LATER, status="FAILED")
RUNNING_ALREADY = fails("Glue.CrawlerRunningException", "Crawler a-crawler has already started")
TOLD = gives({"MessageId": "m-1"})
POLLED = (crawler("RUNNING"), crawler("STOPPING", began=LONG_AGO), CRAWLED)


def troubles(*errors: str) -> tuple[dict[str, Any], ...]:
    return tuple(fails(error) for error in errors)


S3_TROUBLE = troubles("S3.S3Exception", "S3.SdkClientException", "Lakehead.StorageUnavailable")
GLUE_TROUBLE = troubles(
    "Glue.OperationTimeoutException", "Glue.GlueException", "Glue.SdkClientException", "Lakehead.Busy"
)
JOB_TROUBLE = troubles(
    "Glue.ConcurrentRunsExceededException",
    "Glue.ResourceNumberLimitExceededException",
    "Glue.InternalServiceException",
    "Glue.OperationTimeoutException",
    "Glue.GlueException",
    "Glue.SdkClientException",
    "Lakehead.StorageUnavailable",
    "Lakehead.CommitConflict",
    "Lakehead.Busy",
)
SNS_TROUBLE = troubles(
    "SNS.InternalErrorException",
    "SNS.ThrottledException",
    "SNS.SdkClientException",
    "SNS.SnsException",
    "Lakehead.Busy",
)

Answers = Mapping[str, tuple[dict[str, Any], ...]]

USUAL: Answers = {
    "ReadCommit": (NO_COMMIT,),
    "GetRawCrawler": (CRAWLED,),
    "RunJob": (job(),),
    "ReadRecord": (record(),),
    "GetProcessedCrawler": (CRAWLED,),
    "NotifySuccess": (TOLD,),
}


def usual(*without: str, **others: tuple[dict[str, Any], ...]) -> Answers:
    """The answers for a new file that is loaded without trouble, but for some states."""
    return {**{state: given for state, given in USUAL.items() if state not in without}, **others}


UNLOADED = ("ReadRecord", "GetProcessedCrawler", "NotifySuccess")
# A job that fails cuts the raw crawl short. Its retry lets the crawl come to its end first, on every interpreter.
BUSY = fails("Lakehead.Busy")
OBJECT = {"key": "sales/orders/a file.csv", "etag": "e1", "sequencer": "0A", "size": 17, "version-id": "v1"}


@dataclass(frozen=True)
class Scenario:
    """`end`: how it has to end, as a check of the scenario itself. `passes` names a state that it is about."""

    answers: Answers
    end: str
    passes: str
    object: Mapping[str, Any] = field(default_factory=lambda: OBJECT)
    reason: str | None = "PutObject"

    def event(self) -> dict[str, Any]:
        reason = {} if self.reason is None else {"reason": self.reason}
        return {"detail": {"bucket": {"name": "raw"}, "object": dict(self.object), **reason}}


SCENARIOS: dict[str, Scenario] = {
    "a new file, crawls polled": Scenario(
        usual(
            GetRawCrawler=(crawler("READY"), *POLLED),
            StartRawCrawler=(gives({}),),
            GetProcessedCrawler=(crawler("READY", began=LONG_AGO), *POLLED),
            StartProcessedCrawler=(gives({}),),
        ),
        "SUCCEEDED",
        "Done",
    ),
    "crawlers that others started": Scenario(
        usual(
            GetRawCrawler=(crawler("READY", began=LONG_AGO), CRAWLED),
            StartRawCrawler=(RUNNING_ALREADY,),
            GetProcessedCrawler=(crawler("READY"), *POLLED),
            StartProcessedCrawler=(RUNNING_ALREADY,),
        ),
        "SUCCEEDED",
        "WaitForRawCrawler",
    ),
    "an event that lacks what it may lack": Scenario(
        usual(), "SUCCEEDED", "Done", object={"key": "sales/orders/b.csv"}, reason=None
    ),
    "a half-written file": Scenario({}, "SUCCEEDED", "Hidden", object={"key": "sales/orders/_temporary/b.csv"}),
    "committed already": Scenario({"ReadCommit": (record(),)}, "SUCCEEDED", "AlreadyCommitted"),
    "committed already, replayed": Scenario(usual(ReadCommit=(record(),)), "SUCCEEDED", "Done", reason="Replay"),
    "another version committed before": Scenario(usual(ReadCommit=(record(etag="e0"),)), "SUCCEEDED", "Done"),
    "superseded": Scenario(
        usual("GetProcessedCrawler", "NotifySuccess", ReadRecord=(record("orders-2", sequencer="0B"),)),
        "SUCCEEDED",
        "CommittedElsewhere",
    ),
    "the job fails by a name of ours": Scenario(
        usual(
            *UNLOADED,
            RunJob=(
                BUSY,
                fails("Lakehead.HeaderMismatch", "no column 'price'"),
            ),
            NotifyFailure=(TOLD,),
        ),
        "Lakehead.HeaderMismatch",
        "NotifyFailure",
    ),
    "the job fails as Glue tells it": Scenario(
        usual(
            *UNLOADED,
            RunJob=(
                BUSY,
                fails("States.TaskFailed", '{"JobRunState":"FAILED","ErrorMessage":"no \\"price\\""}'),
            ),
            NotifyFailure=(TOLD,),
        ),
        "States.TaskFailed",
        "NotifyFailure",
    ),
    "the job is stopped": Scenario(
        usual(*UNLOADED, RunJob=(BUSY, job("STOPPED")), NotifyFailure=(TOLD,)), "JobNotSucceeded", "JobNotSucceeded"
    ),
    "every transient error": Scenario(
        usual(
            ReadCommit=(*S3_TROUBLE, NO_COMMIT),
            GetRawCrawler=(*GLUE_TROUBLE, crawler("READY"), *GLUE_TROUBLE, CRAWLED),
            StartRawCrawler=(*GLUE_TROUBLE, gives({})),
            RunJob=(*JOB_TROUBLE[:5], job()),
            ReadRecord=(*S3_TROUBLE, record()),
            GetProcessedCrawler=(*GLUE_TROUBLE, crawler("READY"), CRAWLED),
            StartProcessedCrawler=(*GLUE_TROUBLE, gives({})),
            NotifySuccess=(*SNS_TROUBLE, TOLD),
        ),
        "SUCCEEDED",
        "Done",
    ),
    "more transient errors of the job, and of telling its failure": Scenario(
        usual(
            *UNLOADED,
            RunJob=(*JOB_TROUBLE[5:], fails("Lakehead.TooLarge")),
            NotifyFailure=(*SNS_TROUBLE, TOLD),
        ),
        "Lakehead.TooLarge",
        "NotifyFailure",
    ),
    "retries are used up": Scenario(
        usual(
            "NotifySuccess",
            GetProcessedCrawler=(fails("Glue.GlueException", "Rate exceeded"),) * 6,
            NotifyFailure=(TOLD,),
        ),
        "Glue.GlueException",
        "NotifyFailure",
    ),
    "the raw crawl fails beside a load": Scenario(
        usual("NotifySuccess", GetRawCrawler=(CRAWL_FAILED,), NotifyFailure=(TOLD,)),
        "RawCrawlFailed",
        "RawTableFailed",
    ),
    "the raw crawler cannot be asked": Scenario(
        usual("NotifySuccess", GetRawCrawler=(fails("Glue.EntityNotFoundException"),), NotifyFailure=(TOLD,)),
        "Glue.EntityNotFoundException",
        "RawTableNotSynced",
    ),
    "the raw crawler cannot be started": Scenario(
        usual(
            "NotifySuccess",
            GetRawCrawler=(crawler("READY"),),
            StartRawCrawler=(fails("Glue.AccessDeniedException"),),
            NotifyFailure=(TOLD,),
        ),
        "Glue.AccessDeniedException",
        "RawTableNotSynced",
    ),
    "the processed crawler cannot be started": Scenario(
        usual(
            "NotifySuccess",
            GetProcessedCrawler=(crawler("READY"),),
            StartProcessedCrawler=(fails("Glue.AccessDeniedException"),),
            NotifyFailure=(TOLD,),
        ),
        "Glue.AccessDeniedException",
        "NotifyFailure",
    ),
    "the commit cannot be read": Scenario(
        {"ReadCommit": (fails("S3.AccessDeniedException", "Access Denied"),), "NotifyFailure": (TOLD,)},
        "S3.AccessDeniedException",
        "NotifyFailure",
    ),
    "the processed crawl fails": Scenario(
        usual("NotifySuccess", GetProcessedCrawler=(CRAWL_FAILED,), NotifyFailure=(TOLD,)),
        "ProcessedCrawlFailed",
        "ProcessedCrawlFailed",
    ),
    "no record after the load": Scenario(
        usual("GetProcessedCrawler", "NotifySuccess", ReadRecord=(NO_COMMIT,), NotifyFailure=(TOLD,)),
        "S3.NoSuchKeyException",
        "NotifyFailure",
    ),
    "the success cannot be told": Scenario(
        usual(NotifySuccess=(fails("SNS.NotFoundException", "no such topic"),), NotifyFailure=(TOLD,)),
        "SNS.NotFoundException",
        "NotifyFailure",
    ),
    "nothing can be told": Scenario(
        usual(
            NotifySuccess=(fails("SNS.NotFoundException", "no such topic"),),
            NotifyFailure=(fails("SNS.InternalErrorException"), fails("SNS.NotFoundException", "still none")),
        ),
        "SNS.NotFoundException",
        "Failed",
    ),
}


class Script:
    """Gives out a scenario's answers, in order, to whichever interpreter asks."""

    def __init__(self, answers: Answers) -> None:
        self._left = {state: deque(given) for state, given in answers.items()}

    def answer(self, state: str, _request: Any = None) -> dict[str, Any]:
        return copy.deepcopy(self._left[state].popleft())

    def unused(self) -> list[str]:
        return [state for state, left in self._left.items() if left]


# What an interpreter tells of an execution


@dataclass(frozen=True)
class Told:
    """`entered`: the states with their inputs, apart for the machine and for each branch, whose order is free."""

    status: str
    output: Any
    error: str | None
    cause: str | None
    entered: dict[str, list[tuple[str, Any]]]
    asked: list[str]
    failed: list[str]
    unused: list[str]


def branch_of(document: dict[str, Any]) -> dict[str, str]:
    """Which branch of Load each state is in; states of the machine itself are in none."""
    branches = document["States"]["Load"]["Branches"]
    return {state: f"branch {index}" for index, branch in enumerate(branches) for state in branch["States"]}


def told(
    end: Mapping[str, Any], output: Any, history: list[dict[str, Any]], branches: Mapping[str, str], script: Script
) -> Told:
    entered: dict[str, list[tuple[str, Any]]] = {}
    asked, failed = [], []
    for event in history:
        if "stateEnteredEventDetails" in event:
            details = event["stateEnteredEventDetails"]
            data = timeless(json.loads(details["input"]))
            entered.setdefault(branches.get(details["name"], "machine"), []).append((details["name"], data))
        elif event["type"] == "TaskScheduled":
            details = event["taskScheduledEventDetails"]
            asked.append(canonical([details["resourceType"], details["resource"], json.loads(details["parameters"])]))
        elif event["type"] == "TaskFailed":
            details = event["taskFailedEventDetails"]
            failed.append(canonical([details["error"], details["cause"]]))
    return Told(
        end["status"],
        timeless(output),
        end.get("error"),
        end.get("cause"),
        entered,
        sorted(asked),
        sorted(failed),
        script.unused(),
    )


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def timeless(data: Any) -> Any:
    """The data without the two times that are of the run itself; they have to be times with a zone."""
    for holder, key in ((data, "started"), (data.get("after"), "at")):
        if isinstance(holder, dict) and key in holder:
            assert datetime.fromisoformat(holder[key]).utcoffset() is not None
            holder[key] = "a time of this run"
    return data


def ours(document: dict[str, Any], scenario: Scenario) -> Told:
    script = Script(scenario.answers)
    result = execute(document, scenario.event(), script.answer, name=NAME)
    end = {"status": result.status, "error": result.error, "cause": result.cause}
    return told(end, result.output or {}, result.history, branch_of(document), script)


# moto


def _started_as_text(really: Any) -> Any:
    def details(self: Any) -> Any:
        found = really(self)
        found.start_time = found.start_time.isoformat()
        return found

    return details


def _read_timestamps(_: Any) -> Any:
    def moment(value: Any) -> datetime | None:
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (TypeError, ValueError):
            return None

    return staticmethod(moment)


def _take_any_name(_: Any) -> Any:
    def keep(self: Any, error_name: str | None) -> None:
        self.error_name = error_name

    return keep


def _one_by_one(really: Any) -> Any:
    def start(self: Any) -> None:
        really(self)
        self._worker_thread.join()

    return start


@dataclass(frozen=True)
class Mend:
    """What is put in the place of something of moto's, and why. `by` gets what is replaced."""

    module: str
    name: str
    by: Callable[[Any], Any]
    why: str

    def apply(self, monkeypatch: pytest.MonkeyPatch) -> None:
        owner: Any = import_module(f"{MOTO}.{self.module}")
        *outer, name = self.name.split(".")
        for part in outer:
            owner = getattr(owner, part)
        monkeypatch.setattr(owner, name, self.by(getattr(owner, name)))


MENDED = (
    Mend(
        "asl.component.common.retry.retrier_decl",
        "time",
        lambda _: SimpleNamespace(sleep=lambda seconds: None),
        "It really sleeps before a retry.",
    ),
    Mend(
        "backend.execution",
        "Execution.get_start_execution_details",
        _started_as_text,
        "$$.Execution.StartTime is a Python datetime, so an output that holds it cannot be described.",
    ),
    Mend(
        "asl.component.state.choice.comparison.operator.implementations.is_operator",
        "IsTimestamp.string_to_timestamp",
        _read_timestamps,
        "It reads whole seconds in Z only, so it fails on its own $$.Execution.StartTime and $$.State.EnteredTime.",
    ),
    Mend(
        "asl.component.common.error_name.custom_error_name",
        "CustomErrorName.__init__",
        _take_any_name,
        "Where a branch fails with a name of States., it raises a ValueError instead of failing the Parallel state.",
    ),
    Mend(
        "asl.component.state.exec.state_parallel.branch_worker",
        "BranchWorker.start",
        _one_by_one,
        "Branches run at once, so one that fails would cut the other short wherever that happens to be.",
    ),
)
"""Where moto cannot do what the workflow needs, or not twice in the same way. Nothing else of it is touched."""


@pytest.fixture
def moto_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Any], Scenario], Told]]:
    """Runs scenarios on moto's interpreter, with a backend of their own."""
    import boto3
    from moto import mock_aws

    for mend in MENDED:
        mend.apply(monkeypatch)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        client: Any = boto3.client("stepfunctions", region_name="us-east-1")

        def run(document: dict[str, Any], scenario: Scenario) -> Told:
            script = Script(scenario.answers)
            answer_tasks(monkeypatch, script)
            return on_moto(client, document, scenario, script)

        yield run


def answer_tasks(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    """Let a script answer moto's tasks, through its mode for mocked service integrations.

    LocalStack reads the answers from a file, chosen by the number of the retry; moto left the file out, and a state
    that is entered several times would get the same answer each time. Real calls to moto's services would not do: it
    names errors of aws-sdk in lower case (`glue.CrawlerRunningException`), and `glue:startJobRun.sync` breaks.
    """
    mocked = import_module(f"{MOTO}.mocking.mock_config")
    environment = import_module(f"{MOTO}.asl.eval.environment").Environment

    def response(self: Any) -> Any:
        answer = script.answer(self.next_state_name)
        if "output" in answer:
            return mocked.MockedResponseReturn(0, 0, answer["output"])
        return mocked.MockedResponseThrow(0, 0, answer["error"], answer["cause"])

    monkeypatch.setattr(environment, "is_mocked_mode", lambda self: True)
    monkeypatch.setattr(environment, "get_current_mocked_response", response)


def on_moto(client: Any, document: dict[str, Any], scenario: Scenario, script: Script) -> Told:
    machine = client.create_state_machine(
        name="ingest", definition=json.dumps(document), roleArn="arn:aws:iam::123456789012:role/states"
    )["stateMachineArn"]
    execution = client.start_execution(stateMachineArn=machine, name=NAME, input=json.dumps(scenario.event()))
    arn = execution["executionArn"]
    end = time.monotonic() + 30
    while (state := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < end, "moto does not end the execution"
        time.sleep(0.01)
    history = client.get_execution_history(executionArn=arn)["events"]
    client.delete_state_machine(stateMachineArn=machine)
    return told(state, json.loads(state.get("output", "{}")), history, branch_of(document), script)


# The tests


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The shipped document as an embedded lake fills it in: no pauses between two looks at a crawl."""
    values = {**DOCUMENT["States"]["Configure"]["Result"], "poll_seconds": 0, "settle_seconds": 0}
    return configured(DOCUMENT, values)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_motos_interpreter_agrees(
    document: dict[str, Any], scenario: Scenario, moto_runs: Callable[[dict[str, Any], Scenario], Told]
) -> None:
    mine = ours(document, scenario)
    assert (mine.error or mine.status) == scenario.end
    assert scenario.passes in {name for states in mine.entered.values() for name, _ in states}
    assert mine.unused == []
    assert moto_runs(document, scenario) == mine


def test_the_scenarios_enter_every_state(document: dict[str, Any]) -> None:
    entered = {
        name for scenario in SCENARIOS.values() for states in ours(document, scenario).entered.values()
        for name, _ in states
    }  # fmt: skip
    assert entered == {*document["States"], *branch_of(document)}


def _swap_choice(states: dict[str, Any]) -> None:
    states["IsCommitMine"]["Default"], states["IsCommitMine"]["Choices"][0]["Next"] = "MarkReady", "CommittedElsewhere"


def _retry_less(states: dict[str, Any]) -> None:
    states["GetProcessedCrawler"]["Retry"][0]["MaxAttempts"] = 4


def _ask_for_more(states: dict[str, Any]) -> None:
    states["ReadRecord"]["Parameters"]["Range"] = "bytes=0-2047"


def _catch_elsewhere(states: dict[str, Any]) -> None:
    branch = states["Load"]["Branches"][0]["States"]
    branch["StartRawCrawler"]["Catch"][0]["Next"] = "RawTableNotSynced"


def _lose_the_cause(states: dict[str, Any]) -> None:
    states["Load"]["Catch"][0]["ResultPath"] = "$.trouble"


CHANGES = {
    "superseded": _swap_choice,
    "retries are used up": _retry_less,
    "committed already, replayed": _ask_for_more,
    "crawlers that others started": _catch_elsewhere,
    "the job is stopped": _lose_the_cause,
}


@pytest.mark.parametrize(("name", "change"), CHANGES.items(), ids=CHANGES)
def test_a_difference_would_be_noticed(
    document: dict[str, Any],
    name: str,
    change: Callable[[dict[str, Any]], None],
    moto_runs: Callable[[dict[str, Any], Scenario], Told],
) -> None:
    changed = copy.deepcopy(document)
    change(changed["States"])
    assert moto_runs(changed, SCENARIOS[name]) != ours(document, SCENARIOS[name])
