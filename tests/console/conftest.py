"""Fixtures of the console's tests: a lake that is loaded and served, for all tests that only look at it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from support.consoles import API, Site, served_lake
from support.waiting import until


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The sales example, its samples loaded, with `up` at work. Tests may add to it, but take nothing away."""
    with served_lake(tmp_path_factory.mktemp("console") / "lake") as found:
        load_samples(found)
        yield found


def load_samples(site: Site) -> None:
    files = sorted((site.root / "samples").glob("*.csv"))
    site.lake.put(files)
    until(lambda: len(site.lake.runs(limit=100)) >= len(files) and not site.lake.count_runs("RUNNING"))


@pytest.fixture
def program(site: Site) -> httpx.Client:
    """A program that has the token."""
    return site.program()


@pytest.fixture
def browser(site: Site) -> httpx.Client:
    """A browser that is logged in."""
    return site.browser()


@pytest.fixture
def stranger(site: Site) -> httpx.Client:
    """Somebody without token and cookie."""
    return site.client()


__all__ = ["API"]
