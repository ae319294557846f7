"""Glue's part: a job run runs the deployed script on Spark, with the deployed bundle and no more, as the job's role."""

from __future__ import annotations

import contextvars
import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any

from ministack.core.responses import error_response_json, json_response, new_uuid
from ministack.services import glue

from support.emulator import authority
from support.glue import GlueMachine, unpack

RUNNING = ("STARTING", "RUNNING")
_unpacking = threading.Lock()


def install(folder: Path) -> None:
    """Take over StartJobRun."""
    glue._start_job_run = lambda request: start_job_run(request, folder)


def start_job_run(request: dict[str, Any], folder: Path) -> Any:
    """Begin a run and answer with its id. Refuses one above the job's MaxConcurrentRuns."""
    name = request["JobName"]
    job = glue._jobs.get(name)
    if job is None:
        return error_response_json("EntityNotFoundException", f"Job {name} not found", 400)
    runs = glue._job_runs.setdefault(name, [])
    if sum(run["JobRunState"] in RUNNING for run in runs) >= job["ExecutionProperty"]["MaxConcurrentRuns"]:
        return error_response_json("ConcurrentRunsExceededException", f"Job {name} runs too often at a time", 400)
    arguments = {**job["DefaultArguments"], **request.get("Arguments", {})}
    run: dict[str, Any] = {
        "Id": f"jr_{new_uuid().replace('-', '')}",
        "JobName": name,
        "JobRunState": "RUNNING",
        "Arguments": arguments,
        "StartedOn": int(time.time()),
        "Attempt": 0,
    }
    runs.append(run)
    # A thread does not see the request's account without its context.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_carry_out, job, run, folder), daemon=True).start()
    return json_response({"JobRunId": run["Id"]})


def _carry_out(job: dict[str, Any], run: dict[str, Any], folder: Path) -> None:
    try:
        error = run_script(job, run, folder)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    run["ExecutionTime"] = int(time.time()) - run["StartedOn"]
    run["CompletedOn"] = int(time.time())
    run["ErrorMessage"] = error
    run["JobRunState"] = "FAILED" if error else "SUCCEEDED"


def run_script(job: dict[str, Any], run: dict[str, Any], folder: Path) -> str:
    """Run the job's script to its end; the last line of what it says of its failure, empty for none."""
    own = folder / run["Id"]
    own.mkdir(parents=True)
    script = own / "script.py"
    script.write_bytes(_download(job, job["Command"]["ScriptLocation"]))
    site = _site(_download(job, run["Arguments"]["--additional-python-modules"]), folder)
    machine = GlueMachine(site, Path(os.environ["EMULATOR_SPARK"]), Path(os.environ["EMULATOR_JAVA"]), script)
    arguments = {**run["Arguments"], "--JOB_NAME": run["JobName"], "--JOB_RUN_ID": run["Id"]}
    role = authority.environment(job["Role"], run["Id"])
    done = machine.run(arguments, master="local[1]", **role, TMPDIR=str(own))
    (own / "log").write_text(done.stdout + done.stderr, encoding="utf-8")
    # spark-submit passes both streams of the job on as one.
    return (done.stdout.strip().splitlines() or ["no reason given"])[-1] if done.returncode else ""


def _site(bundle: bytes, folder: Path) -> Path:
    """Where the bundle is installed; done once for the same bytes."""
    digest = hashlib.sha256(bundle).hexdigest()[:16]
    site, packed = folder / digest / "site", folder / f"{digest}.zip"
    with _unpacking:
        if not site.exists():
            packed.write_bytes(bundle)
            unpack(packed, site)
    return site


def _download(job: dict[str, Any], address: str) -> bytes:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    body: bytes = authority.client("s3", job["Role"]).get_object(Bucket=bucket, Key=key)["Body"].read()
    return body
