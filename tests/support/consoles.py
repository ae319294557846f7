"""A real lake with its console served on a free port, and `up` at work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from lakehead.config import load_config
from lakehead.console.serve import ServedConsole
from lakehead.examples import write_example
from lakehead.lake import Lake

API = "/api/v1"
SAMPLES = "samples"


@dataclass
class Site:
    """A console that runs: `client` has its token, `browser` its cookie and a browser's headers, `stranger` nothing."""

    lake: Lake
    served: ServedConsole
    root: Path
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.served.url

    @property
    def keys(self) -> Any:
        return self.served.keys

    def client(self, **headers: str) -> httpx.Client:
        """A program that sends these headers."""
        made = httpx.Client(base_url=self.url, headers=headers, timeout=60)
        self.clients.append(made)
        return made

    def program(self) -> httpx.Client:
        """A program with the token."""
        token = self.keys.token if self.keys else ""
        return self.client(Authorization=f"Bearer {token}")

    def browser(self) -> httpx.Client:
        """A browser that a launch link let in, and that sends what browsers send from a page of the console."""
        found = self.client(**{"Sec-Fetch-Site": "same-origin", "Origin": self.url})
        assert found.get(self.served.launch_url()).status_code == 200
        return found


@contextmanager
def served_lake(root: Path, *, example: str = "sales", working: bool = True, **settings: Any) -> Iterator[Site]:
    """The example's lake below `root` with its console. With `working`, `up` loads what lands."""
    if not root.exists():
        write_example(example, root)
    config = load_config(root, env="dev", overrides={"console_port": 0, "complete_seconds": 0.1, **settings})
    with Lake.open(config) as lake, ServedConsole(lake) as served:
        served.start()
        site = Site(lake, served, root)
        with _at_work(lake) if working else _idle():
            try:
                yield site
            finally:
                for client in site.clients:
                    client.close()


@contextmanager
def _idle() -> Iterator[None]:
    yield


@contextmanager
def _at_work(lake: Lake) -> Iterator[None]:
    stop, ready = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            lake.up(stop, on_ready=ready.set)
        except BaseException as error:
            errors.append(error)
            ready.set()

    thread = threading.Thread(target=work, name="up")
    thread.start()
    try:
        assert ready.wait(60)
        yield
    finally:
        stop.set()
        thread.join()
        assert not errors
