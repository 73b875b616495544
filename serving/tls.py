"""TLS for the server's own port, when a certificate is given."""

import ssl
from pathlib import Path

from serving.errors import CannotStart


def context_of(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """What connections are made with; None without a certificate, CannotStart with half of one."""
    if not certificate and not key:
        return None
    if not certificate or not key:
        have, miss = ("TLS_CERT_FILE", "TLS_KEY_FILE")[:: 1 if certificate else -1]
        raise CannotStart(f"{have} is set but {miss} is not: TLS needs both")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password here, OpenSSL would ask the terminal for one.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        why = error.reason or "not a certificate and its key in PEM, or the key has a password"
        raise CannotStart(
            f"TLS_CERT_FILE={certificate}, TLS_KEY_FILE={key}: {why.lower().replace('_', ' ')}"
        ) from None
    except OSError as error:
        unread = next((f for f in (certificate, key) if not f.is_file()), certificate)
        raise CannotStart(f"{unread} cannot be read: {error.strerror}") from None
    return context
