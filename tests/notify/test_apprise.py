"""Any address that apprise speaks."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from lakehead.errors import NotificationError, TransientError
from lakehead.model import utc_now
from lakehead.notify import Message, Subscription, open_channel

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr'")  # what apprise imports on some Pythons

MESSAGE = Message("m-1", "topic", "Loaded", "3 rows", {}, utc_now(), "d-1")


def test_without_apprise_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(NotificationError, match=r"pip install 'lakehead\[notify\]'"):
        open_channel(Subscription("chat", "slack://a/b/c"))


def test_an_unknown_scheme_is_refused() -> None:
    pytest.importorskip("apprise")
    with pytest.raises(NotificationError, match="apprise does not know"):
        open_channel(Subscription("chat", "nonsense://x"))


def test_an_address_needs_a_scheme() -> None:
    with pytest.raises(NotificationError, match="scheme"):
        open_channel(Subscription("chat", "hooks.example.com"))


def test_it_sends_through_a_real_server(sink: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("apprise")
    monkeypatch.setenv("CHAT", sink.url.replace("http://", "json://"))
    channel = open_channel(Subscription("chat", "env:CHAT"))
    channel.send(MESSAGE)
    assert json.loads(sink.requests[0].body)["title"] == "Loaded"
    sink.answers = [(500, {})]
    with pytest.raises(TransientError):
        channel.send(MESSAGE)
