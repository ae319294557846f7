"""Real servers to send to, and a clock that the test winds."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lakehead.model import utc_now
from lakehead.notify import Notifier, Subscription

WAIT = 20.0


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Sink:
    """A web server that answers as it is told: `answers` are used up first, then every request gets 200."""

    requests: list[Request] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    hang: bool = False
    release: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""

    def wait_for(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, WAIT), "the request did not arrive"

    def handle(self, request: Request) -> tuple[int, dict[str, str]]:
        with self.arrived:
            self.requests.append(request)
            hang = self.hang
            answer = self.answers.pop(0) if self.answers else (200, {})
            self.arrived.notify_all()
        if hang:
            self.release.wait(WAIT)
        return answer


@pytest.fixture
def make_sink() -> Iterator[Callable[[], Sink]]:
    servers: list[tuple[http.server.ThreadingHTTPServer, threading.Thread, Sink]] = []

    def make() -> Sink:
        sink = Sink()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = sink.handle(Request(self.path, dict(self.headers), body))
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass

            do_GET = do_POST

            def log_message(self, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a killed client is part of the tests

        server = Server(("127.0.0.1", 0), Handler)
        sink.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        servers.append((server, thread, sink))
        return sink

    yield make
    for server, thread, sink in servers:
        sink.release.set()
        server.shutdown()
        server.server_close()
        thread.join(WAIT)


@pytest.fixture
def sink(make_sink: Callable[[], Sink]) -> Sink:
    return make_sink()


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock(utc_now())


@pytest.fixture
def make_notifier(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Notifier]]:
    made: list[Notifier] = []

    def make(*subscriptions: Subscription, **options: object) -> Notifier:
        notifier = Notifier(tmp_path / "notify.db", subscriptions, **{"clock": clock, **options})  # type: ignore[arg-type]
        made.append(notifier)
        return notifier

    yield make
    for notifier in made:
        notifier.close()
