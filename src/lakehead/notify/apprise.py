"""Any address that apprise speaks: Slack, Teams, Telegram, ... (extra `notify`)."""

from __future__ import annotations

from lakehead.errors import NotificationError, TransientError
from lakehead.notify.message import Message


class AppriseChannel:
    """Sends through apprise. Raises NotificationError when apprise is absent or does not know the address."""

    def __init__(self, address: str) -> None:
        try:
            import apprise
        except ImportError as error:
            raise NotificationError(
                "this address needs apprise, which is not installed", hint="Run: pip install 'lakehead[notify]'"
            ) from error
        self._apprise = apprise.Apprise()
        if not self._apprise.add(address):
            raise NotificationError(
                "apprise does not know this address",
                hint="See https://appriseit.com/services/ for the forms it knows.",
                scheme=address.partition(":")[0],
            )

    def send(self, message: Message) -> None:
        """Send one message. Apprise does not say why something failed, so every failure counts as transient."""
        if not self._apprise.notify(title=message.subject, body=message.body):
            raise TransientError("the service did not take the message")
