"""Where the accepted keys come from, and how a rotation reaches a server that runs."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from serving import keys
from serving.errors import CannotStart
from serving.keys import BadKeys, Keyring, StoredKey

if TYPE_CHECKING:
    from serving.settings import ServingSettings

logger = logging.getLogger(__name__)

_CALL_S = 5
_MOST_BYTES = 2**22


class Keys:
    """The keys of one source. What cannot be read changes nothing; what was read counts at once."""

    def __init__(self, where: str, fetch: Callable[[], bytes], refresh_s: float) -> None:
        self._where = where
        self._fetch = fetch
        self._refresh_s = refresh_s
        self._document, self._ring = self._read()
        self._broken = False
        if not self._ring.live:
            raise CannotStart(f"{where} holds no key that is still accepted; {_NEXT}")

    def find(self, presented: bytes) -> StoredKey | None:
        return self._ring.find(presented)

    async def follow(self) -> None:
        """Read the source again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._refresh_s)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Take what the source holds now; an error is told once and the last keys stay."""
        try:
            document, ring = self._read(self._document)
        except CannotStart as error:
            if not self._broken:
                logger.error(f"the keys stay as they are: {error}")
            self._broken = True
            return
        if document != self._document or self._broken:
            logger.info("keys read", extra={"fields": {"keys": ring.live}})
        self._document, self._ring, self._broken = document, ring, False

    def _read(self, known: bytes | None = None) -> tuple[bytes, Keyring]:
        try:
            found = self._fetch()
            return found, self._ring if found == known else keys.read(found)
        except BadKeys as error:
            raise CannotStart(f"{self._where} {error}; {_NEXT}") from None


_NEXT = "make a key with: python -m serving.keys new --id NAME, or say AUTH=off"


def keys_of(settings: "ServingSettings") -> Keys | None:
    """The keys that the settings name; None when none are asked for. CannotStart otherwise."""
    file, secret = settings.api_keys_file, settings.api_keys_secret.strip()
    if file and secret:
        raise CannotStart("API_KEYS_FILE and API_KEYS_SECRET both say which keys: unset one")
    if settings.auth == "off":
        if file or secret:
            raise CannotStart("AUTH=off, but API_KEYS_FILE or API_KEYS_SECRET is set: unset one")
        return None
    if file:
        where = f"API_KEYS_FILE={file}"
        return Keys(where, lambda: _of_file(where, file), settings.api_keys_refresh_s)
    if secret:
        where = f"API_KEYS_SECRET={secret}"
        return Keys(where, _of_secret(where, secret), settings.api_keys_refresh_s)
    if settings.sagemaker:  # IAM guards its two paths, and nothing else is offered
        return None
    raise CannotStart(f"AUTH=keys, but no API_KEYS_FILE and no API_KEYS_SECRET is set; {_NEXT}")


def _of_file(where: str, file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES)
    except OSError as error:
        raise CannotStart(f"{where} cannot be read: {error.strerror}; {_NEXT}") from None


def _of_secret(where: str, name: str) -> Callable[[], bytes]:
    import boto3  # a second of CPU that only this source needs
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    # At DEBUG it writes every answer's body and every signed header to the log.
    logging.getLogger("botocore").setLevel(logging.INFO)
    limits = Config(
        connect_timeout=_CALL_S, read_timeout=_CALL_S, retries={"total_max_attempts": 3}
    )

    def fetch() -> bytes:
        try:
            client = boto3.client("secretsmanager", config=limits)
            held = client.get_secret_value(SecretId=name)
        except (BotoCoreError, ClientError) as error:
            raise CannotStart(f"{where} cannot be read: {error}") from None
        return str(held.get("SecretString", "")).encode()

    return fetch
