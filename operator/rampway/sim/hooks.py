"""HTTP calls of hooks, answered by whoever plays the other side."""

from dataclasses import dataclass, field

from rampway.core.actions import RunHook
from rampway.core.observation import HookRun

Key = tuple[str, str]


@dataclass(slots=True)
class MemoryCalls:
    """Implements `Calls` without a network.

    Attributes:
        answers: What a run comes to, by `rollout/key`, or by the hook's name for all its runs.
        begun: Idempotency keys of all calls, in order: a restarted operator calls again.
    """

    answers: dict[str, HookRun] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)

    def runs(self, rollout: str) -> dict[str, HookRun]:
        """Return what is known of the calls of a rollout, by `rollout/key`."""
        return {
            name: self.answers.get(name) or self.answers.get(hook) or HookRun("Running")
            for name, hook in self._names.items()
            if name.startswith(f"{rollout}/")
        }

    def begin(self, _key: Key, run: RunHook, _url: str) -> None:
        """Note a call."""
        name = f"{run.rollout}/{run.key}"
        if name not in self._names:
            self._names[name] = run.hook.name
            self.begun.append(run.facts["idempotency_key"])

    def forget(self) -> None:
        """Forget who was called, as a restarted operator does."""
        self._names.clear()
