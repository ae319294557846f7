"""Binds the workflow's task resources to the rooms of an embedded lake, answering in the shapes AWS answers in."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta

from lakehead.catalog import Catalog, Crawlers
from lakehead.contract import Contract
from lakehead.errors import BucketNotFound, CrawlerNotFound, CrawlerRunning, LakeheadError, ObjectNotFound, UsageError
from lakehead.etl.base import Engine, JobOutcome, JobRequest
from lakehead.etl.jobs import run_jobs
from lakehead.etl.request import job_request
from lakehead.etl.together import SMALL_BYTES
from lakehead.logs import log_context
from lakehead.model import Json, Zone, iso, utc_now
from lakehead.notify import Notifier, Publication
from lakehead.storage import ObjectStore
from lakehead.workflow.types import GroupHandler, TaskError, TaskHandler, TaskRequest

log = logging.getLogger(__name__)

GET_OBJECT = "arn:aws:states:::aws-sdk:s3:getObject"
GET_CRAWLER = "arn:aws:states:::aws-sdk:glue:getCrawler"
START_CRAWLER = "arn:aws:states:::aws-sdk:glue:startCrawler"
START_JOB_RUN = "arn:aws:states:::glue:startJobRun.sync"
PUBLISH = "arn:aws:states:::sns:publish"

JOBS_TOGETHER = 32
"""How many small files are loaded together at most."""
PUBLICATIONS_TOGETHER = 100
"""How many notifications are published together at most."""


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms that the workflow's tasks need."""

    contracts: Mapping[str, Contract]
    engine: Engine
    store: ObjectStore
    processed_bucket: str
    catalog: Catalog
    crawlers: Crawlers
    notifier: Notifier

    def handlers(self) -> dict[str, TaskHandler | GroupHandler]:
        """A handler for every resource that the shipped workflow names."""
        return {
            GET_OBJECT: self.get_object,
            GET_CRAWLER: self.get_crawler,
            START_CRAWLER: self.start_crawler,
            START_JOB_RUN: GroupHandler(self.start_job_runs, self._group_key, JOBS_TOGETHER),
            PUBLISH: GroupHandler(self.publish, lambda _: PUBLISH, PUBLICATIONS_TOGETHER),
        }

    def get_object(self, request: TaskRequest) -> Json:
        """S3 GetObject of a small text object: `{"Body", "ContentLength", "ETag"}`. Fails as S3.NoSuchKeyException."""
        bucket, key = _text(request, "Bucket"), _text(request, "Key")
        try:
            data, etag = self.store.get_with_etag(bucket, key)
        except ObjectNotFound as error:
            raise TaskError("S3.NoSuchKeyException", str(error)) from error
        except BucketNotFound as error:
            raise TaskError("S3.NoSuchBucketException", str(error)) from error
        body = data[_range(request)]
        return {"Body": body.decode(), "ContentLength": len(body), "ETag": f'"{etag}"'}

    def start_crawler(self, request: TaskRequest) -> Json:
        """Glue StartCrawler: begins a crawl and answers at once."""
        name = _text(request, "Name")
        try:
            self.crawlers.start(name)
        except CrawlerRunning as error:
            raise TaskError("Glue.CrawlerRunningException", str(error)) from error
        except CrawlerNotFound as error:
            raise TaskError("Glue.EntityNotFoundException", str(error)) from error
        return {}

    def get_crawler(self, request: TaskRequest) -> Future[dict[str, Json]]:
        """Glue GetCrawler, answered when the crawler is next READY.

        A local crawl takes milliseconds, so the workflow polls without a pause here; holding back the answer
        (without holding a thread) keeps that from becoming a busy loop.
        """
        try:
            return self.crawlers.wait(_text(request, "Name"))
        except CrawlerNotFound as error:
            raise TaskError("Glue.EntityNotFoundException", str(error)) from error

    def start_job_runs(self, requests: Sequence[TaskRequest]) -> list[Json | Exception]:
        """Glue StartJobRun with `.sync`: loads one object version for each request, and answers with its JobRun."""
        started, clock = utc_now(), time.monotonic()
        answers: dict[int, Json | Exception] = {}
        jobs: dict[int, JobRequest] = {}
        for number, request in enumerate(requests):
            try:
                jobs[number] = self._job(request)
            except LakeheadError as error:
                answers[number] = error
        for dataset in {job.dataset for job in jobs.values()}:
            answers |= self._run({number: job for number, job in jobs.items() if job.dataset == dataset}, dataset)
        done = [jobs[number] for number, answer in answers.items() if isinstance(answer, JobOutcome)]
        # Noted before the tasks are reported done: a crash in between runs them again, so no commit stays unnoticed.
        self.catalog.note_all_changed((job.dataset, Zone.PROCESSED, job.source.key) for job in done)
        seconds = timedelta(seconds=time.monotonic() - clock)
        for number, answer in answers.items():
            if isinstance(answer, JobOutcome):
                answers[number] = _job_run(requests[number], jobs[number], answer.outcome, started, seconds)
        return [answers[number] for number in range(len(requests))]

    def _group_key(self, request: TaskRequest) -> Hashable | None:
        """Small files of one dataset are loaded together, if that spares something; a large one keeps others waiting.

        Raises LakeheadError, KeyError and the like for a request that no job can be made of.
        """
        job = self._job(request)
        contract, source = self.contracts[job.dataset], job.source
        if (
            contract.on_duplicate_content != "load"
            or not self.engine.shares(contract)
            or source.key.lower().endswith(".gz")
        ):
            return None
        path = self.store.local_path(source.bucket, source.key)
        try:
            return job.dataset if path and path.stat().st_size <= SMALL_BYTES else None
        except OSError:
            return None

    def _job(self, request: TaskRequest) -> JobRequest:
        job = job_request(request.arguments["Arguments"], attempt=re.sub(r"[^0-9A-Za-z_-]+", "-", request.token))
        if job.dataset not in self.contracts:
            raise UsageError("no contract describes this dataset", dataset=job.dataset)
        return job

    def _run(self, jobs: Mapping[int, JobRequest], dataset: str) -> dict[int, JobOutcome | Exception]:
        told = run_jobs(
            list(jobs.values()),
            contract=self.contracts[dataset],
            engine=self.engine,
            raw=self.store,
            processed=self.store,
            processed_bucket=self.processed_bucket,
        )
        for job, outcome in zip(jobs.values(), told, strict=True):
            for warning in outcome.record.warnings if isinstance(outcome, JobOutcome) else ():
                with log_context(execution=job.execution, object=str(job.source), dataset=job.dataset):
                    log.warning("%s", warning)
        return dict(zip(jobs, told, strict=True))

    def publish(self, requests: Sequence[TaskRequest]) -> list[Json | Exception]:
        """SNS Publish into the durable outbox; the same task run again publishes nothing more."""
        answers: dict[int, Json | Exception] = {}
        publications: dict[int, Publication] = {}
        for number, request in enumerate(requests):
            try:
                publications[number] = _publication(request)
            except TaskError as error:
                answers[number] = error
        for number, message_id in zip(publications, self.notifier.publish_all(publications.values()), strict=True):
            answers[number] = {"MessageId": message_id}
        return [answers[number] for number in range(len(requests))]


def _publication(request: TaskRequest) -> Publication:
    arguments = request.arguments
    attributes = {name: str(value["StringValue"]) for name, value in arguments.get("MessageAttributes", {}).items()}
    return Publication(
        _text(request, "TopicArn"),
        str(arguments.get("Subject", "")),
        _text(request, "Message"),
        request.token,
        {**attributes, "execution": request.execution},
    )


def _job_run(request: TaskRequest, job: JobRequest, outcome: str, started: datetime, seconds: timedelta) -> Json:
    return {
        "Id": f"jr_{job.attempt}",
        "JobName": request.arguments["JobName"],
        "JobRunState": "SUCCEEDED",
        "Arguments": request.arguments["Arguments"],
        "Attempt": 0,
        "StartedOn": iso(started),
        "CompletedOn": iso(started + seconds),
        "ExecutionTime": round(seconds.total_seconds()),
        "Outcome": outcome,
    }


def _range(request: TaskRequest) -> slice:
    """The bytes that a request's Range asks for, `bytes=0-1023`; all without one (RFC 9110, 14.1.2)."""
    asked = request.arguments.get("Range")
    if asked is None:
        return slice(None)
    found = re.fullmatch(r"bytes=([0-9]+)-([0-9]+)", str(asked))
    if not found:
        raise TaskError("S3.InvalidRangeException", f"not a range of bytes: {asked}")
    return slice(int(found[1]), int(found[2]) + 1)


def _text(request: TaskRequest, name: str) -> str:
    value = request.arguments.get(name)
    if not isinstance(value, str) or not value:
        raise TaskError("States.Runtime", f"{request.resource} needs {name} as text")
    return value
