"""The console beside `lakehead up`: bound to a port before the work begins, served by a thread of its own."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from contextlib import ExitStack, closing
from types import TracebackType

import uvicorn
from starlette.applications import Starlette

from lakehead.config import LakeConfig
from lakehead.console.address import Address, forget_address, launch_url, note_address
from lakehead.console.app import create_app
from lakehead.console.desk import QueryDesk
from lakehead.console.launch import Keys, token_of
from lakehead.console.security import is_every_address
from lakehead.console.uploads import remove_leftovers
from lakehead.errors import ConfigError
from lakehead.lake import Lake

log = logging.getLogger(__name__)

MORE_PORTS = 10
BACKLOG = 128
MAX_CONNECTIONS = 512
GRACE_SECONDS = 2
"""How long answers that are under way may take once `up` was asked to stop."""
JOIN_SECONDS = 10.0


class ServedConsole:
    """A console with its port. Begins to serve by `start`, and ends with the block.

    Raises ConfigError where the address cannot be had, and Busy where another process serves this lake's console.
    """

    def __init__(self, lake: Lake) -> None:
        config = lake.config
        self._state = config.state_dir
        with ExitStack() as stack:
            listening = stack.enter_context(closing(listen(config)))
            self.port: int = listening.getsockname()[1]
            self.keys = Keys(token_of(config.state_dir), self.port) if config.console_token else None
            desk = stack.enter_context(closing(QueryDesk(lake)))
            remove_leftovers(lake)
            self.app = create_app(lake, desk, keys=self.keys, port=self.port)
            self._held = stack.pop_all()
        self.url = f"http://{_browsable(config.console_host)}:{self.port}"
        self.other_port = self.port if config.console_port not in (0, self.port) else None
        self._server = uvicorn.Server(_settings(self.app))
        self._thread = threading.Thread(target=self._serve, args=(listening,), name="console", daemon=True)

    def launch_url(self, *, seconds: float | None = None) -> str:
        """The address that opens the console once, in `seconds`; None: as long as it runs."""
        return launch_url(self.url, self.keys.new_code(seconds) if self.keys else "")

    def start(self) -> None:
        """Begin to serve. Returns at once; who connects meanwhile waits."""
        note_address(self._state, Address(self.url, token=self.keys is not None))
        self._thread.start()

    def close(self) -> None:
        """Stop serving, within seconds also where pages are open."""
        self.app.state.console.hub.close()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)
        forget_address(self._state)
        self._held.close()

    def __enter__(self) -> ServedConsole:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self, listening: socket.socket) -> None:
        forwarded = _IntoTheLog()
        logger = logging.getLogger("uvicorn.error")
        logger.addHandler(forwarded)
        logger.propagate = False
        try:
            self._server.run(sockets=[listening])
        except BaseException:
            log.exception("the console ended")
        finally:
            logger.removeHandler(forwarded)


def _settings(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


class _IntoTheLog(logging.Handler):
    """Hands the server's own messages to the lake's log: stderr is for the person who runs `up`."""

    def emit(self, record: logging.LogRecord) -> None:
        log.handle(record)


def listen(config: LakeConfig) -> socket.socket:
    """A socket at the console's address; where the port was not stated and is taken, at one of the ten after it.

    Raises ConfigError.
    """
    stated = "console_port" in config.origins and config.origins["console_port"].source != "default"
    ports = [config.console_port] if stated else range(config.console_port, config.console_port + MORE_PORTS + 1)
    for port in ports:
        found = _bound(config.console_host, port)
        if found is not None:
            return found
    raise ConfigError(
        "the console's port is taken" if stated else f"the console's ports {ports[0]} to {ports[-1]} are taken",
        hint="Choose another one with --console-port, or do without: lakehead up --no-console",
        host=config.console_host,
        port=config.console_port,
    )


def _bound(host: str, port: int) -> socket.socket | None:
    """A listening socket, or None where another program listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is stated because asyncio answers without delay (TCP_NODELAY) only where it is.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            return None
        reason = error.strerror or str(error)
        raise ConfigError(f"the console cannot listen there: {reason}", host=host, port=port) from error
    return found


def _browsable(host: str) -> str:
    """The host as a browser on this machine asks for it."""
    if is_every_address(host):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
