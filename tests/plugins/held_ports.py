"""`hold_port()`: a free port that stays one until its server listens."""

import socket


def hold_port() -> socket.socket:
    """Bound and not listening: nobody is given the port who asks for any, only who names it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held
