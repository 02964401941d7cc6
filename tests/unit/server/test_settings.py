"""Options and environment variables."""

import dataclasses
import re
from pathlib import Path

import pytest

from rampway_server.errors import StartError
from rampway_server.settings import Settings, load, read_digest_file, thread_count, worker_count

URI = ["--uri", "file:///m"]


def test_every_option_is_also_an_environment_variable() -> None:
    """The operator sets the environment; an option on the command line goes before it."""
    for option in dataclasses.fields(Settings):
        if option.name == "path":
            continue  # it stands for the URI
        text = {
            "trust": "a.B, c.D",
            "sha256": "ab" * 32,
            "log_level": "debug",
            "payload_format": "parquet",
            "allow_pickle": "yes",
            "payload_share": "0.5",
        }.get(option.name, "7")
        expected = {"trust": ("a.B", "c.D")}.get(option.name) or getattr(
            load([*URI, "--" + option.name.replace("_", "-"), text], {}), option.name
        )
        environ = {"RAMPWAY_MODEL_URI": "file:///m", option.metadata["env"]: text}
        assert getattr(load([], environ), option.name) == expected, option.name
        assert expected != option.default, option.name
    assert load(["--port", "9", *URI], {"RAMPWAY_PORT": "8"}).port == 9


@pytest.mark.parametrize(
    ("argv", "environ"),
    [(["m/"], {}), (["--path", "m/"], {}), ([], {"RAMPWAY_MODEL_PATH": "m/"})],
)
def test_a_path_is_enough(argv: list[str], environ: dict[str, str]) -> None:
    """On a laptop: python -m rampway_server model/."""
    assert load(argv, environ).path == "m/"


@pytest.mark.parametrize(
    ("argv", "environ", "sentence"),
    [
        ([], {}, "no model given: set --uri or RAMPWAY_MODEL_URI"),
        ([*URI, "m/"], {}, "two models given: --uri file:///m and the path m/"),
        (["/m.skops", "--sha256", "0" * 64], {}, "--sha256 holds for a model given by --uri"),
        (["/m.skops"], {"RAMPWAY_MODEL_SHA256_FILE": "/d"}, "give a file as --uri file:///m.skops"),
        (["/m.skops", "--name", "x"], {}, "--name holds for a model given by --uri, not for the"),
        (["/m.skops"], {"RAMPWAY_REVISION": "m-abc"}, "--revision holds for a model given by"),
        (
            URI,
            {"RAMPWAY_PORT": "tcp://1.2.3.4:80"},
            "is 'tcp://1.2.3.4:80': expected a whole number",
        ),
        ([*URI, "--port", "99999"], {}, "--port is '99999': expected a number from 0 to 65535"),
        ([*URI, "--grpc-port", "65536"], {}, "expected a number from 0 to 65535"),
        ([*URI, "--payload-share", "5"], {}, "expected a number from 0 to 1"),
        ([*URI, "--timeout-s", "soon"], {}, "--timeout-s is 'soon': expected a number"),
        ([*URI, "--sha256", "abc"], {}, "--sha256 is 'abc': expected 64 hexadecimal digits"),
        ([*URI, "--drain-delay-s", "-1"], {}, "expected a number of 0 or more"),
        ([*URI, "--drain-delay-s", "nan"], {}, "expected a number of 0 or more"),
        ([*URI, "--allow-pickle", "maybe"], {}, "--allow-pickle is 'maybe': expected yes or no"),
        ([*URI, "--payload-format", "csv"], {}, "expected jsonl or parquet"),
        ([*URI, "--log-level", "loud"], {}, "expected debug, info, warning or error"),
    ],
)
def test_bad_values_are_told_with_their_source(
    argv: list[str], environ: dict[str, str], sentence: str
) -> None:
    """The error names the option or variable, what it is, and what was expected."""
    with pytest.raises(StartError, match=re.escape(sentence)):
        load(argv, environ)


def test_digest_file(tmp_path: Path) -> None:
    """Absent or empty means no demand; anything but a digest is an error."""
    path = tmp_path / "sha256"
    assert read_digest_file("") == ""
    assert read_digest_file(str(path)) == ""
    path.write_text("\n")
    assert read_digest_file(str(path)) == ""
    path.write_text("sha256:" + "AB" * 32 + "\n")
    assert read_digest_file(str(path)) == "ab" * 32
    path.write_text("abc")
    with pytest.raises(StartError, match="cannot read a digest"):
        read_digest_file(str(path))


@pytest.mark.parametrize(
    ("cpu_max", "workers", "threads"),
    [
        ("50000 100000", 1, 1),
        ("100000 100000", 1, 1),
        ("250000 100000", 2, 1),
        ("900000 100000", 4, 1),
        ("max 100000", 1, 3),
        ("", 1, 3),
    ],
)
def test_workers_and_threads_share_the_cpus(
    cpu_max: str, workers: int, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker for each whole CPU of the cgroup's limit; without one, one and its threads."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: {0, 1, 2})
    cgroup = tmp_path / "cpu.max"
    cgroup.write_text(cpu_max)
    given = load(URI, {})
    assert (worker_count(given, cgroup), thread_count(given, cgroup)) == (workers, threads)
    told = load([*URI, "--workers", "3", "--threads", "5"], {})
    assert (worker_count(told, cgroup), thread_count(told, cgroup)) == (3, 5)


def test_reference_page_lists_every_option() -> None:
    """docs/reference/model-server.md has a row for each option with its variable and meaning."""
    page = Path("docs/reference/model-server.md").read_text(encoding="utf-8")
    for option in dataclasses.fields(Settings):
        row = f"| `--{option.name.replace('_', '-')}` | `{option.metadata['env']}` |"
        (line,) = (line for line in page.splitlines() if line.startswith(row))
        assert line.endswith(f"| {option.metadata['help']} |")
