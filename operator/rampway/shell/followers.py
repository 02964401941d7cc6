"""Which ModelDeployments concern themselves with an object that bears none of our labels."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rampway.api.parse import ModelDeployment

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(slots=True)
class Followers:
    """The ModelDeployments that split a rule of the user's route, by that route."""

    _routes: dict[Key, str] = field(default_factory=dict)

    def note(self, deployment: ModelDeployment) -> None:
        """Note which route of the user's a ModelDeployment follows, if any."""
        ref = deployment.spec.traffic.route_ref
        key = (deployment.namespace, deployment.name)
        if ref is None:
            self._routes.pop(key, None)
        else:
            self._routes[key] = ref.name

    def follow(self, key: Key, route: str) -> None:
        """Note that one that is gone still waits for a route."""
        self._routes[key] = route

    def forget(self, key: Key) -> None:
        """Forget a ModelDeployment that is gone."""
        self._routes.pop(key, None)

    def of(self, namespace: str, route: str) -> Iterable[Key]:
        """Return the ModelDeployments that follow a route."""
        return [key for key, name in self._routes.items() if (key[0], name) == (namespace, route)]
