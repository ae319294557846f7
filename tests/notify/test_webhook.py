"""A webhook against a real web server."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from lakehead.errors import NotificationError, TransientError
from lakehead.model import iso, utc_now
from lakehead.notify.message import Message
from lakehead.notify.webhook import WebhookChannel

MESSAGE = Message("m-1", "topic", "Subject ü", "Body 🚢", {"outcome": "success"}, utc_now(), "d-1")


def test_it_posts_json_with_an_idempotency_key(sink: Any) -> None:
    WebhookChannel(sink.url + "?a=b", timeout=5).send(MESSAGE)
    (request,) = sink.requests
    assert request.path == "/hook?a=b"
    assert request.headers["Idempotency-Key"] == "d-1"
    assert request.headers["Content-Type"].startswith("application/json")
    assert json.loads(request.body) == {
        "id": "m-1",
        "topic": "topic",
        "subject": "Subject ü",
        "message": "Body 🚢",
        "text": "Subject ü\nBody 🚢",
        "attributes": {"outcome": "success"},
        "time": iso(MESSAGE.time),
    }


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success(sink: Any, status: int) -> None:
    sink.answers = [(status, {})]
    WebhookChannel(sink.url, timeout=5).send(MESSAGE)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_statuses_that_may_pass(sink: Any, status: int) -> None:
    sink.answers = [(status, {"Retry-After": "7"})]
    with pytest.raises(TransientError) as caught:
        WebhookChannel(sink.url, timeout=5).send(MESSAGE)
    assert caught.value.where == {"status": status, "retry_after": 7}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
def test_statuses_that_stay(sink: Any, status: int) -> None:
    sink.answers = [(status, {})]
    with pytest.raises(NotificationError) as caught:
        WebhookChannel(sink.url, timeout=5).send(MESSAGE)
    assert caught.value.where["status"] == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(make_sink: Any, status: int) -> None:
    first, second = make_sink(), make_sink()
    first.answers = [(status, {"Location": second.url})]
    with pytest.raises(NotificationError, match="redirect"):
        WebhookChannel(first.url, timeout=5).send(MESSAGE)
    assert (len(first.requests), len(second.requests)) == (1, 0)


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(TransientError, match="does not answer"):
            WebhookChannel(f"http://127.0.0.1:{port}/", timeout=5).send(MESSAGE)


def test_silence_is_bounded(sink: Any) -> None:
    sink.hang = True
    with pytest.raises(TransientError, match="does not answer"):
        WebhookChannel(sink.url, timeout=0.2).send(MESSAGE)


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://h/x", "http://", "https:///x", "http://h:99999/", "x"]
)
def test_only_http_addresses(address: str) -> None:
    with pytest.raises(NotificationError):
        WebhookChannel(address, timeout=5)


def test_a_malformed_address_is_no_traceback() -> None:
    with pytest.raises(NotificationError):
        WebhookChannel("http://127.0.0.1:1/a b\r\nX: y", timeout=5).send(MESSAGE)
