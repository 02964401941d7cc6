"""How a Prometheus is reached: its authority, the login, and what confines its queries.

Credentials are files that the administrator mounts; the operator reads no Secrets (B37). Files are
read anew for each query, as tokens are rotated.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp


@dataclass(frozen=True, slots=True)
class Access:
    """What each request bears.

    Attributes:
        folder: Where the files are, any of token, ca.crt, or username and password.
        parameters: Parameters of the address.
        headers: Headers.
    """

    folder: Path | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def all_headers(self) -> dict[str, str]:
        """Return the headers, the login included.

        Raises:
            OSError: credentials are named, and there are none.
        """
        found = dict(self.headers)
        if self.folder is None:
            return found
        token, user = self.folder / "token", self.folder / "username"
        if token.exists():
            return found | {"Authorization": f"Bearer {_text(token)}"}
        if user.exists():
            login = aiohttp.encode_basic_auth(_text(user), _text(self.folder / "password"))
            return found | {"Authorization": login}
        if not self.authority.exists():
            names = "token, ca.crt, or username and password"
            raise FileNotFoundError(f"credentials {self.folder.name}: expected {names} in it")
        return found

    @property
    def authority(self) -> Path:
        """The file of the certificates that are trusted, if it is there."""
        return (self.folder or Path()) / "ca.crt"

    def trust(self) -> ssl.SSLContext | bool:
        """Return whom to trust: the mounted authority alone, else the system's.

        Raises:
            OSError: the file is no certificate.
        """
        if self.folder is None or not self.authority.exists():
            return True
        return ssl.create_default_context(cafile=str(self.authority))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
