"""What the administrator sets: defaults, and values that are refused by name."""

import pytest

from rampway.shell.settings import BadSetting, Settings

SECONDS = ("LOOK", "CHECKPOINT", "RESYNC")


def test_nothing_set_means_the_defaults() -> None:
    """Without variables everything has its default; the process's own are read when none given."""
    assert Settings.from_env({}) == Settings()


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping the process's environment counts."""
    monkeypatch.setenv("RAMPWAY_WORKERS", "3")
    assert Settings.from_env().workers == 3


def test_everything_can_be_set() -> None:
    """Each variable reaches its field."""
    env = {
        "RAMPWAY_PROMETHEUS_URL": "http://p:1",
        "RAMPWAY_MODEL_SERVER_IMAGE": "server:2",
        "RAMPWAY_LOOK_INTERVAL_S": "0.5",
        "RAMPWAY_DIRECT_LOOK_INTERVAL_S": "2",
        "RAMPWAY_CHECKPOINT_INTERVAL_S": "7",
        "RAMPWAY_RESYNC_INTERVAL_S": "11.5",
        "RAMPWAY_HTTP_PORT": "65535",
        "RAMPWAY_WORKERS": "1",
        "RAMPWAY_NAMESPACE": "ops",
        "RAMPWAY_POD": "operator-1",
        "RAMPWAY_LOG_LEVEL": "debug",
    }
    assert Settings.from_env(env) == Settings(
        "http://p:1", "server:2", 0.5, 2.0, 7.0, 11.5, 65535, 1, "ops", "operator-1", "debug"
    )
    places = {"RAMPWAY_METRIC_SOURCES_FILE": "/a/list", "RAMPWAY_CREDENTIALS_FOLDER": "/b"}
    found = Settings.from_env(places)
    assert (found.metric_sources_file, found.credentials_folder) == ("/a/list", "/b")


@pytest.mark.parametrize(
    "name",
    ["LOOK_INTERVAL_S", "CHECKPOINT_INTERVAL_S", "RESYNC_INTERVAL_S", "HTTP_PORT", "WORKERS"],
)
@pytest.mark.parametrize("value", ["", "five", "0", "-1", "nan", "inf", "1e999"])
def test_what_is_no_number_is_refused(name: str, value: str) -> None:
    """The message names the variable, what was seen and what is expected."""
    with pytest.raises(
        BadSetting, match=rf"RAMPWAY_{name}='{value}': expected a .*number.* such as"
    ):
        Settings.from_env({f"RAMPWAY_{name}": value})


@pytest.mark.parametrize(
    ("name", "value"), [("HTTP_PORT", "65536"), ("HTTP_PORT", "0.5"), ("WORKERS", "2.5")]
)
def test_what_is_no_such_count_is_refused(name: str, value: str) -> None:
    """A port beyond all ports, and half a worker, are refused."""
    with pytest.raises(BadSetting, match="a whole number from 1 to"):
        Settings.from_env({f"RAMPWAY_{name}": value})


def test_b36_addresses_of_hooks_end_their_host() -> None:
    """B36: a list of addresses, each with a path: a host alone would allow longer ones."""
    found = Settings.from_env({"RAMPWAY_HOOK_URLS": "https://a.example/ http://b/x"})
    assert found.hook_urls == ("https://a.example/", "http://b/x")
    assert Settings.from_env({}).hook_urls == ()
    for wrong in ("https://a.example", "a.example/", "ftp://a/"):
        with pytest.raises(BadSetting, match="with a slash after the host"):
            Settings.from_env({"RAMPWAY_HOOK_URLS": wrong})
