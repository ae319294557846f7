"""Who may do what: clients that call as a role, and a record of every call that a role or user made.

ministack checks a call against the policies of who signed it (AUTH=true). What it does not do is let a service take a
role, and name the resources of Glue and Athena as IAM does: a call on a table needs the table, its database and the
catalog.
"""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import athena, sts

REGION = "us-east-1"


@dataclass(frozen=True)
class Endpoint:
    """Where the emulator listens for TLS, and the certificate to trust."""

    url: str
    certificate: Path


_endpoint: list[Endpoint] = []
_recording = threading.Lock()


def install(endpoint: Endpoint, calls: Path) -> None:
    """Check Glue's resources as IAM does, and write every decision about a role or user to `calls`."""
    _endpoint[:] = [endpoint]
    decide, named = iam_evaluator.enforce, iam_actions.extract_resource_arn

    def extract_resource_arn(service: str, method: str, path: str, headers: Any, body: Any, *rest: Any) -> str:
        if service == "glue":
            action = headers.get("x-amz-target", "").rpartition(".")[2]
            return glue_arn(action, json.loads(body or b"{}"))
        if service == "athena":
            return athena_arn(json.loads(body or b"{}"))
        return str(named(service, method, path, headers, body, *rest))

    def enforce(access_key_id: str, iam_action: str, service: str, region: str, **more: Any) -> Any:
        resource = more.pop("resource_arn", "*")
        for arn in needed(resource):
            denied = decide(access_key_id, iam_action, service, region, resource_arn=arn, **more)
            _record(calls, access_key_id, iam_action, arn, denied)
            if denied:
                return denied
        return None

    iam_evaluator.enforce, iam_actions.extract_resource_arn = enforce, extract_resource_arn


def needed(arn: str) -> list[str]:
    """The resources that a call on one needs: for a Glue table or database also what it lies in."""
    before, kind, name = arn.partition(":table/")
    if kind and ":glue:" in arn:
        return [arn, f"{before}:database/{name.partition('/')[0]}", f"{before}:catalog"]
    before, kind, _ = arn.partition(":database/")
    return [arn, f"{before}:catalog"] if kind and ":glue:" in arn else [arn]


def glue_arn(action: str, request: dict[str, Any]) -> str:
    """The resource of a Glue call (Service Authorization Reference, "Actions defined by AWS Glue")."""
    name, database = request.get("Name", ""), request.get("DatabaseName")
    table = request.get("TableName") or (request.get("TableInput") or {}).get("Name") or (database and name)
    if "Crawler" in action:
        found = f"crawler/{name}"
    elif "Job" in action:
        found = f"job/{request.get('JobName', name)}"
    elif database:
        found = f"table/{database}/{table}" if table else f"database/{database}"
    else:
        found = f"database/{name}" if action.endswith("Database") else "catalog"
    return f"arn:aws:glue:{REGION}:{get_account_id()}:{found}"


def athena_arn(request: dict[str, Any]) -> str:
    """The workgroup that a call is about; that of the query which it names where it names no workgroup."""
    group = request.get("WorkGroup")
    for name, store in (("QueryExecutionId", athena._executions), ("NamedQueryId", athena._named_queries)):
        wanted = request.get(name) or next(iter(request.get(f"{name}s", ())), None)
        if wanted in store:
            group = store[wanted]["WorkGroup"]
    return f"arn:aws:athena:{REGION}:{get_account_id()}:workgroup/{group}" if group else "*"


def credentials(role_arn: str, name: str) -> dict[str, str]:
    """What AWS gives a service that takes a role: the environment variables of a new session."""
    account, role = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    made = {
        "AWS_ACCESS_KEY_ID": "ASIA" + secrets.token_hex(8).upper(),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_SESSION_TOKEN": secrets.token_hex(32),
    }
    sts.register_session(
        made["AWS_ACCESS_KEY_ID"],
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name[:64]}",
            "UserId": f"{role}:{name[:64]}",
            "SecretAccessKey": made["AWS_SECRET_ACCESS_KEY"],
            "SessionToken": made["AWS_SESSION_TOKEN"],
            "AccountId": account,
            "PrincipalType": "AssumedRole",
        },
    )
    return made


@cache
def client(service: str, role_arn: str) -> Any:
    """A client that calls as the role, over TLS."""
    session = credentials(role_arn, f"emulator-{service}")
    return boto3.client(  # type: ignore[call-overload]
        service,
        region_name=REGION,
        endpoint_url=_endpoint[0].url,
        verify=str(_endpoint[0].certificate),
        aws_access_key_id=session["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=session["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=session["AWS_SESSION_TOKEN"],
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def environment(role_arn: str, name: str) -> dict[str, str]:
    """The environment of a process that acts as the role."""
    return {
        **credentials(role_arn, name),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": _endpoint[0].url,
        "AWS_CA_BUNDLE": str(_endpoint[0].certificate),
    }


def _record(calls: Path, access_key_id: str, action: str, resource: str, denied: Any) -> None:
    if iam_evaluator.is_root_access_key(access_key_id):
        return
    principal = iam_evaluator.resolve_principal(access_key_id, get_account_id())
    name = getattr(principal, "arn", "unknown").partition("/")[2].partition("/")[0]
    line = json.dumps({"principal": name, "action": action, "resource": resource, "allowed": not denied})
    with _recording, calls.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
