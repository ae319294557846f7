"""The gate of the console: which Host, which origin, who, and the headers that every answer has.

Pure ASGI, around every route, so that a new route is guarded without knowing of it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lakehead.config import LOOPBACK
from lakehead.console.faults import Fault, answer, wants_json
from lakehead.console.launch import Keys
from lakehead.console.notice import CLOSED, leading_to

log = logging.getLogger(__name__)

CSP = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "font-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
))  # fmt: skip
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
PUBLIC = ("/launch", "/api/v1/health")
"""What needs no token, besides the files below /static/."""
SAFE_METHODS = ("GET", "HEAD")
ANOTHER_SITE = Fault("CrossOrigin", "the request comes from another site")


@dataclass(frozen=True, slots=True)
class Access:
    """Whom the console answers. `hosts` are the values of the Host header that it has; `keys` None: no token."""

    hosts: frozenset[str]
    keys: Keys | None


def allowed_hosts(host: str, port: int, others: str = "") -> frozenset[str]:
    """What the Host header may be: this machine's names with the port, and the other names, with any or one port."""
    names = {*LOOPBACK} if is_every_address(host) else {*LOOPBACK, host}
    own = {f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names}
    if port == 80:
        own |= names
    return frozenset(own | {name for name in others.split(",") if name})


def is_every_address(host: str) -> bool:
    """Whether it stands for all addresses of the machine, as 0.0.0.0 does: then it is no name to ask for."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


class Guard:
    """Answers only whom `access` lets in, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, refuse it, or tell of a fault without its traceback."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        guarded = _Sender(send)
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        try:
            await self.app(scope, receive, guarded)
        except ClientDisconnect:
            return
        except Exception:
            await self._fault(request, receive, guarded)
        if request.method not in SAFE_METHODS:
            asked = {"method": request.method, "path": scope["path"], "status": guarded.status}
            log.info("a change was asked for in the console", extra=asked)

    def _refusal(self, request: Request) -> Response | None:
        if not _host_is_known(request.headers, self.access.hosts):
            hint = "Open it by the address that `lakehead console link` prints, or name the host in console_hosts."
            return PlainTextResponse(f"This console does not answer to this host name. {hint}\n", 421)
        if _from_another_site(request):
            return answer(request, 403, ANOTHER_SITE)
        bearer = _bearer(request.headers)
        if not self._is_known(request, bearer):
            return _unknown(request)
        if bearer is None and request.method not in SAFE_METHODS and not _says_own_site(request):
            # A cookie alone proves nothing: the browser sends it along whoever asks.
            return answer(request, 403, ANOTHER_SITE)
        return None

    def _is_known(self, request: Request, bearer: str | None) -> bool:
        keys = self.access.keys
        if keys is None or is_public(request.scope["path"]):
            return True
        if bearer is not None:
            return keys.knows_token(bearer)
        return has_cookie(request, keys)

    async def _fault(self, request: Request, receive: Receive, send: _Sender) -> None:
        fault = secrets.token_hex(6)
        place = {"fault": fault, "method": request.method, "path": request.scope["path"]}
        log.exception("the console failed to answer", extra=place)
        if not send.status:
            told = Fault("Unexpected", "this is a fault in Lakehead", "The log has its details.", {"fault": fault})
            await answer(request, 500, told)(request.scope, receive, send)


class _Sender:
    """Puts the headers on the answer."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await self.send(message)


def has_cookie(request: Request, keys: Keys) -> bool:
    """Whether the browser was let in before."""
    return any(keys.knows_cookie(value) for value in _cookies(request.headers, keys.cookie_name))


def own_path(target: str) -> str:
    """A target that cannot lead to another site: `//elsewhere` and `/\\elsewhere` would."""
    return "/" + target.lstrip("/\\") if target.startswith("/") and target.isprintable() else "/"


def is_public(path: str) -> bool:
    """Whether the path is served without a token."""
    return path in PUBLIC or path.startswith("/static/")


def _unknown(request: Request) -> Response:
    """Who asks without a token. A link on another site brings no cookie along; coming from here, it does."""
    fetch = request.headers
    if (
        request.method == "GET"
        and fetch.get("sec-fetch-mode") == "navigate"
        and fetch.get("sec-fetch-site") in ("cross-site", "same-site")
        and not wants_json(request)
    ):
        return HTMLResponse(leading_to(_target(request)))
    if wants_json(request):
        hint = "Send the one that `lakehead console token` prints: Authorization: Bearer TOKEN"
        return answer(request, 401, Fault("Unauthorized", "the request has no token of this console", hint))
    return HTMLResponse(CLOSED, 403)


def _target(request: Request) -> str:
    path, query = request.scope["raw_path"], request.scope["query_string"]
    return own_path((path + (b"?" + query if query else b"")).decode("latin-1"))


def _host_is_known(headers: Headers, hosts: frozenset[str]) -> bool:
    found = [value.lower() for value in headers.getlist("host")]
    return len(found) == 1 and (found[0] in hosts or _without_port(found[0]) in hosts)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdigit() else host


def _from_another_site(request: Request) -> bool:
    """Whether a browser says that another site's page asks. That may lead here, but neither load nor change."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if request.method in SAFE_METHODS:
        return site not in (None, "same-origin", "none") and request.headers.get("sec-fetch-mode") != "navigate"
    return site not in (None, "same-origin") or (origin is not None and not _is_own(request, origin))


def _says_own_site(request: Request) -> bool:
    """Whether a browser says that a page of the console asks."""
    return "origin" in request.headers or request.headers.get("sec-fetch-site") == "same-origin"


def _is_own(request: Request, origin: str) -> bool:
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and host.lower() == request.headers["host"].lower()


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _cookies(headers: Headers, name: str) -> Iterator[str]:
    """Every value of a cookie: another program of this host may have set one of the same name, or one that is none."""
    for header in headers.getlist("cookie"):
        for part in header.split(";"):
            key, _, value = part.partition("=")
            if key.strip() == name:
                yield value.strip()
