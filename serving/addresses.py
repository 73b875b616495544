"""Which address a request came from, when proxies stand before the server."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


class Addresses:
    """Believes X-Forwarded-For only as far as trusted proxies wrote it."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)
        self.caller = lru_cache(maxsize=4096)(self._caller)

    def _caller(self, peer: str, forwarded: bytes) -> str:
        """The rightmost address that is no trusted proxy's; IPv6 as its /64, which is one owner's.

        Whatever stands to the left of that address was written by the caller.
        """
        address = _parsed(peer)
        if address is None:
            return "unknown"
        while forwarded and self._is_trusted(address):
            forwarded, _, last = forwarded.rpartition(b",")
            before = _parsed(last.decode("latin-1").strip())
            if before is None:
                break
            address = before
        return _counted(address)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # a proxy that adds the port
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _counted(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))
