"""The models that this process serves, by name and version."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from rampway_server.automation import Dial
from rampway_server.errors import ClientFaultError, UnavailableError
from rampway_server.infer import Inferrer
from rampway_server.lineage import Lineage
from rampway_server.metrics import Meters, Metrics
from rampway_server.model import Model
from rampway_server.payloads import Payloads


@dataclass(frozen=True, eq=False)
class Ready:
    """One version of a model, being served.

    Attributes:
        revision: What the operator calls it; empty without one.
    """

    name: str
    version: str
    revision: str
    meters: Meters
    model: Model
    inferrer: Inferrer


@dataclass(frozen=True, eq=False)
class Expected:
    """A version that is known, but not loaded (any more)."""

    name: str
    version: str
    revision: str
    meters: Meters
    reason: str = "is being loaded"


class Repository:
    """Models by name and version; no change awaits anything, so no request sees half of it."""

    def __init__(
        self,
        metrics: Metrics,
        dial: Dial,
        payloads: Payloads | None = None,
        lineage: Lineage | None = None,
    ) -> None:
        self._payloads = payloads
        self._lineage = lineage or Lineage()
        self._metrics = metrics
        self._dial = dial
        self._models: dict[str, dict[str, Ready | Expected]] = {}
        self._newest: dict[str, Ready | Expected] = {}

    def expect(self, name: str, version: str, revision: str = "") -> None:
        """Make a version known: it is answered with 503, and its series exist, until it is loaded.

        What is served under that name and version is served on until then.
        """
        known = self._models.setdefault(name, {})
        if not isinstance(known.get(version), Ready):
            meters = self._metrics.meters(name, revision or version)
            known[version] = Expected(name, version, revision, meters)
            self._note_newest(name)

    def load(self, name: str, version: str, model: Model) -> None:
        """Serve this model from now on; requests under way end with the one they began with."""
        expected = self._models[name][version]
        meters = expected.meters
        meters.loaded(version, model.sha256, self._lineage)
        telemetry = self._metrics.telemetry(meters, model)
        log = None
        if self._payloads is not None:
            revision = expected.revision or version
            about = {"model": name, "version": version, "revision": revision}
            log = self._payloads.of(model, about)
        inferrer = Inferrer(model, self._dial, telemetry, meters, log)
        self._models[name][version] = Ready(
            name, version, expected.revision, meters, model, inferrer
        )
        self._note_newest(name)

    def _note_newest(self, name: str) -> None:
        """Remember what a request without a version gets: the newest that is served, if any is."""
        known = self._models[name]
        loaded = [version for version, one in known.items() if isinstance(one, Ready)]
        self._newest[name] = known[max(loaded or known, key=_age)]

    def keep(self, name: str, versions: Collection[str]) -> None:
        """Serve no other versions of a model than these; requests under way are answered.

        Raises:
            ClientFaultError: 404, there is no such model.
        """
        known = self._models.get(name)
        if known is None:
            raise ClientFaultError(f"unknown model {name[:100]!r}; it is not loaded", 404)
        for version in [version for version in known if version not in versions]:
            gone = known.pop(version)
            self._metrics.forget(gone.meters)
        if known:
            self._note_newest(name)
        else:
            del self._models[name], self._newest[name]

    def served(self) -> set[tuple[str, str]]:
        """Return the names and versions that are served."""
        return {
            (one.name, one.version)
            for versions in self._models.values()
            for one in versions.values()
            if isinstance(one, Ready)
        }

    @property
    def ready(self) -> bool:
        """Whether everything that is expected is loaded."""
        found = [one for versions in self._models.values() for one in versions.values()]
        return bool(found) and all(isinstance(one, Ready) for one in found)

    def find(self, name: str, version: str = "") -> Ready | Expected:
        """Return a version of a model (by its version or revision), else its newest.

        Raises:
            ClientFaultError: 404, there is none.
        """
        newest = self._newest.get(name)
        if newest is None:
            names = ", ".join(repr(one) for one in sorted(self._models)[:8]) or "none now"
            raise ClientFaultError(f"unknown model {name[:100]!r}; this server serves {names}", 404)
        if not version:
            return newest
        known = self._models[name]
        for one in known.values():
            if version in {one.version, one.revision}:
                return one
        raise ClientFaultError(
            f"unknown version {version[:100]!r} of model {name!r}; "
            f"this server serves {', '.join(repr(one) for one in known)}",
            404,
        )

    def get(self, name: str, version: str = "") -> Ready:
        """Return a version that is served.

        Raises:
            ClientFaultError: 404, there is none.
            UnavailableError: it is not loaded.
        """
        found = self.find(name, version)
        if isinstance(found, Expected):
            raise UnavailableError(f"model {name!r} {found.reason}")
        return found

    def metadata(self, name: str, version: str = "") -> dict[str, Any]:
        """Return the protocol's metadata of a version that is served; raises like `get`."""
        found = self.get(name, version)
        known = self._models[name].values()
        return {
            "name": name,
            "versions": [one.version for one in known if isinstance(one, Ready)],
            "platform": found.model.platform,
            "inputs": [spec.as_json() for spec in found.model.takes],
            "outputs": [spec.as_json() for spec in found.model.offers],
            "parameters": {
                "sha256": found.model.sha256,
                "revision": found.revision or found.version,
                "lineage": self._lineage.value,
            },
        }

    def meters(self, parts: Sequence[str]) -> Meters:
        """Return who a request to this path counts for: a version, else the newest of that name.

        What asks for a model that is not there counts for nobody, with empty labels: it tells
        nothing about any of those that are.
        """
        name, version = parts[2:3], parts[4:5]  # v2/models/NAME[/versions/VERSION]
        try:
            return self.find("".join(name), "".join(version)).meters
        except ClientFaultError:
            newest = self._newest.get("".join(name))
            return newest.meters if newest else self._metrics.meters("", "")


def _age(version: str) -> tuple[tuple[int, str], ...]:
    """Return what sorts versions by age: numbers within them by their value."""
    parts = re.findall(r"\d+|\D+", version)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
