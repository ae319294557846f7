"""Binds the workflow's task resources to the rooms of an embedded lake, answering in the shapes AWS answers in."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta

from lakehead.catalog import Catalog, Crawlers
from lakehead.contract import Contract
from lakehead.errors import BucketNotFound, CrawlerNotFound, CrawlerRunning, ObjectNotFound, UsageError
from lakehead.etl.base import Engine
from lakehead.etl.job import run_job
from lakehead.etl.request import job_request
from lakehead.logs import log_context
from lakehead.model import Json, Zone, iso, utc_now
from lakehead.notify import Notifier
from lakehead.storage import ObjectStore
from lakehead.workflow.types import TaskError, TaskHandler, TaskRequest

log = logging.getLogger(__name__)

GET_OBJECT = "arn:aws:states:::aws-sdk:s3:getObject"
GET_CRAWLER = "arn:aws:states:::aws-sdk:glue:getCrawler"
START_CRAWLER = "arn:aws:states:::aws-sdk:glue:startCrawler"
START_JOB_RUN = "arn:aws:states:::glue:startJobRun.sync"
PUBLISH = "arn:aws:states:::sns:publish"


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

    def handlers(self) -> dict[str, TaskHandler]:
        """A handler for every resource that the shipped workflow names."""
        return {
            GET_OBJECT: self.get_object,
            GET_CRAWLER: self.get_crawler,
            START_CRAWLER: self.start_crawler,
            START_JOB_RUN: self.start_job_run,
            PUBLISH: self.publish,
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

    def get_crawler(self, request: TaskRequest) -> Json:
        """Glue GetCrawler, answered when the crawler is next READY.

        A local crawl takes milliseconds, so the workflow polls without a pause here; holding back the answer
        (without holding a thread) keeps that from becoming a busy loop.
        """
        name = _text(request, "Name")
        try:
            described = self.crawlers.get(name)
        except CrawlerNotFound as error:
            raise TaskError("Glue.EntityNotFoundException", str(error)) from error
        if described["Crawler"]["State"] == "READY":
            return described
        answer: Future[Json] = Future()

        def tell(_: Future[None]) -> None:
            try:
                answer.set_result(self.crawlers.get(name))
            except Exception as error:
                answer.set_exception(error)

        self.crawlers.wait(name).add_done_callback(tell)
        return answer

    def start_job_run(self, request: TaskRequest) -> Json:
        """Glue StartJobRun with `.sync`: loads one object version and answers with the JobRun."""
        started, clock = utc_now(), time.monotonic()
        arguments: dict[str, str] = request.arguments["Arguments"]
        job = job_request(arguments, attempt=re.sub(r"[^0-9A-Za-z_-]+", "-", request.token))
        contract = self.contracts.get(job.dataset)
        if contract is None:
            raise UsageError("no contract describes this dataset", dataset=job.dataset)
        with log_context(object=str(job.source), dataset=job.dataset):
            outcome = run_job(
                job,
                contract=contract,
                engine=self.engine,
                raw=self.store,
                processed=self.store,
                processed_bucket=self.processed_bucket,
            )
            for warning in outcome.record.warnings:
                log.warning("%s", warning)
        # Noted before the task is reported done: a crash in between runs the task again, so no commit stays unnoticed.
        self.catalog.note_changed(job.dataset, Zone.PROCESSED, job.source.key)
        seconds = time.monotonic() - clock
        return {
            "Id": f"jr_{job.attempt}",
            "JobName": request.arguments["JobName"],
            "JobRunState": "SUCCEEDED",
            "Arguments": arguments,
            "Attempt": 0,
            "StartedOn": iso(started),
            "CompletedOn": iso(started + timedelta(seconds=seconds)),
            "ExecutionTime": round(seconds),
            "Outcome": outcome.outcome,
        }

    def publish(self, request: TaskRequest) -> Json:
        """SNS Publish into the durable outbox; the same task run again publishes nothing more."""
        arguments = request.arguments
        attributes = {name: str(value["StringValue"]) for name, value in arguments.get("MessageAttributes", {}).items()}
        message_id = self.notifier.publish(
            _text(request, "TopicArn"),
            str(arguments.get("Subject", "")),
            _text(request, "Message"),
            token=request.token,
            attributes={**attributes, "execution": request.execution},
        )
        return {"MessageId": message_id}


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
