"""Word to people over Slack, e-mail and whatever else Apprise knows, one URL for each.

The URLs are secrets: nothing here tells them, and what Apprise says about them is not logged.
"""

import logging
from collections.abc import Sequence

from apprise import Apprise, NotifyBase, NotifyFormat

# It masks a URL's password, but not the whole of one that it does not understand.
logging.getLogger("apprise").addFilter(lambda record: "URL" not in record.getMessage())


def send(urls: Sequence[str], subject: str, message: str) -> tuple[str, ...]:
    """Tell all of them; the names of those that did not take it, in some 10 s each at worst."""
    missed = []
    for number, url in enumerate(urls, 1):
        server = Apprise.instantiate(url)
        if server is None or not _tell(server, subject, message):
            missed.append(f"notifier {number}{f' ({server.service_name})' if server else ''}")
    return tuple(missed)


def unusable(urls: Sequence[str]) -> tuple[int, ...]:
    """Which of them Apprise knows no service for, counted from 1."""
    return tuple(number for number, url in enumerate(urls, 1) if not Apprise.instantiate(url))


def _tell(server: NotifyBase, subject: str, message: str) -> bool:
    """One at a time: of several Apprise tells only whether all were reached."""
    one = Apprise()
    one.add(server)
    return bool(one.notify(title=subject, body=message, body_format=NotifyFormat.TEXT))
