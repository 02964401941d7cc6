"""The server's certificate, read anew when its files change."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

from rampway_server.errors import StartError
from rampway_server.logs import logger

POLL_S = 10.0


class Certificate:
    """A certificate chain and its key, in PEM files.

    Raises:
        StartError: they cannot be read, or do not belong together.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.set_alpn_protocols(["http/1.1"])
        self._files = self._read()
        try:
            self.context.load_cert_chain(chain, key)
        except (OSError, ssl.SSLError) as error:
            raise StartError(
                f"cannot use certificate {chain} with key {key} (--tls-cert, --tls-key): {error}"
            ) from error

    def _read(self) -> tuple[bytes, bytes]:
        try:
            return self._chain.read_bytes(), self._key.read_bytes()
        except OSError as error:
            raise StartError(
                f"cannot read {error.filename} (--tls-cert, --tls-key): {error.strerror}"
            ) from error

    async def follow(self) -> None:
        """Take new files for connections from then on; files that do not fit are left for later."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                self.renew()
            except (StartError, OSError, ssl.SSLError) as error:
                logger().warning("the certificate stays as it was", reason=str(error))

    def renew(self) -> None:
        """Read the files, and use them if they have changed."""
        files = self._read()
        if files != self._files:
            # Tried apart first: a context whose key does not fit its chain serves nobody.
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                self._chain, self._key
            )
            self.context.load_cert_chain(self._chain, self._key)
            self._files = files
            logger().info("the certificate was renewed")

    def for_grpc(self) -> Any:
        """Return the same for gRPC's server, renewed with it."""
        import grpc

        def now() -> Any:
            chain, key = self._files
            return grpc.ssl_server_certificate_configuration([(key, chain)])

        return grpc.dynamic_ssl_server_credentials(now(), now)
