"""Sinks that hang, fail or are not there hold nothing up, and hear of everything once they are well."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from chaos import truth
from chaos.bench import settled
from chaos.ground import FolderGround
from chaos.machine import Fault, Zygote
from chaos.scenes import FIRST, landed_first

WAIT = 60.0


@dataclass
class Sink:
    """A web server that is `well`, answers with an error, hangs, or breaks off."""

    mood: str = "well"
    heard: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        mood = self.mood
        handler.rfile.read(int(handler.headers["Content-Length"]))
        if mood == "hangs":
            self.released.wait(WAIT)
        if mood in ("hangs", "breaks off"):
            handler.close_connection = True
            return
        if mood == "well":
            self.heard.append(handler.headers["Idempotency-Key"])
        handler.send_response(200 if mood == "well" else 503)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that was killed is part of the test

    with Server(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}/"
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield made
        made.released.set()
        server.shutdown()
        serving.join()


def build(root: Path, *, url: str) -> None:
    landed_first(None, root)
    with (root / "lakehead.toml").open("a") as settings:
        settings.write(f'\n[[notify]]\nname = "sink"\nurl = "{url}"\n')


def deliveries(root: Path) -> list[str]:
    return [state for (state,) in truth.table(root, "notify", "SELECT state FROM deliveries")]


def deliver_all(zygote: Zygote, root: Path) -> None:
    """Retry until everything is delivered: a killed process's claim on a delivery lasts some seconds."""
    end = time.monotonic() + WAIT
    while set(deliveries(root)) != {"sent"}:
        assert time.monotonic() < end, deliveries(root)
        assert zygote.run(root, "notifications", "retry").code == 0


@pytest.mark.parametrize("mood", ["fails", "breaks off", "hangs"])
def test_a_sink_that_is_unwell_holds_nothing_up_and_hears_later(
    zygote: Zygote, ground: Path, sink: Sink, mood: str
) -> None:
    sink.mood = mood
    place = FolderGround(ground / "g", partial(build, url=sink.url))
    place.fresh()
    ended = zygote.run(place.root, "ingest")
    assert (ended.code, ended.err) == (0, "")
    assert sorted(deliveries(place.root)) == ["pending"] * 3 + ["sent"] * 3
    assert settled(zygote, place.root, FIRST) == []
    sink.mood = "well"
    sink.released.set()
    deliver_all(zygote, place.root)
    assert len(sink.heard) == len(set(sink.heard)) == 3


def kill_and_deliver(zygote: Zygote, root: Path, sink: Sink, at: int) -> list[str]:
    """Kill a load at its n-th call on the outbox, have the rest delivered, and tell what the sink heard, by key."""
    build(root, url=sink.url)
    sink.heard.clear()
    assert zygote.run(root, "ingest", fault=Fault(at, suffix="notify.db-wal")).killed
    assert zygote.run(root, "ingest").code == 0
    deliver_all(zygote, root)
    assert settled(zygote, root, FIRST) == []
    return list(sink.heard)


@pytest.mark.parametrize("at", [3, 21])
def test_a_kill_before_a_delivery_loses_none(zygote: Zygote, ground: Path, sink: Sink, at: int) -> None:
    heard = kill_and_deliver(zygote, ground / "lake", sink, at)
    assert len(set(heard)) == 3


def test_a_kill_in_mid_delivery_tells_again_by_the_same_key(zygote: Zygote, ground: Path, sink: Sink) -> None:
    """One of these calls, by chance not always the same, notes that the sink has taken what it was told."""
    for at in range(41, 61, 2):
        heard = kill_and_deliver(zygote, ground / f"lake-{at}", sink, at)
        assert len(set(heard)) == 3
        if len(heard) > 3:
            return
    pytest.fail("no kill came between a delivery and the note of it")
