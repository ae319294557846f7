"""What is S3's own: versions, parts, credentials, and a server that is slow, broken or away."""

from __future__ import annotations

import builtins
import http.server
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lakehead.errors import BucketNotFound, ConfigError, StorageUnavailable
from lakehead.storage import S3Store
from lakehead.storage.etags import sha256_file


@pytest.fixture
def s3(s3_client_store: S3Store) -> S3Store:
    return s3_client_store


@pytest.fixture
def name(s3: S3Store) -> str:
    made = f"bucket-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(made)
    return made


def test_a_version_can_be_read_after_it_was_replaced(s3: S3Store, name: str) -> None:
    s3._client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    first, second = s3.put(name, "k", b"first"), s3.put(name, "k", b"second")
    assert first.version_id and second.version_id and first.version_id != second.version_id
    assert s3.get(name, "k") == b"second"
    assert s3.get(name, "k", version_id=first.version_id) == b"first"
    assert s3.head(name, "k", version_id=first.version_id).etag == first.etag


def test_a_large_file_goes_up_in_parts(s3: S3Store, name: str, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * (48 << 10))  # 12 MiB, above boto3's threshold of 8
    info = s3.put_file(name, "large", source)
    assert info.etag.endswith("-2")
    assert s3.get(name, "large") == source.read_bytes()


def test_a_listing_of_many_pages_is_whole(s3: S3Store, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehead.storage.s3.PAGE", 7)
    client = s3._client
    for number in range(25):
        client.put_object(Bucket=name, Key=f"k{number:04}")
    assert [info.key for info in s3.list(name)] == [f"k{number:04}" for number in range(25)]


def test_sequencers_compare_with_those_of_events(s3: S3Store, name: str) -> None:
    moment = s3.put(name, "k", b"").last_modified
    sequencer = s3.head(name, "k").sequencer
    assert len(sequencer) == len("0055AED6DCD90281E5")
    assert int(sequencer[:10], 16) == int(moment.timestamp())


class Broken(http.server.BaseHTTPRequestHandler):
    """Answers 503 to everything."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_PUT = do_GET

    def log_message(self, *_: Any) -> None:
        pass


class Cut(Broken):
    """Promises a hundred bytes and sends ten."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.send_header("ETag", '"etag"')
        self.send_header("Last-Modified", "Fri, 03 Jan 2025 08:00:00 GMT")
        self.end_headers()
        self.wfile.write(b"x" * 10)
        self.close_connection = True


@contextmanager
def serving(handler: type[Broken]) -> Iterator[str]:
    handler.asked = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


@pytest.fixture
def broken_address() -> Iterator[str]:
    with serving(Broken) as address:
        yield address


def test_a_body_that_breaks_off_is_unavailable_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serving(Cut) as address:
        store = store_at(address, monkeypatch, attempts=1)
        calls: list[Callable[[], object]] = [
            lambda: store.get("bucket", "k"),
            lambda: store.get_with_etag("bucket", "k"),
            lambda: sha256_file(store.open("bucket", "k")),
        ]
        for call in calls:
            with pytest.raises(StorageUnavailable):
                call()


def store_at(address: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> S3Store:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return S3Store(endpoint_url=address, region="us-east-1", connect_seconds=0.5, read_seconds=0.5, **options)


def test_a_server_that_fails_is_asked_a_bounded_number_of_times(
    broken_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_at(broken_address, monkeypatch, attempts=2)
    with pytest.raises(StorageUnavailable) as caught:
        store.get("bucket", "k")
    assert caught.value.retryable
    assert Broken.asked == 2


def test_a_server_that_is_away_is_unavailable_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at("http://127.0.0.1:9", monkeypatch, attempts=1)
    calls: list[Callable[[], object]] = [
        lambda: store.head("bucket", "k"),
        lambda: store.put("bucket", "k", b""),
        lambda: list(store.list("bucket")),
    ]
    for call in calls:
        with pytest.raises(StorageUnavailable):
            call()


def test_a_failed_upload_of_a_file_keeps_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = store_at("http://127.0.0.1:9", monkeypatch, attempts=1)
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with pytest.raises(StorageUnavailable):
        store.put_file("bucket", "k", source, move=True)
    assert source.read_bytes() == b"x"


def test_missing_credentials_say_where_to_put_them(
    s3_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="AWS_PROFILE"):
        S3Store(endpoint_url=s3_address).get("bucket", "k")
    with pytest.raises(ConfigError, match="AWS_PROFILE"):
        S3Store(endpoint_url=s3_address, profile="no-such-profile").get("bucket", "k")


def test_without_boto3_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith(("boto3", "botocore")):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r'pip install "lakehead\[aws\]"'):
        S3Store().get("bucket", "k")


def test_a_missing_bucket_of_an_upload_is_told(s3: S3Store, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(BucketNotFound):
        s3.put_file("missing-bucket", "k", tmp_path / "f")
