"""A Prefect server of this process's own, for what has to work while the real one is down."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

import httpx
from prefect import settings

log = logging.getLogger(__name__)

_ANSWER_S = 3
_START_S = 120


@contextmanager
def when_needed() -> Iterator[None]:
    """Flows run on the server of PREFECT_API_URL; where it does not answer, on one of their own.

    That one begins empty, not with the other's database, which may be what is broken. It ends
    with the command, and its pages with it: the ledger keeps what was done.
    """
    wanted = settings.PREFECT_API_URL.value()
    if wanted and _answers(wanted):
        yield
        return
    log.warning("no Prefect server answers at %s: this command brings its own", wanted)
    from prefect.server.api.server import SubprocessASGIServer  # takes seconds: few come here

    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        own = {
            settings.PREFECT_API_URL: None,
            settings.PREFECT_SERVER_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{folder}/own.db",
            settings.PREFECT_SERVER_ANALYTICS_ENABLED: False,
        }
        stack.enter_context(settings.temporary_settings(own))
        server = SubprocessASGIServer()
        stack.callback(server.stop)
        server.start(_START_S)
        stack.enter_context(settings.temporary_settings({settings.PREFECT_API_URL: server.api_url}))
        yield


def _answers(api_url: str) -> bool:
    try:
        return httpx.get(f"{api_url}/health", timeout=_ANSWER_S).is_success
    except httpx.HTTPError:
        return False
