"""Fixtures of the browser tests: a real browser, and consoles for it to open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright
from support.browsing import ARGUMENTS, CHROMIUM, Console, fill, served


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        pytest.skip(f"no browser is installed: none of {', '.join(CHROMIUM)} is on the PATH")
    found = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
    yield found
    found.close()


@pytest.fixture(scope="module")
def fresh(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The console of an empty lake, one for each module."""
    with served(browser, tmp_path_factory.mktemp("browser") / "lake") as console:
        yield console


@pytest.fixture(scope="module")
def full(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The console of a lake with loaded, quarantined and failed files, one for each module."""
    with served(browser, tmp_path_factory.mktemp("browser") / "lake") as console:
        fill(console)
        yield console


@pytest.fixture
def no_complaints(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing in a page's console: no error, no policy violated."""
    yield
    for name in ("fresh", "full"):
        if name in request.fixturenames:
            console: Console = request.getfixturevalue(name)
            assert console.close_pages() == []
