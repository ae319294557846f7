"""Listeners: each hears all that is told until its end, whatever the others do."""

from __future__ import annotations

import pytest

from lakehead.listeners import Listeners


def test_each_hears_until_its_end() -> None:
    listeners, heard = Listeners[str, int](), list[tuple[str, int]]()

    def listen(name: str, number: int) -> None:
        heard.append((name, number))

    first, second = listeners.add(listen), listeners.add(listen)
    listeners.tell("a", 1)
    first()
    first()
    listeners.tell("b", 2)
    assert heard == [("a", 1), ("a", 1), ("b", 2)], "an end is that of one listener, also where it is told twice"
    assert listeners
    second()
    assert not listeners


def test_one_that_fails_is_logged_and_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    listeners, heard = Listeners[str](), list[str]()

    def fail(news: str) -> None:
        raise ValueError(news)

    listeners.add(fail)
    listeners.add(heard.append)
    listeners.tell("a")
    assert heard == ["a"]
    assert "a listener failed" in caplog.text


def test_one_may_end_itself_and_others_while_it_is_told() -> None:
    listeners, heard = Listeners[str](), list[str]()

    def listen(news: str) -> None:
        heard.append(news)
        listeners.clear()

    listeners.add(listen)
    listeners.tell("a")
    listeners.tell("b")
    assert heard == ["a"]
