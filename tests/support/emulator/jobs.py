"""Glue's part: a job run runs the deployed script, with the deployed bundle, as the job's role.

The one place where the packaged job plugs in is the deployment itself: whatever script and bundle Terraform uploaded is
downloaded and run, by the interpreter that the test names.
"""

from __future__ import annotations

import contextvars
import io
import os
import subprocess
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

from ministack.core.responses import error_response_json, json_response, new_uuid
from ministack.services import glue

from support.emulator import authority

RUNNING = ("STARTING", "RUNNING")
TIMEOUT_SECONDS = 120


def install(folder: Path, python: str) -> None:
    """Take over StartJobRun."""
    glue._start_job_run = lambda request: start_job_run(request, folder, python)


def start_job_run(request: dict[str, Any], folder: Path, python: str) -> Any:
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
    threading.Thread(target=context.run, args=(_carry_out, job, run, folder / run["Id"], python), daemon=True).start()
    return json_response({"JobRunId": run["Id"]})


def _carry_out(job: dict[str, Any], run: dict[str, Any], folder: Path, python: str) -> None:
    try:
        error = run_script(job, run, folder, python)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    run["ExecutionTime"] = int(time.time()) - run["StartedOn"]
    run["CompletedOn"] = int(time.time())
    run["ErrorMessage"] = error
    run["JobRunState"] = "FAILED" if error else "SUCCEEDED"


def run_script(job: dict[str, Any], run: dict[str, Any], folder: Path, python: str) -> str:
    """Run the job's script to its end; the last line of what it says of its failure, empty for none."""
    folder.mkdir(parents=True)
    script, modules = folder / "script.py", folder / "modules"
    script.write_bytes(_download(job, job["Command"]["ScriptLocation"]))
    with zipfile.ZipFile(io.BytesIO(_download(job, run["Arguments"]["--additional-python-modules"]))) as bundle:
        for wheel in bundle.namelist():
            zipfile.ZipFile(io.BytesIO(bundle.read(wheel))).extractall(modules)
    paths = os.pathsep.join((str(modules), os.environ["EMULATOR_JOB_PATH"]))
    done = subprocess.run(
        [python, str(script), "--JOB_NAME", run["JobName"], "--JOB_RUN_ID", run["Id"]]
        + [word for pair in run["Arguments"].items() for word in pair],
        env={**os.environ, **authority.environment(job["Role"], run["Id"]), "PYTHONPATH": paths, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    (folder / "log").write_text(done.stdout + done.stderr, encoding="utf-8")
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else ""


def _download(job: dict[str, Any], address: str) -> bytes:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    body: bytes = authority.client("s3", job["Role"]).get_object(Bucket=bucket, Key=key)["Body"].read()
    return body
