"""A real `lakehead up` on a fresh example lake, opened through its launch link in a real browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect

from lakehead.examples import write_example
from support.lakedir import LakeDir
from support.waiting import until

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE_MS = 20_000
TELLS_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Console:
    """A lake's console, and the browsers that look at it."""

    root: Path
    browser: Browser
    settings: dict[str, Any]
    process: subprocess.Popen[str] | None = None
    link: str = ""
    cookie: Any = None
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.link.split("/launch")[0]

    @property
    def lake(self) -> LakeDir:
        return LakeDir(self.root)

    def start(self, *, port: int | None = None) -> None:
        """Start `lakehead up`, where it is stopped on the port that it had."""
        sets = [word for name, value in self.settings.items() for word in ("--set", f"{name}={value}")]
        flags = ["--console-port", str(port)] if port else []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lakehead", "--lake", str(self.root), *sets, "up", *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.link = next(
            found[1] for line in self.process.stderr if (found := re.search(r"(http://\S+/launch\S+)", line))
        )

    def restart(self) -> None:
        port = int(self.url.rsplit(":", 1)[1])
        self.stop()
        self.start(port=port)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=60)
            assert self.process.returncode == 0
            self.process = None

    def context(self, **options: Any) -> BrowserContext:
        """A browser that a launch link let in."""
        if self.cookie is None:
            first = self.browser.new_context()
            page = first.new_page()
            page.goto(self.link)
            page.wait_for_url(f"{self.url}/")
            self.cookie = first.storage_state()
            first.close()
        made = self.browser.new_context(base_url=self.url, storage_state=self.cookie, **options)
        made.set_default_timeout(PATIENCE_MS)
        made.add_init_script(TELLS_VIOLATIONS)
        self.contexts.append(made)
        return made

    def open(self, path: str = "/", **options: Any) -> Page:
        """A page that has connected to the live events. What its console says goes to `complaints`."""
        page = self.context(**options).new_page()
        page.on("console", self._heard)
        page.on("pageerror", self._failed)
        self.go(page, path)
        return page

    def go(self, page: Page, path: str) -> None:
        page.goto(path)
        page.wait_for_selector("#live[data-state=on]", state="attached")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} at {message.location}")

    def _failed(self, error: Error) -> None:
        self.complaints.append(f"exception: {error.message}")

    def close_pages(self) -> list[str]:
        """Close every page, and return what their consoles complained about."""
        for context in self.contexts:
            context.close()
        self.contexts.clear()
        found, self.complaints = self.complaints, []
        return found


@contextmanager
def served(browser: Browser, root: Path, **settings: Any) -> Iterator[Console]:
    """The sales example below `root`, with `up` at work."""
    write_example("sales", root)
    console = Console(root, browser, {"complete_seconds": 0.1, **settings})
    console.start()
    try:
        yield console
    finally:
        console.close_pages()
        console.stop()


def fill(console: Console) -> None:
    for sample in sorted((console.root / "samples").glob("*.csv")):
        console.lake.land(sample, day=sample.stem[-10:])
    console.lake.land_text("broken.csv", "a,b\n1,2\n")
    until(lambda: ended(console) == {"SUCCEEDED": 4, "FAILED": 1})


def ended(console: Console) -> dict[str, int]:
    with console.lake.open() as lake:
        return {status: count for status, count in lake.run_counts().items() if count}
