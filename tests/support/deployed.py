"""A deployed lake, and what the tests do to it: land files, follow executions, ask Athena, read what was told."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from support.aws import Emulator, until
from support.terraform import Terraform

RUN_SECONDS = 200.0
HEADER = "order_id,customer_id,product,quantity,price,order_date\n"


@dataclass
class Deployment:
    """The lake on the emulator. `lake` are Terraform's outputs."""

    emulator: Emulator
    terraform: Terraform
    lake: dict[str, Any]
    destroyed: bool = field(default=False)

    def destroy(self) -> None:
        """Take it down, once."""
        if not self.destroyed:
            self.destroyed = True
            self.terraform.destroy()

    # Files -----------------------------------------------------------------------------------------------------------

    @property
    def raw(self) -> str:
        return str(self.lake["buckets"]["raw"])

    @property
    def processed(self) -> str:
        return str(self.lake["buckets"]["processed"])

    def land(self, text: str, *, dataset: str = "sales/orders", key: str = "") -> str:
        """Put a file into the raw zone under a new name, or under `key` again."""
        key = key or f"{dataset}/ingest_date=2025-01-03/{uuid.uuid4().hex}.csv"
        self.emulator.s3.put_object(Bucket=self.raw, Key=key, Body=text.encode())
        return key

    def files(self, prefix: str) -> list[str]:
        """Keys in the processed zone."""
        pages = self.emulator.s3.get_paginator("list_objects_v2").paginate(Bucket=self.processed, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    # Executions ------------------------------------------------------------------------------------------------------

    def executions(self, key: str, dataset: str = "sales/orders") -> list[dict[str, Any]]:
        """The executions that a key's events started, oldest first."""
        machine = self.lake["state_machines"][dataset]
        listed = self.emulator.states.list_executions(stateMachineArn=machine)["executions"]
        told = [self.emulator.states.describe_execution(executionArn=one["executionArn"]) for one in listed]
        mine = [one for one in told if json.loads(one["input"])["detail"]["object"]["key"] == key]
        return sorted(mine, key=lambda one: one["startDate"])

    def ended(self, key: str, count: int = 1, dataset: str = "sales/orders") -> list[dict[str, Any]]:
        """The executions of a key, once there are `count` and all have ended."""

        def ask() -> list[dict[str, Any]] | None:
            found = self.executions(key, dataset)
            return found if len(found) >= count and all(one["status"] != "RUNNING" for one in found) else None

        return until(f"{count} executions for {key}", ask, seconds=RUN_SECONDS)

    def loaded(self, key: str, dataset: str = "sales/orders") -> dict[str, Any]:
        """What the one execution of a key says it loaded. Fails where it did not succeed."""
        (execution,) = self.ended(key, dataset=dataset)
        assert execution["status"] == "SUCCEEDED", execution
        output: dict[str, Any] = json.loads(execution["output"])
        return output

    def states(self, execution: dict[str, Any]) -> list[str]:
        """The states that an execution entered, in order."""
        asked = {"executionArn": execution["executionArn"], "maxResults": 1000}
        events = self.emulator.states.get_execution_history(**asked)["events"]
        return [one["stateEnteredEventDetails"]["name"] for one in events if "stateEnteredEventDetails" in one]

    def job_runs(self, key: str, dataset: str = "sales/orders") -> list[dict[str, Any]]:
        """The job runs that were given a key."""
        runs = self.emulator.glue.get_job_runs(JobName=self.lake["jobs"][dataset])["JobRuns"]
        return [run for run in runs if run["Arguments"]["--source_key"] == key]

    # Queries ---------------------------------------------------------------------------------------------------------

    def query(self, sql: str, athena: Any = None) -> list[list[str | None]]:
        """What Athena answers, without the line of names."""
        athena = athena or self.emulator.client("athena")
        started = athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": self.lake["database"]},
            WorkGroup=self.lake["workgroup"],
        )["QueryExecutionId"]

        def ask() -> dict[str, Any] | None:
            found: dict[str, Any] = athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]
            return found if found["Status"]["State"] in ("SUCCEEDED", "FAILED") else None

        ended = until("a query", ask)
        assert ended["Status"]["State"] == "SUCCEEDED", ended["Status"]
        rows = athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
        return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows[1:]]

    # What was told ---------------------------------------------------------------------------------------------------

    @cached_property
    def mailbox(self) -> str:
        """A queue that the topic tells; subscribed on first use."""
        sqs, topic = self.emulator.client("sqs"), self.lake["topic_arn"]
        url = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        self.emulator.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return str(url)

    @cached_property
    def _read(self) -> list[dict[str, Any]]:
        return []

    def told(self, key: str, count: int = 1) -> list[dict[str, Any]]:
        """The messages that name a key, once there are `count`."""
        sqs = self.emulator.client("sqs")

        def ask() -> list[dict[str, Any]] | None:
            received = sqs.receive_message(QueueUrl=self.mailbox, MaxNumberOfMessages=10).get("Messages", [])
            for message in received:
                self._read.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.mailbox, ReceiptHandle=message["ReceiptHandle"])
            mine = [one for one in self._read if key in one["Message"]]
            return mine if len(mine) >= count and not received else None

        return until(f"{count} messages about {key}", ask)
