"""Gives the host a loopback address for the API server, which lives in another namespace.

Run as ``relay.py NAMESPACE_FILE LISTEN_PORT HOST PORT``. It listens where it was started, then
enters the namespace for good: a listening socket stays in the namespace that made it, and every
connection made later starts inside.
"""

import asyncio
import ctypes
import os
import socket
import sys
from contextlib import suppress

CLONE_NEWNET = 0x40000000
CHUNK_BYTES = 1 << 16


def enter(namespace_file: str) -> None:
    """Move this thread into a network namespace; Python 3.11 has no ``os.setns`` yet."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(namespace_file, os.O_RDONLY)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"cannot enter {namespace_file}")
    os.close(descriptor)


async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy one direction of a connection to its end, and pass the end on."""
    with suppress(OSError):
        while data := await source.read(CHUNK_BYTES):
            target.write(data)
            await target.drain()
    with suppress(OSError, RuntimeError):
        target.write_eof()


async def serve(listener: socket.socket, host: str, port: int) -> None:
    """Relay every connection to ``host:port`` until the process is ended."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))
        finally:
            inner_writer.close()
            writer.close()

    server = await asyncio.start_server(relay, sock=listener)
    await server.serve_forever()


def main(namespace_file: str, listen_port: str, host: str, port: str) -> None:
    """Listen on the host's loopback, enter the namespace, relay."""
    listener = socket.create_server(("127.0.0.1", int(listen_port)), backlog=128)
    enter(namespace_file)
    asyncio.run(serve(listener, host, int(port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
