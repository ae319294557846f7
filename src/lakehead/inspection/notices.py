"""Notifications, as people are told of them."""

from __future__ import annotations

from lakehead.notify import FeedItem
from lakehead.results import NotificationDelivery, NotificationSummary


def notification(item: FeedItem) -> NotificationSummary:
    """A notification of the feed."""
    deliveries = tuple(
        NotificationDelivery(one.subscription, one.state, one.attempts, one.last_error) for one in item.deliveries
    )
    return NotificationSummary(
        item.message_id,
        item.time,
        item.attributes.get("outcome", ""),
        item.subject,
        item.message,
        item.attributes.get("execution", ""),
        deliveries,
    )
