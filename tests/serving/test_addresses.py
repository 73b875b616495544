"""Which address a request is counted for."""

from ipaddress import ip_network

import pytest

from serving.addresses import Addresses


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("1.2.3.4", b"", "1.2.3.4"),
        ("1.2.3.4", b"5.6.7.8", "1.2.3.4"),
        ("10.0.0.1", b"9.9.9.9, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", b"9.9.9.9, 1.2.3.4, 10.0.0.7", "1.2.3.4"),
        ("10.0.0.1", b"10.0.0.7", "10.0.0.7"),
        ("10.0.0.1", b"not an address", "10.0.0.1"),
        ("10.0.0.1", b"1.2.3.4, ", "10.0.0.1"),
        ("10.0.0.1", b"1.2.3.4:5678", "1.2.3.4"),
        ("10.0.0.1", b"[2001:db8:1:2::7]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", b"", "2001:db8:1:2::/64"),
        ("::ffff:1.2.3.4", b"", "1.2.3.4"),
        ("::ffff:10.0.0.1", b"1.2.3.4", "1.2.3.4"),
        ("", b"1.2.3.4", "unknown"),
    ],
)
def test_an_address_is_what_one_owner_has_and_a_trusted_proxy_wrote(peer, forwarded, counted):
    assert Addresses([ip_network("10.0.0.0/8")]).caller(peer, forwarded) == counted
