"""TLS on the server's own port."""

import asyncio
import ssl

import pytest

from serving import tls
from serving.errors import CannotStart


@pytest.mark.parametrize(
    ("newest", "spoken"),
    [(ssl.TLSVersion.TLSv1_3, "TLSv1.3"), (ssl.TLSVersion.TLSv1_2, "TLSv1.2")],
)
def test_callers_are_answered_over_tls_of_today(pair, newest, spoken):
    assert handshake(pair, newest) == spoken


@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated")
def test_older_tls_is_refused(pair):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(pair, ssl.TLSVersion.TLSv1_1)


def handshake(pair, newest) -> str:
    caller = ssl.create_default_context(cafile=str(pair[0]))
    caller.set_ciphers("DEFAULT:@SECLEVEL=0")
    caller.minimum_version = min(newest, ssl.TLSVersion.TLSv1_2)
    caller.maximum_version = newest

    async def meet():
        server = await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=tls.context_of(*pair)
        )
        port = server.sockets[0].getsockname()[1]
        async with server:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=caller)
            version = writer.get_extra_info("ssl_object").version()
            await reader.read()
            writer.close()
            return version

    return asyncio.run(meet())


def test_half_of_a_pair_stops_the_server(pair):
    with pytest.raises(CannotStart, match="TLS_CERT_FILE is set but TLS_KEY_FILE is not"):
        tls.context_of(pair[0], None)
    with pytest.raises(CannotStart, match="TLS_KEY_FILE is set but TLS_CERT_FILE is not"):
        tls.context_of(None, pair[1])


def test_files_that_are_no_pair_stop_the_server_in_one_line(pair, tmp_path):
    certificate, key = pair
    (tmp_path / "empty.pem").touch()
    wrong = {
        (certificate, tmp_path / "none.pem"): "none.pem cannot be read: No such file",
        (certificate, tmp_path / "empty.pem"): "empty.pem: ",
        (certificate, certificate): "cert.pem: ",
        (certificate, key.with_name("locked.pem")): "locked.pem: ",
    }

    for files, said in wrong.items():
        with pytest.raises(CannotStart) as refused:
            tls.context_of(*files)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
