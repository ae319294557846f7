"""Tells people: topics, subscriptions, a durable outbox, and the channels it is delivered through."""

from __future__ import annotations

from lakehead.notify.channel import Channel, open_channel
from lakehead.notify.message import Message, Subscription
from lakehead.notify.notifier import Notifier
from lakehead.notify.outbox import Delivery, FeedItem, Publication

__all__ = ["Channel", "Delivery", "FeedItem", "Message", "Notifier", "Publication", "Subscription", "open_channel"]
