"""Tells browsers what changed: a ring of numbered events, coalesced, sent as server-sent events that resume by id.

An event is `change` with `{"topics", "runs", "datasets"}`, or `reset`: too much was missed, load everything again.
Browsers open six connections to a host, so a page that nobody looks at should close its stream and resume it later.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

TOPICS = ("runs", "tables", "notifications", "queries")
RING_SIZE = 1_000
INTERVAL_SECONDS = 0.15
"""The first change goes out at once; those that follow it within this time go out together."""
MAX_NAMES = 500
"""More names than these in one event say less than a reset."""
MAX_STREAMS = 100
PING_SECONDS = 15
SEND_SECONDS = 10.0
"""How long a browser may leave an event unread before its stream is closed; it then resumes, or is reset."""


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One event of the stream. Ids are `<boot>-<number>`, so that another run's ids are known as such."""

    id: str
    name: str
    data: str


@dataclass(slots=True)
class _Pending:
    topics: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    datasets: set[str] = field(default_factory=set)

    def data(self) -> str:
        told = {"topics": sorted(self.topics), "runs": sorted(self.runs), "datasets": sorted(self.datasets)}
        return json.dumps(told, separators=(",", ":"))

    @property
    def too_many(self) -> bool:
        return max(len(self.runs), len(self.datasets)) > MAX_NAMES


class Hub:
    """Takes changes from any thread and hands them to every stream, in the order in which they came."""

    def __init__(self, *, size: int = RING_SIZE, interval: float = INTERVAL_SECONDS) -> None:
        self._boot = secrets.token_hex(4)
        self._interval = interval
        self._ring: deque[LiveEvent] = deque(maxlen=size)
        self._number = 0
        self._pending = _Pending()
        self._scheduled = False
        self._sent_at = float("-inf")
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakers: set[asyncio.Event] = set()
        self._closed = False

    @property
    def last_id(self) -> str:
        """The id of the newest event. What a page shows is at least as new if this was asked before it was read."""
        with self._lock:
            return self._id(self._number)

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._wakers)

    def start(self) -> None:
        """Send from now on by the running event loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._closed = False

    def close(self) -> None:
        """End every stream, from any thread."""
        with self._lock:
            loop, self._closed, self._loop = self._loop, True, None
            if loop is not None:
                loop.call_soon_threadsafe(self._wake)

    def publish(self, topic: str, *, run: str = "", dataset: str = "") -> None:
        """Note a change, from any thread. Costs next to nothing; it is sent by the event loop."""
        with self._lock:
            if self._loop is None:
                return
            self._pending.topics.add(topic)
            self._pending.runs.update({run} - {""})
            self._pending.datasets.update({dataset} - {""})
            if not self._scheduled:
                self._scheduled = True
                # Within the lock, so that the loop is not closed in between.
                self._loop.call_soon_threadsafe(self._send_when_due)

    def _send_when_due(self) -> None:
        wait = self._sent_at + self._interval - time.monotonic()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._send)
        else:
            self._send()

    def _send(self) -> None:
        with self._lock:
            pending, self._pending, self._scheduled = self._pending, _Pending(), False
            self._number += 1
            name, data = ("reset", "{}") if pending.too_many else ("change", pending.data())
            self._ring.append(LiveEvent(self._id(self._number), name, data))
        self._sent_at = time.monotonic()
        self._wake()

    def _wake(self) -> None:
        for waker in tuple(self._wakers):
            waker.set()

    def _id(self, number: int) -> str:
        return f"{self._boot}-{number}"

    def _after(self, number: int) -> list[LiveEvent]:
        """What came after event `number`; a reset where the ring no longer holds all of it."""
        with self._lock:
            missed = self._number - number
            if missed > len(self._ring) or missed < 0:
                return [self._reset()]
            return list(self._ring)[len(self._ring) - missed :] if missed else []

    def _reset(self) -> LiveEvent:
        return LiveEvent(self._id(self._number), "reset", "{}")

    def _place(self, last_id: str) -> int:
        """The number that an id stands for; -1 for one of another run, which no ring holds."""
        boot, _, number = last_id.rpartition("-")
        return int(number) if boot == self._boot and number.isascii() and number.isdigit() and len(number) < 16 else -1

    async def events(self, last_id: str = "") -> AsyncGenerator[LiveEvent]:
        """The events after `last_id`, from now on without one, until the hub is closed.

        Begins with a `hello` whose id a browser can resume by.
        """
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            place = self._place(last_id) if last_id else self._number
            if not last_id:
                yield LiveEvent(self._id(place), "hello", "{}")
            while not self._closed:
                waker.clear()
                found = self._after(place)
                for event in found:
                    yield event
                if found:
                    place = self._place(found[-1].id)
                else:
                    await waker.wait()
        finally:
            self._wakers.discard(waker)


class LiveId:
    """Puts the newest id into every request's state as `live_id`, before its handler reads what it shows."""

    def __init__(self, app: ASGIApp, hub: Hub) -> None:
        self.app, self.hub = app, hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        scope.setdefault("state", {})["live_id"] = self.hub.last_id
        await self.app(scope, receive, send)


def live_route(hub: Callable[[Request], Hub]) -> Route:
    """GET /live. Resumes after the Last-Event-ID header, or after the `after` parameter, the `live_id` of a page."""

    async def live(request: Request) -> Response:
        found = hub(request)
        if found.streams >= MAX_STREAMS:
            return PlainTextResponse("Too many pages are open.", 503, {"Retry-After": "5"})
        last_id = request.headers.get("last-event-id") or request.query_params.get("after", "")

        async def sent() -> AsyncIterator[ServerSentEvent]:
            async with aclosing(found.events(last_id)) as events:
                async for event in events:
                    yield ServerSentEvent(event.data, event=event.name, id=event.id)

        return EventSourceResponse(sent(), ping=PING_SECONDS, send_timeout=SEND_SECONDS)

    return Route("/live", live, name="live")
