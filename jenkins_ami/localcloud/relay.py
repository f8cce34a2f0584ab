"""Carry one connection of the guest: bytes between standard input and output and a socket, until the socket ends.

QEMU starts one for each connection to a forwarded address (``guestfwd``), so it has to start fast: it is run as a
file with ``python -I -S``, imports nothing large, and knows nothing of HTTP. Its one argument is the absolute path of a
Unix socket, or a TCP port on 127.0.0.1.
"""

from __future__ import annotations

import _socket
import os
import select
import sys


def connect(address: str) -> _socket.socket:
    if address.isdigit():
        peer = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        peer.connect(("127.0.0.1", int(address)))
        return peer
    folder, name = os.path.split(address)
    os.chdir(folder)  # a socket's path is limited to 107 bytes; a name within the current folder hardly ever exceeds it
    peer = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    peer.connect(name)
    return peer


def relay(peer: _socket.socket) -> None:
    sources = [0, peer.fileno()]
    while True:
        for source in select.select(sources, [], [])[0]:
            data = os.read(source, 65536)
            if source != 0:
                if not data:
                    return
                while data:
                    data = data[os.write(1, data) :]
            elif data:
                while data:
                    data = data[peer.send(data) :]
            else:  # the guest has closed its end, or QEMU is gone
                peer.shutdown(_socket.SHUT_WR)
                sources.remove(0)


if __name__ == "__main__":
    try:
        relay(connect(sys.argv[1]))
    except OSError:  # one of the two ends is gone; standard error is the guest's connection, so nothing is said
        sys.exit(1)
