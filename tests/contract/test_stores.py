"""Models from real object stores: whole, with the right digest and credentials, or not at all."""

import contextlib
import dataclasses
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import skops.io
from contract.cutting import cutting
from contract.stores_place import STORES, Place, certificate, s3
from sklearn.linear_model import LogisticRegression
from unit.server.conftest import free_port, starter

from rampway_server import download, store
from rampway_server.errors import StartError
from rampway_server.settings import Settings

CONTENT = os.urandom(3 << 20) + b"the end"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
ALL = pytest.mark.parametrize("place", list(STORES), indirect=True)
SIGNED = pytest.mark.parametrize("place", ["s3", "az"], indirect=True)


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """All stores, each with the model in it."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name, start in STORES.items():
            folder = tmp_path_factory.mktemp(name)
            (folder / "models/digits").mkdir(parents=True)
            (folder / "models/digits/a model 2.skops").write_bytes(CONTENT)
            found[name] = stack.enter_context(start(folder, free_port()))
        yield found


@pytest.fixture
def place(
    request: pytest.FixtureRequest, places: dict[str, Place], monkeypatch: pytest.MonkeyPatch
) -> Place:
    """One store, with its credentials in the environment."""
    found = places[request.param]
    for key, value in found.environment.items():
        monkeypatch.setenv(key, value)
    return found


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without long pauses."""
    monkeypatch.setattr(download, "_PAUSES_S", (0.01, 0.01, 0.01))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a cache of the test's own."""
    return Settings(cache_dir=tmp_path / "cache")


async def _fetch(settings: Settings, uri: str, **more: object) -> tuple[bytes, str]:
    return await store.fetch(dataclasses.replace(settings, uri=uri, **more))  # type: ignore[arg-type]


@ALL
async def test_model_comes_whole(place: Place, settings: Settings) -> None:
    """Several chunks, a key with a space, and the cache by its digest."""
    uri = f"{place.base}/digits/a%20model%202.skops"
    assert await _fetch(settings, uri) == (CONTENT, DIGEST)
    assert [path.name for path in settings.cache_dir.iterdir()] == [f"{DIGEST}.model"]


@ALL
async def test_b28_missing_object_is_told_at_once(place: Place, settings: Settings) -> None:
    """B28: no such object is final, and told by the URI as the user wrote it."""
    uri = f"{place.base}/digits/9"
    with pytest.raises(StartError) as refused:
        await _fetch(settings, uri)
    assert str(refused.value).startswith(f"model store refused {uri}: 404 Not Found")
    assert list(settings.cache_dir.iterdir()) == []


@SIGNED
async def test_b28_wrong_secret_is_told_at_once(
    place: Place, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B28: a store that does not believe the signature refuses, in its own words."""
    monkeypatch.setenv(place.secret, place.environment[place.secret].replace("ZX", "ZY"))
    uri = f"{place.base}/digits/a%20model%202.skops"
    with pytest.raises(StartError, match=rf"refused {uri}: 403 Forbidden \(\w+\)$"):
        await _fetch(settings, uri)


@ALL
async def test_b3_wrong_digest_is_refused(place: Place, settings: Settings) -> None:
    """B3: other bytes than demanded are not kept."""
    uri = f"{place.base}/digits/a%20model%202.skops"
    with pytest.raises(StartError, match="wrong digest"):
        await _fetch(settings, uri, sha256="0" * 64)
    assert list(settings.cache_dir.iterdir()) == []


@ALL
async def test_too_large_is_refused(place: Place, settings: Settings) -> None:
    """The store says how large it is, so nothing is fetched in vain."""
    with pytest.raises(StartError, match="has more than 1000 bytes"):
        await _fetch(settings, f"{place.base}/digits/a%20model%202.skops", max_model_bytes=1000)


@ALL
async def test_broken_download_begins_anew(
    place: Place, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is cut twice in the middle costs two tries."""
    with cutting(place.environment, 2, monkeypatch) as cut:
        found = await _fetch(settings, f"{place.base}/digits/a%20model%202.skops")
    assert (found == (CONTENT, DIGEST), cut.cuts) == (True, -1)


@ALL
async def test_b28_store_that_always_breaks_off_is_told(
    place: Place, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B28: after four tries it is said how far it came; what came is not served."""
    uri = f"{place.base}/digits/a%20model%202.skops"
    broke_off = r"broke off .* after \d+ bytes \(4 tries in"
    with (
        cutting(place.environment, 9, monkeypatch),
        pytest.raises(StartError, match=broke_off),
    ):
        await _fetch(settings, uri)
    assert list(settings.cache_dir.iterdir()) == []


@ALL
async def test_b28_unreachable_store_is_told(
    place: Place, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B28: nobody there: the system's words, and who was asked."""
    for variable, value in place.environment.items():
        if value.startswith("http"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}/account")
    with pytest.raises(StartError, match=r"unreachable .*127\.0\.0\.1:.*: Connection refused"):
        await _fetch(settings, f"{place.base}/digits/2")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@ALL
async def test_b28_full_disk_is_told_and_left_empty(
    place: Place, settings: Settings, small_disk: Path
) -> None:
    """B28: a disk that fills up in the middle is told so, and nothing stays of the download."""
    uri = f"{place.base}/digits/a%20model%202.skops"
    with pytest.raises(StartError, match=rf"{small_disk}: No space left on device"):
        await _fetch(settings, uri, cache_dir=small_disk)
    assert os.listdir(small_disk) == []  # noqa: PTH208  # no event loop is held up


async def test_certificates_are_checked(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Https with a certificate of one's own authority: by SSL_CERT_FILE, and not without it."""
    (tmp_path / "s3/models").mkdir(parents=True)
    (tmp_path / "s3/models/m").write_bytes(CONTENT)
    tls = certificate(tmp_path)
    with s3(tmp_path / "s3", free_port(), tls) as place:
        for key, value in place.environment.items():
            monkeypatch.setenv(key, value)
        with pytest.raises(StartError, match=r"unreachable s3://models/m .*UnknownIssuer"):
            await _fetch(settings, "s3://models/m")
        monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
        assert await _fetch(settings, "s3://models/m") == (CONTENT, DIGEST)


async def test_b28_missing_credentials_are_told(
    places: dict[str, Place], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B28: without credentials the machine is asked for some; who was asked in vain is said."""
    metadata = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", places["s3"].environment["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", metadata)
    with pytest.raises(StartError, match=rf"\({metadata}/latest/.*\): Connection refused"):
        await _fetch(settings, "s3://models/m")


def test_b28_server_takes_its_model_and_tells_why_it_cannot(tmp_path: Path) -> None:
    """B28: a real server process, its credentials from the environment as a Secret gives them."""
    (tmp_path / "s3/models").mkdir(parents=True)
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    skops.io.dump(model, tmp_path / "s3/models/m.skops")
    with s3(tmp_path / "s3", free_port()) as place, starter(tmp_path) as start:
        server = start("s3://models/m.skops", **place.environment)
        server.wait_ready()
        assert b'"name":"input-0"' in server.get("/v2/models/digits")[1]
        refused = start("s3://models/m.skops", **place.environment | {place.secret: "wrong"})
        assert refused.end()[0] == 1
        told = refused.termination_log.read_text()
    assert told.startswith("model store refused s3://models/m.skops: 403 Forbidden (")
