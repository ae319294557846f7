"""Tries on a real account what no emulator proves. Opt-in: says what it will do and cost, asks, and takes it all down.

It deploys the sales example as an environment of its own, lands one good and one broken file over TLS, waits for the
executions, asks Athena, looks at logs and at the dead-letter queue, then destroys. Needs Terraform, credentials of an
account for trials, and the job's script and bundle.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "infra" / "terraform" / "examples" / "sales"
SAMPLE = ROOT / "src" / "lakehead" / "examples" / "sales" / "samples" / "orders-2025-01-03.csv"
ENVIRONMENT = "verify"
WAIT_SECONDS = 1800.0
LOOK_SECONDS = 10.0


def main(arguments: list[str] | None = None) -> int:
    """Ask, deploy, look, destroy. 0 where all that was looked at is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--script", type=Path, required=True, help="the job's script")
    parser.add_argument("--bundle", type=Path, required=True, help="the job's bundle, a zip of wheels")
    parser.add_argument("--region", default="eu-central-1")
    parser.add_argument("--bucket-prefix", required=True, help="begins the buckets' names, which are the world's")
    parser.add_argument("--metadata-sync", choices=("crawler", "direct"), default="crawler")
    options = parser.parse_args(arguments)
    if not agreed(options):
        say("Nothing was done.")
        return 1
    terraform(options, "init", "-input=false")
    try:
        terraform(options, "apply", "-auto-approve", "-input=false")
        return 0 if look(options) else 1
    finally:
        terraform(options, "destroy", "-auto-approve", "-input=false")


def agreed(options: argparse.Namespace) -> bool:
    """Tell whose account it is and what will happen; whether the person says yes."""
    identity = session(options).client("sts").get_caller_identity()
    say(
        f"This deploys the sales example to account {identity['Account']}, {options.region}, as {identity['Arn']}:\n"
        f"  three buckets {options.bucket_prefix}-*, about 60 other resources named sales-{ENVIRONMENT}-*\n"
        "  two files are loaded: two job runs and, with crawler, up to four crawls: below one US dollar\n"
        "  everything is destroyed at the end, the data in the buckets too."
    )
    sys.stderr.write("Type yes to go on: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


def look(options: argparse.Namespace) -> bool:
    """Land a good and a broken file and hold what comes of them against what should."""
    lake = json.loads(terraform(options, "output", "-json", capture=True))["lake"]["value"]
    aws = session(options)
    s3, states, sqs = aws.client("s3"), aws.client("stepfunctions"), aws.client("sqs")
    broken = b"order_id,nonsense\n1,2\n"
    for name, body in (("good.csv", SAMPLE.read_bytes()), ("broken.csv", broken), ("odd name+%20.csv", b"")):
        s3.put_object(Bucket=lake["buckets"]["raw"], Key=f"sales/orders/ingest_date=2025-01-03/{name}", Body=body)
    machine = lake["state_machines"]["sales/orders"]

    def ended() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = states.list_executions(stateMachineArn=machine)["executions"]
        return found if len(found) == 3 and all(one["status"] != "RUNNING" for one in found) else None

    told = sorted(one["status"] for one in wait("three executions", ended))
    rows = ask(aws.client("athena"), lake, "SELECT count(*) FROM processed_orders")
    queue = sqs.get_queue_attributes(
        QueueUrl=lake["dead_letter_queue_url"], AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]["ApproximateNumberOfMessages"]
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix="/lakehead/")["logGroups"]
    checks = {
        "the good file and the empty one with an odd name are loaded, the broken one failed": told
        == ["FAILED", "SUCCEEDED", "SUCCEEDED"],
        "Athena finds the rows": rows == "3",
        "no event is in the dead-letter queue": queue == "0",
        "the job wrote its log into our groups": any(group.get("storedBytes", 0) for group in groups),
    }
    for what, holds in checks.items():
        say(f"{'ok  ' if holds else 'FAIL'} {what}")
    return all(checks.values())


def ask(athena: Any, lake: dict[str, Any], sql: str) -> str:
    """The first value of Athena's answer."""
    started = athena.start_query_execution(
        QueryString=sql, QueryExecutionContext={"Database": lake["database"]}, WorkGroup=lake["workgroup"]
    )["QueryExecutionId"]

    def ended() -> str | None:
        status = athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"]
        return None if status["State"] in ("QUEUED", "RUNNING") else str(status["State"])

    if wait("the query", ended) != "SUCCEEDED":
        return ""
    rows = athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
    return str(rows[1]["Data"][0]["VarCharValue"])


def wait(what: str, found: Callable[[], Any]) -> Any:
    """Look until there is something, for half an hour at most."""
    end = time.monotonic() + WAIT_SECONDS
    while (answer := found()) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"waited {WAIT_SECONDS / 60:.0f} minutes for {what}")
        time.sleep(LOOK_SECONDS)
    return answer


def terraform(options: argparse.Namespace, *command: str, capture: bool = False) -> str:
    """Run Terraform on the example, as an environment of its own."""
    names = {zone: f"{options.bucket_prefix}-{zone}" for zone in ("raw", "processed", "artifacts")}
    values = {
        "region": options.region,
        "environment": ENVIRONMENT,
        "script": str(options.script.resolve()),
        "bundle": str(options.bundle.resolve()),
        "metadata_sync": options.metadata_sync,
        "force_destroy": True,
        "buckets": names,
    }
    given = [
        f"-var={name}={json.dumps(value) if not isinstance(value, str) else value}" for name, value in values.items()
    ]
    variables = given if command[0] in ("apply", "destroy") else []
    program = shutil.which("terraform")
    if program is None:
        raise SystemExit("Terraform is not on the PATH: https://developer.hashicorp.com/terraform/install")
    done = subprocess.run(
        [program, f"-chdir={EXAMPLE}", *command, *variables], check=True, text=True, capture_output=capture
    )
    return done.stdout or ""


def session(options: argparse.Namespace) -> Any:
    """Credentials as boto3 finds them."""
    import boto3

    return boto3.Session(region_name=options.region)


def say(text: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
