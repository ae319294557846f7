"""A job's arguments, as the workflow document gives them to Glue's StartJobRun, and the request that they make."""

from __future__ import annotations

from collections.abc import Mapping

from lakehead.errors import UsageError
from lakehead.etl.base import JobRequest
from lakehead.model import REPLAY, ObjectVersion

ABSENT = "-"
"""What the workflow passes for an event field that was absent: a Glue argument cannot be empty."""


def job_request(arguments: Mapping[str, str], *, attempt: str) -> JobRequest:
    """A job's arguments, `--source_bucket` and so on, as a request. Raises UsageError for one that is missing."""

    def value(name: str) -> str:
        if name not in arguments:
            raise UsageError("the job misses an argument", argument=name)
        text = str(arguments[name])
        return "" if text == ABSENT else text

    source = ObjectVersion(
        value("--source_bucket"),
        value("--source_key"),
        etag=value("--source_etag"),
        sequencer=value("--sequencer"),
        version_id=value("--source_version_id"),
    )
    return JobRequest(
        value("--dataset"), source, value("--execution"), attempt, force=arguments.get("--reason") == REPLAY
    )
