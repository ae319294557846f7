"""Both object stores, for the tests that hold them to one behaviour: S3 is moto's server, a process of its own."""

from __future__ import annotations

import atexit
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lakehead.errors import LakeheadError
from lakehead.storage import LocalStore, ObjectStore, S3Store

READY_SECONDS = 30.0


@cache
def s3_server(folder: Path) -> str:
    """The address of an S3 server that runs until the tests end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "moto.log"
    with log.open("wb") as output:
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    atexit.register(end, server)
    address = f"http://127.0.0.1:{port}"
    wait_until_ready(server, address, log)
    return address


def end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="session")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the S3 server; one for all folders of tests."""
    return s3_server(tmp_path_factory.getbasetemp())


def wait_until_ready(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the S3 server did not start: {log.read_text()}") from error
            time.sleep(0.05)


def local_store(root: Path) -> LocalStore:
    return LocalStore(root / "data")


def s3_store(address: str, root: Path, **options: Any) -> S3Store:
    """A store on the S3 server, with a client of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        store = S3Store(endpoint_url=address, region="us-east-1", staging=root / "staging", **options)
        store._client.list_buckets()
    return store


@pytest.fixture(scope="session")
def s3_client_store(s3_address: str, tmp_path_factory: pytest.TempPathFactory) -> S3Store:
    """One store for all tests on S3: making a client takes a third of a second."""
    return s3_store(s3_address, tmp_path_factory.mktemp("s3"))


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An object store, of each kind in turn."""
    if request.param == "local":
        return local_store(tmp_path)
    found: ObjectStore = request.getfixturevalue("s3_client_store")
    return found


@pytest.fixture
def bucket(store: ObjectStore) -> str:
    """A new empty bucket."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    store.create_bucket(name)
    return name


def raised(told: Sequence[LakeheadError | None]) -> None:
    """Raise what a call that does many things tells of one of them."""
    for error in told:
        if error is not None:
            raise error
