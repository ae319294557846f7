"""The console as an ASGI application: the pages, the API, the live stream and the way in, behind one gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from lakehead.console import api, pages
from lakehead.console.api.queries import PARQUET
from lakehead.console.assets import Assets
from lakehead.console.context import Console, console_of
from lakehead.console.desk import QueryDesk
from lakehead.console.faults import EXPLAINED, on_error
from lakehead.console.launch import COOKIE_SECONDS, Keys
from lakehead.console.live import Hub, LiveId, live_route
from lakehead.console.notice import USED, leading_to
from lakehead.console.security import Access, Guard, allowed_hosts, has_cookie, own_path
from lakehead.console.slots import Slots
from lakehead.console.uploads import AT_A_TIME
from lakehead.lake import Lake
from lakehead.results import Changed

THREADS = 16
"""How many requests may wait for SQLite or the disk at a time; the others wait for them."""


COMPRESSED_ALREADY = (*DEFAULT_EXCLUDED_CONTENT_TYPES, PARQUET)


def create_app(lake: Lake, desk: QueryDesk, *, keys: Keys | None, port: int | None = None) -> Starlette:
    """The console of an open lake. `keys` None lets in whoever reaches it; `port` is the one that it is reached at."""
    config = lake.config
    console = Console(lake, desk, Hub(), Assets(), keys, uploads=Slots(AT_A_TIME))
    access = Access(allowed_hosts(config.console_host, port or config.console_port, config.console_hosts), keys)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        console.hub.start()
        with ExitStack() as stack:
            stack.callback(console.hub.close)
            stack.callback(lake.on_change(lambda changed: publish(console.hub, changed)))
            stack.callback(desk.on_change(lambda _: console.hub.publish("queries")))
            yield

    app = Starlette(
        routes=[
            Route("/launch", _launch, name="launch"),
            console.assets.route(),
            live_route(lambda request: console_of(request).hub),
            *api.routes(),
            *pages.routes,
        ],
        middleware=[
            Middleware(Guard, access=access),
            Middleware(LiveId, hub=console.hub),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=5, exclude_content_types=COMPRESSED_ALREADY),
        ],
        exception_handlers=dict.fromkeys(EXPLAINED, on_error),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.console = console
    return app


def publish(hub: Hub, changed: Changed) -> None:
    """Tell browsers of a change in the lake."""
    run = changed.name if changed.topic == "runs" else ""
    hub.publish(changed.topic, run=run, dataset=changed.dataset)


def _launch(request: Request) -> Response:
    """Open the console with a code that works once, and lead on to where the link points."""
    keys = console_of(request).keys
    target = own_path(request.query_params.get("next", "/"))
    # Not a redirect: after a click on another site that would not bring the strict cookie along.
    answer = HTMLResponse(leading_to(target))
    if keys is None:
        return answer
    if request.method == "HEAD":  # of a program that only looks whether the link leads somewhere
        return Response()
    if not keys.redeem(request.query_params.get("code", "")):
        return answer if has_cookie(request, keys) else HTMLResponse(USED, 403)
    answer.set_cookie(keys.cookie_name, keys.cookie, max_age=COOKIE_SECONDS, path="/", httponly=True, samesite="strict")
    return answer
