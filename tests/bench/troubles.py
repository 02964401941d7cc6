"""What goes wrong beside a candidate's answers while `make bench-rollback` measures."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Event, Thread

from cluster.bench import SYSTEM, CommandFailed
from cluster.subject import Subject, ready

AWAY_S = 10.0
"""The operator is gone for so long."""
AGAIN_S = 0.5


@contextmanager
def nothing(_subject: Subject) -> Iterator[None]:
    """Let all be well."""
    yield


@contextmanager
def crash_loop(subject: Subject) -> Iterator[None]:
    """Kill the candidate's processes whenever they run."""
    over = Event()
    bad = subject.status()["candidate"]["revision"]

    def kill() -> None:
        while not over.wait(AGAIN_S):
            for pod in subject.pods(bad):
                with suppress(CommandFailed):  # it is between two lives
                    subject.signal(pod, signal.SIGKILL)

    for pod in subject.pods(bad):
        subject.signal(pod, signal.SIGKILL)
    killer = Thread(target=kill, daemon=True)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join(30)


@contextmanager
def stable_unready(subject: Subject) -> Iterator[None]:
    """Hang one of stable's pods, until it is not ready, before the candidate turns bad."""
    stable = subject.stable()
    hung = subject.pods(stable)[0]
    subject.signal(hung, signal.SIGSTOP)
    subject.until(lambda: sum(map(ready, subject.pods(stable))) == 1, "a pod of stable unready")
    try:
        yield
    finally:
        subject.signal(hung, signal.SIGCONT)


@contextmanager
def operator_away(subject: Subject) -> Iterator[None]:
    """Kill all of the operator, and have it back after ten seconds."""
    bench = subject.bench
    words = ("scale", "deployment/rampway-operator", "-n", SYSTEM)
    replicas = len(bench.operator_pods())
    pods = bench.operator_pods()
    bench.kube(*words, "--replicas=0")
    for pod in pods:
        bench.signal_operator(pod, signal.SIGKILL)

    def come_back() -> None:
        time.sleep(AWAY_S)
        bench.kube(*words, f"--replicas={replicas}")

    back = Thread(target=come_back, daemon=True)
    back.start()
    try:
        yield
    finally:
        back.join(60)
        bench.await_operator()
        bench.await_leader()


@contextmanager
def taken_over(subject: Subject) -> Iterator[None]:
    """Freeze the leader: the other one has to notice."""
    bench = subject.bench
    leader = bench.await_leader()
    bench.signal_operator(leader, signal.SIGSTOP)
    try:
        yield
    finally:
        bench.signal_operator(leader, signal.SIGCONT)
    bench.await_operator()
    bench.await_leader()


TROUBLES: Mapping[str, Callable[[Subject], AbstractContextManager[None]]] = {
    "": nothing,
    "crashloop": crash_loop,
    "stableunready": stable_unready,
    "away10s": operator_away,
    "takeover": taken_over,
}
"""By the name that a case bears."""
