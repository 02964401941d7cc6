"""What the cluster tests share: kubectl, one installation, a namespace for each test."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from cluster import caller, models, recorder
from cluster.bench import COMMAND_S, Bench, TooLate, set_up
from cluster.caller import Caller
from cluster.recorder import Recorder
from cluster.subject import Subject

FAILED = pytest.StashKey[bool]()
INSTALLED = pytest.StashKey[Bench]()
Calling = Callable[..., AbstractContextManager[Caller]]


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks of the tests that need a cluster."""
    config.addinivalue_line("markers", "cluster: needs a Kubernetes cluster")
    config.addinivalue_line("markers", "faults: takes longer; run by `make test-faults`")
    config.addinivalue_line("markers", "alone: changes what all stand on; never beside others")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # xdist's WorkerController, which has no types
    """Install once for all workers, and tell each where: two installations would fight."""
    stash = node.config.stash
    if INSTALLED not in stash:
        stash[INSTALLED] = set_up(models.make)
    node.workerinput["bench"] = stash[INSTALLED].to_json()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Drop what all workers stood on."""
    made = config.stash.get(INSTALLED, None)
    if made is not None:
        made.kube.drop_namespace(made.home)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Remember that a test failed, so that its fixtures tell what the cluster looked like."""
    report = yield
    if call.excinfo is not None and not call.excinfo.errisinstance(TooLate):  # that one tells
        item.stash[FAILED] = True
    return report


@pytest.fixture(scope="session")
def kubectl() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs kubectl and returns what it printed."""
    program = shutil.which("kubectl")
    if program is None or "KUBECONFIG" not in os.environ:
        pytest.fail(
            "kubectl on PATH and KUBECONFIG are needed; run `make cluster-up`, then "
            '`eval "$(python3 -m tools.localcluster env)"`'
        )

    def run(*args: str, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002 - as in subprocess
        return subprocess.run(
            [program, *args], input=input, text=True, capture_output=True, check=False,
            timeout=COMMAND_S,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def bench(
    kubectl: Callable[..., subprocess.CompletedProcess[str]], request: pytest.FixtureRequest
) -> Iterator[Bench]:
    """Give one installation of everything for the whole session, that of all workers if many."""
    shared = getattr(request.config, "workerinput", {}).get("bench")
    if shared:
        yield Bench.from_json(shared)
        return
    answer = kubectl("version")
    if answer.returncode:
        pytest.fail(f"no cluster answers: {answer.stderr.strip()}; run `make cluster-up`")
    made = set_up(models.make)
    yield made
    made.kube.drop_namespace(made.home)


def _subject(bench: Bench, stem: str) -> Subject:
    name = f"{stem}-{token_hex(2)}"
    namespace = f"rampway-test-{name}"
    bench.kube.make_namespace(namespace)
    return Subject(bench, namespace, name)


@pytest.fixture
def subject(bench: Bench, request: pytest.FixtureRequest) -> Iterator[Subject]:
    """Give a ModelDeployment's name in a namespace of the test's own."""
    made = _subject(bench, "m")
    yield made
    if request.node.stash.get(FAILED, False):
        print(made.tell())  # noqa: T201 - pytest shows it with the failure
    bench.kube.drop_namespace(made.namespace)


@pytest.fixture(scope="module")
def story(bench: Bench, request: pytest.FixtureRequest) -> Iterator[Subject]:
    """Give a ModelDeployment's name that all tests of a module share."""
    made = _subject(bench, "s")
    before = request.session.testsfailed
    yield made
    if request.session.testsfailed > before:
        print(made.tell())  # noqa: T201 - as above
    bench.kube.drop_namespace(made.namespace)


@pytest.fixture
def calling(bench: Bench, subject: Subject, tmp_path: Path) -> Calling:
    """Return a context manager under which requests go to the test's model."""

    def begin(rate_per_s: float = caller.RATE_PER_S) -> AbstractContextManager[Caller]:
        out = tmp_path / f"answers-{len(list(tmp_path.glob('answers-*.jsonl')))}.jsonl"
        return caller.calling(bench, subject.name, out, subject.tell, rate_per_s)

    return begin


@pytest.fixture
def recorded(bench: Bench, subject: Subject, tmp_path: Path) -> Iterator[Recorder]:
    """Record every change in the test's namespace."""
    with recorder.recording(bench.kube, subject.namespace, tmp_path) as made:
        yield made
