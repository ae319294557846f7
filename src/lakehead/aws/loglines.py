"""What there is to read of one execution on AWS: its history, and the lines that its job runs logged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from lakehead.aws.api import Aws
from lakehead.model import Json
from lakehead.results import RunDetail

_JOB_RUN = re.compile(r"\bjr_[0-9a-f]+")
_FAILURES = ("Failed", "TimedOut", "Aborted")


def run_lines(aws: Aws, group: str, run: RunDetail) -> list[dict[str, Json]]:
    """The lines of an execution, oldest first, with the fields of the embedded lake's log.

    Step Functions' own log holds what the history tells, later and, by default, of errors only: so the history is read.
    """
    where = {"execution": run.summary.name, "object": run.summary.key, "dataset": run.summary.dataset}
    lines = [_of_event(event) | where for event in run.history]
    for job_run in job_runs(run.history):
        lines += [where | line for line in _logged(aws, group, job_run)]
    return sorted(lines, key=lambda line: datetime.fromisoformat(str(line["timestamp"])))


def job_runs(history: Iterable[Mapping[str, Json]]) -> list[str]:
    """The ids of the job runs that a history tells of, in order."""
    about_jobs = (text for event in history if "startJobRun" in (text := json.dumps(event)))
    return list(dict.fromkeys(found for text in about_jobs for found in _JOB_RUN.findall(text)))


def _of_event(event: Mapping[str, Json]) -> dict[str, Json]:
    details: Any = next((value for value in event.values() if isinstance(value, dict)), {})
    about = [details.get(name) for name in ("name", "resource", "error", "cause")]
    failed = str(event["type"]).endswith(_FAILURES)
    return {
        "timestamp": event["timestamp"],
        "level": "ERROR" if failed else "INFO",
        "logger": "stepfunctions",
        "message": " ".join(str(part) for part in (event["type"], *about) if part),
    }


def _logged(aws: Aws, group: str, job_run: str) -> Iterator[dict[str, Json]]:
    asked = {"logGroupName": group, "logStreamNamePrefix": job_run}
    for page in aws.pages("logs", "filter_log_events", **asked):
        for event in page["events"]:
            yield _line(event["message"].rstrip("\n"), datetime.fromtimestamp(event["timestamp"] / 1000, UTC))


def _line(message: str, moment: datetime) -> dict[str, Json]:
    """A line of Lakehead's own is JSON; any other is told as it is."""
    plain = {"timestamp": moment.isoformat(), "level": "INFO", "logger": "glue"}
    try:
        decoded = json.loads(message)
    except ValueError:
        decoded = None
    return plain | decoded if isinstance(decoded, dict) else {**plain, "message": message}
