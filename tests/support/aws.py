"""The emulator from outside: started for the tests, asked by boto3, stopped at their end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from support import glue
from support.terraform import ROOT

PYTHON = ROOT / ".venv-emulator" / "bin" / "python"
REGION = "us-east-1"
ACCOUNT = "123456789012"
READY_SECONDS = 60.0
WAIT_SCALE = 0.5
"""Half of settle_seconds = 2 is one second, the least that whole-second StartTimes allow."""

SERVICES = (
    "athena", "cloudwatch", "events", "glue", "iam", "logs", "s3", "sns", "sqs", "sfn", "sts",
)  # fmt: skip

T = TypeVar("T")


def until(what: str, ask: Callable[[], T | None], *, seconds: float = 60.0) -> T:
    """Ask again until there is an answer, for a bounded time."""
    end = time.monotonic() + seconds
    while (answer := ask()) is None:
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)
    return answer


@dataclass
class Emulator:
    """A running emulator. `http` is there to be refused: policies ask for TLS, as on AWS."""

    folder: Path
    http: str
    https: str

    def client(self, service: str, key: tuple[str, str] = (ACCOUNT, "test"), *, url: str = "") -> Any:
        """A client of the account's root, or of who has this key."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=REGION,
            endpoint_url=url or self.https,
            verify=str(self.folder / "ca.pem"),
            aws_access_key_id=key[0],
            aws_secret_access_key=key[1],
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
        )

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    @cached_property
    def glue(self) -> Any:
        return self.client("glue")

    @cached_property
    def states(self) -> Any:
        return self.client("stepfunctions")

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Every call that a role or a user made, and whether its policies allowed it."""
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def lose_the_next_answer(self, error: str) -> None:
        """The next job run ends, and Step Functions hears of this error instead."""
        (self.folder / "lost-answers.json").write_text(json.dumps(error), encoding="utf-8")

    def provider(self) -> str:
        """What overrides the example's provider block, so that Terraform deploys here."""
        endpoints = "\n".join(f'    {name} = "{self.https}"' for name in SERVICES)
        return f"""provider "aws" {{
  access_key                  = "{ACCOUNT}"
  secret_key                  = "test"
  s3_use_path_style           = true
  custom_ca_bundle            = "{self.folder / "ca.pem"}"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  max_retries                 = 2

  endpoints {{
{endpoints}
  }}
}}
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """An emulator with all its state below `folder`. Skips the test where it, or Spark, is not installed."""
    if not PYTHON.exists():
        pytest.skip("needs the emulator: make emulator")
    if why := glue.missing():
        pytest.skip(why)
    plain, secure = free_ports(2)
    found = Emulator(folder, f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}")
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(
            [str(PYTHON), "-m", "support.emulator"],
            env=_environment(folder, plain, secure),
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, found)
        yield found
    finally:
        process.kill()  # all of its state is the test's, so there is nothing to end in order
        process.wait(20)


def _environment(folder: Path, plain: int, secure: int) -> dict[str, str]:
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": paths,
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(plain),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "AUTH": "true",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "S3_DATA_DIR": str(folder / "s3"),
        "STATE_DIR": str(folder / "state"),
        "SFN_WAIT_SCALE": str(WAIT_SCALE),
        "EMULATOR_FOLDER": str(folder),
        "EMULATOR_TLS_PORT": str(secure),
        "EMULATOR_SPARK": str(glue.spark_folder(folder / "spark")),
        "EMULATOR_JAVA": str(glue.java_home()),
    }


def _wait_until_ready(process: subprocess.Popen[bytes], emulator: Emulator) -> None:
    def healthy() -> bool | None:
        assert process.poll() is None, (emulator.folder / "emulator.log").read_text()
        try:
            with urllib.request.urlopen(f"{emulator.http}/_ministack/health", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    until("the emulator", healthy, seconds=READY_SECONDS)


def with_files(lake_dir: Path, copy: Path, files: dict[str, str]) -> Path:
    """A copy of a lake with other files in it."""
    shutil.copytree(lake_dir, copy)
    for name, text in files.items():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return copy
