"""The router of a ModelDeployment, by its `traffic.type`."""

from rampway.api.parse import ModelDeployment
from rampway.api.traffic import TrafficType
from rampway.core.traffic.route import Route
from rampway.core.traffic.split import Split
from rampway.kube.base import KubeApi
from rampway.routers.base import Router
from rampway.routers.gateway_api import GatewayApiRouter
from rampway.routers.replicas import ReplicasRouter
from rampway.routers.route_ref import RouteRefRouter


class RouterByType:
    """Implements `Router` by the one that the ModelDeployment asks for."""

    def __init__(self, api: KubeApi) -> None:
        self._routers: dict[TrafficType, Router] = {
            TrafficType.OWNED_ROUTE: GatewayApiRouter(api),
            TrafficType.ROUTE_REF: RouteRefRouter(api),
            TrafficType.REPLICAS: ReplicasRouter(api),
        }

    async def observe(self, deployment: ModelDeployment) -> Route:
        """Return the split as it is now."""
        return await self._routers[deployment.spec.traffic.type].observe(deployment)

    async def set_split(self, deployment: ModelDeployment, split: Split, now_s: float) -> None:
        """Split the requests like this."""
        await self._routers[deployment.spec.traffic.type].set_split(deployment, split, now_s)
