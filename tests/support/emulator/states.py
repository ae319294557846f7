"""Step Functions' integrations, each a call that the state machine's role makes over TLS.

Names of errors, and times in whole seconds, are those of AWS. A `.sync` job run is watched to its end.
"""

from __future__ import annotations

import contextvars
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from ministack.services import stepfunctions

from support.emulator import authority

MODELLED = {"s3": ("NoSuchKey", "NoSuchBucket", "InvalidObjectState")}
NAMES = {"s3": "S3", "glue": "Glue", "sns": "Sns"}
WATCH_SECONDS = 0.1

_role: contextvars.ContextVar[str] = contextvars.ContextVar("role")


def install(lost_answers: Path) -> None:
    """Take over the integrations that the shipped workflow names."""
    execute_task, evaluate = stepfunctions._execute_task, stepfunctions._evaluate_rule

    def evaluate_rule(rule: Any, data: Any, ctx: Any = None) -> Any:
        # ministack takes no operator such as TimestampGreaterThanEqualsPath for what it is, and answers false.
        for operator in [name for name in rule if name.startswith("Timestamp") and name.endswith("Path")]:
            value = stepfunctions._resolve_path_or_ctx(rule[operator], data, ctx)
            rule = {"Variable": rule["Variable"], operator.removesuffix("Path"): value}
        return evaluate(rule, data, ctx)

    def as_role(state_def: Any, raw_input: Any, execution: Any, ctx: Any) -> Any:
        _role.set(stepfunctions._state_machines[execution["stateMachineArn"]]["roleArn"])
        return execute_task(state_def, raw_input, execution, ctx)

    stepfunctions._execute_task, stepfunctions._evaluate_rule = as_role, evaluate_rule
    stepfunctions._SERVICE_DISPATCH.update(
        {
            "arn:aws:states:::aws-sdk:s3:getObject": lambda _, request: call("s3", "getObject", request),
            "arn:aws:states:::aws-sdk:glue:getCrawler": lambda _, request: call("glue", "getCrawler", request),
            "arn:aws:states:::aws-sdk:glue:startCrawler": lambda _, request: call("glue", "startCrawler", request),
            "arn:aws:states:::sns:publish": lambda _, request: call("sns", "publish", request),
            "arn:aws:states:::glue:startJobRun": lambda _, request: run_job(request, lost_answers),
        }
    )


def call(service: str, action: str, request: dict[str, Any]) -> Any:
    """One API call as the role, answered in Step Functions' shapes."""
    try:
        answer = getattr(authority.client(service, _role.get()), xform_name(action))(**request)
    except ClientError as error:
        raise stepfunctions._ExecutionError(error_name(service, error), str(error)) from error
    answer.pop("ResponseMetadata", None)
    return shaped(answer)


def error_name(service: str, error: ClientError) -> str:
    """`Glue.CrawlerRunningException`; for what the SDK has no class for, `S3.S3Exception`."""
    code = str(error.response["Error"]["Code"]).rpartition(":")[2].removesuffix("Exception")
    modelled = MODELLED.get(service)
    if modelled is not None and code not in modelled:
        code = NAMES[service]
    return f"{NAMES[service] if service != 'sns' else 'SNS'}.{code}Exception"


def shaped(value: Any) -> Any:
    """Times as AWS writes them in an execution, cut to seconds; streams as text."""
    if isinstance(value, dict):
        return {name: shaped(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shaped(item) for item in value]
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.read().decode() if hasattr(value, "read") else value


def run_job(request: dict[str, Any], lost_answers: Path) -> Any:
    """startJobRun.sync: starts a run and watches it. A failed one is States.TaskFailed with the run as its cause."""
    started = call("glue", "startJobRun", request)
    asked = {"JobName": request["JobName"], "RunId": started["JobRunId"]}
    while (run := call("glue", "getJobRun", asked)["JobRun"])["JobRunState"] in ("STARTING", "RUNNING"):
        time.sleep(WATCH_SECONDS)
    if lost_answers.exists():
        # The test of invariant 4: the run is over, and Step Functions does not learn of it.
        name = json.loads(lost_answers.read_text(encoding="utf-8"))
        lost_answers.unlink()
        raise stepfunctions._ExecutionError(name, "the answer got lost")
    if run["JobRunState"] in ("FAILED", "TIMEOUT", "ERROR"):
        raise stepfunctions._ExecutionError("States.TaskFailed", json.dumps(run))
    return run
