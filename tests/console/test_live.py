"""The live stream: what changes is told at once, coalesced, and resumes where a browser left it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.consoles import API, Site, served_lake
from support.waiting import until

from lakehead.console.live import MAX_NAMES, MAX_STREAMS, Hub, LiveEvent

FILES = f"{API}/datasets/sales/orders/files"
ORDER = b"order_id,customer_id,product,quantity,price,order_date\n%d,C1,Thing,1,2.50,2025-01-02\n"


class Stream:
    """The events of /live as they come."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        event: dict[str, Any] = {}
        try:
            for line in self.answer.iter_lines():
                if not line and event:
                    event["data"] = json.loads(event["data"])
                    self.events.append({**event, "at": time.monotonic()})
                    event = {}
                elif line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    event[name] = value
        except httpx.HTTPError:
            pass

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def ended(self) -> bool:
        return not self._thread.is_alive()

    def topics(self) -> set[str]:
        return {topic for event in self.named("change") for topic in event["data"]["topics"]}

    def runs(self) -> set[str]:
        return {run for event in self.named("change") for run in event["data"]["runs"]}


@contextmanager
def live(client: httpx.Client, *, last_id: str = "", **parameters: str) -> Iterator[Stream]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with client.stream("GET", "/live", headers=headers, params=parameters, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        try:
            yield Stream(answer)
        finally:
            # The reader waits in recv, which a close alone would leave waiting.
            answer.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def test_a_run_is_told_from_its_start_to_its_rows(site: Site, program: httpx.Client) -> None:
    with live(site.program()) as stream:
        until(lambda: stream.named("hello"))
        name = program.put(f"{FILES}/live.csv", content=ORDER % 80_001).json()["execution"]
        until(lambda: {"runs", "tables", "notifications"} <= stream.topics() and name in stream.runs())
        assert any("sales/orders" in event["data"]["datasets"] for event in stream.named("change"))
        program.post(f"{API}/queries", json={"sql": "SELECT 1"})
        until(lambda: "queries" in stream.topics())
    numbers = [int(event["id"].rpartition("-")[2]) for event in stream.events]
    assert numbers == sorted(set(numbers))


def test_a_stream_goes_on_where_it_was_left(site: Site, program: httpx.Client) -> None:
    with live(site.program()) as stream:
        until(lambda: stream.named("hello"))
        left_at = stream.events[0]["id"]
    name = program.put(f"{FILES}/missed.csv", content=ORDER % 80_002).json()["execution"]
    until(lambda: (run := site.lake.journal.find(name)) and not run.running)
    with live(site.program(), last_id=left_at) as stream:
        until(lambda: name in stream.runs())
        assert not stream.named("reset") and not stream.named("hello")
        newest = stream.events[-1]["id"]
    with live(site.program(), after=left_at) as stream:
        until(lambda: newest in [event["id"] for event in stream.events])


def test_a_page_tells_the_id_that_its_stream_begins_after(browser: httpx.Client) -> None:
    page = browser.get("/").text
    (place,) = [part.split('"')[0] for part in page.split('data-live-id="')[1:]]
    with live(browser, after=place) as stream:
        browser.post(f"{API}/queries", json={"sql": "SELECT 1"})
        until(lambda: "queries" in stream.topics())
        assert not stream.named("reset")


@pytest.mark.parametrize("last_id", ["other-7", "nonsense", "-1", "-", "0", "x-99999999999999999999", "\u00b9"])
def test_an_id_that_is_not_known_resets(site: Site, last_id: str) -> None:
    with live(site.program(), after=last_id) as stream:
        until(lambda: stream.named("reset"))


def test_an_id_of_the_future_resets(site: Site) -> None:
    boot = site.served.app.state.console.hub.last_id.partition("-")[0]
    with live(site.program(), last_id=f"{boot}-999999") as stream:
        until(lambda: stream.named("reset"))


def test_too_many_streams_are_refused_and_come_free_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehead.console.live.MAX_STREAMS", 2)
    assert MAX_STREAMS >= 50
    with served_lake(tmp_path / "lake", working=False) as site:
        with live(site.program()) as one, live(site.program()) as two:
            until(lambda: one.named("hello") and two.named("hello"))
            answer = site.program().get("/live")
            assert answer.status_code == 503 and answer.headers["retry-after"]

        def free() -> bool:
            with site.program().stream("GET", "/live") as found:
                return found.status_code == 200

        until(free)


def test_streams_end_when_the_console_does(tmp_path: Path) -> None:
    with served_lake(tmp_path / "lake", working=False) as site:
        program = site.program()
        with live(program) as stream:
            until(lambda: stream.named("hello"))
            site.served.close()
            until(stream.ended)
            with pytest.raises(httpx.ConnectError):
                httpx.get(site.url)


# The hub by itself


async def collected(hub: Hub, last_id: str, count: int) -> list[LiveEvent]:
    """The first events of a stream."""
    found: list[LiveEvent] = []
    async for event in hub.events(last_id):
        found.append(event)
        if len(found) == count:
            break
    return found


def data(event: LiveEvent) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event.data)
    return found


def test_the_first_change_goes_out_at_once_and_the_last_is_never_lost() -> None:
    async def play() -> None:
        hub = Hub(interval=0.05)
        hub.start()
        start = hub.last_id
        hub.publish("runs", run="first")
        (first,) = await collected(hub, start, 1)
        assert data(first) == {"topics": ["runs"], "runs": ["first"], "datasets": []}
        for number in range(50):
            hub.publish("runs", run=f"r{number}", dataset="a/b")
            hub.publish("tables", dataset="c/d")
        (second,) = await collected(hub, first.id, 1)
        told = data(second)
        assert told["topics"] == ["runs", "tables"] and told["datasets"] == ["a/b", "c/d"]
        assert set(told["runs"]) == {f"r{number}" for number in range(50)}

    asyncio.run(play())


def test_changes_that_follow_each_other_wait_for_the_interval() -> None:
    async def play() -> None:
        hub = Hub(interval=3600)
        hub.start()
        start = hub.last_id
        hub.publish("runs", run="first")
        (first,) = await collected(hub, start, 1)
        hub.publish("runs", run="second")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(collected(hub, first.id, 1), 0.2)

    asyncio.run(play())


def test_who_is_too_slow_is_reset_once_and_then_goes_on() -> None:
    async def play() -> None:
        hub = Hub(size=3, interval=0)
        hub.start()
        start = hub.last_id
        for number in range(5):
            hub.publish("runs", run=str(number))
            await collected(hub, f"{start.partition('-')[0]}-{number}", 1)
        (event,) = await collected(hub, start, 1)
        assert event.name == "reset" and event.id == hub.last_id
        hub.publish("runs", run="after")
        (event,) = await collected(hub, event.id, 1)
        assert event.name == "change" and data(event)["runs"] == ["after"]

    asyncio.run(play())


def test_more_names_than_a_page_would_follow_are_a_reset() -> None:
    async def play() -> None:
        hub = Hub(interval=0.02)
        hub.start()
        start = hub.last_id
        for number in range(MAX_NAMES + 1):
            hub.publish("runs", run=str(number))
        (event,) = await collected(hub, start, 1)
        assert event.name == "reset"

    asyncio.run(play())


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 60))
def test_every_change_reaches_a_stream_that_resumes(threads: list[int], stop_after: int) -> None:
    """Changes of several threads, a stream that is broken off and resumed: nothing is missed, nothing comes twice."""

    async def play() -> None:
        hub = Hub(interval=0.001)
        hub.start()
        place = hub.last_id
        names = {f"{thread}-{number}" for thread, count in enumerate(threads) for number in range(count * 10)}

        def publish(thread: int, count: int) -> None:
            for number in range(count * 10):
                hub.publish("runs", run=f"{thread}-{number}")

        workers = [threading.Thread(target=publish, args=one) for one in enumerate(threads)]
        for worker in workers:
            worker.start()
        seen: list[str] = []
        ids: list[str] = []
        while set(seen) != names:
            count = 0
            async for event in hub.events(place):
                assert event.name == "change"
                seen += data(event)["runs"]
                ids.append(event.id)
                place = event.id
                count += 1
                if count >= stop_after or set(seen) == names:
                    break
        assert len(ids) == len(set(ids)) and len(seen) == len(names)
        for worker in workers:
            await asyncio.to_thread(worker.join)

    asyncio.run(asyncio.wait_for(play(), 30))


def test_changes_before_the_start_and_after_the_end_are_not_kept() -> None:
    async def play() -> None:
        hub = Hub()
        hub.publish("runs", run="before")
        hub.start()
        start = hub.last_id
        hub.publish("tables")
        (event,) = await collected(hub, start, 1)
        assert data(event) == {"topics": ["tables"], "runs": [], "datasets": []}
        hub.close()
        hub.publish("runs")
        assert await collected(hub, event.id, 1) == []

    asyncio.run(play())
