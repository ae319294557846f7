"""Where a message goes: one small protocol, and the channel that an address asks for."""

from __future__ import annotations

from typing import Protocol

from lakehead.errors import NotificationError
from lakehead.notify import secret
from lakehead.notify.apprise import AppriseChannel
from lakehead.notify.mail import MailChannel
from lakehead.notify.message import Message, Subscription
from lakehead.notify.webhook import WebhookChannel


class Channel(Protocol):
    """Sends messages to one address."""

    def send(self, message: Message) -> None:
        """Send one message.

        Raises TransientError when trying again can help (its `where["retry_after"]` may say in how many seconds), and
        NotificationError when it cannot.
        """


class FeedChannel:
    """The console feed. It is the stored notifications themselves, so there is nothing left to do."""

    def send(self, message: Message) -> None:
        """Nothing: the message is in the feed already."""


def open_channel(subscription: Subscription) -> Channel:
    """The channel of a subscription's address: console:, smtp(s)://, http(s)://, or anything apprise knows."""
    address = secret.resolve(subscription.url) if subscription.url.startswith("env:") else subscription.url
    scheme, colon, _ = address.partition(":")
    if not colon:
        raise NotificationError(
            "an address begins with its scheme", hint="For example https://..., smtp://..., or env:NAME."
        )
    match scheme.lower():
        case "console":
            return FeedChannel()
        case "smtp" | "smtps":
            return MailChannel(address, timeout=subscription.timeout_seconds)
        case "http" | "https":
            return WebhookChannel(secret.resolve(address), timeout=subscription.timeout_seconds)
        case _:
            return AppriseChannel(secret.resolve(address))
