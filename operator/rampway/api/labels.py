"""Labels, annotations and names that the operator's objects carry: one place, so all agree."""

from rampway.api.base import GROUP

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "rampway"
DEPLOYMENT = f"{GROUP}/deployment"
"""Label: name of the ModelDeployment."""
REVISION = f"{GROUP}/revision"
"""Label: hash of the revision; on its Deployment, pods and Service."""

PROMOTED_AT = f"{GROUP}/promoted-at"
"""Annotation of a revision's Deployment: when it became stable. The latest one is stable (B1)."""
VERDICT = f"{GROUP}/verdict"
"""Annotation of a revision's Deployment: how its last rollout ended, with the reason (B1)."""
VERSION = f"{GROUP}/version"
"""Annotation: the user's `info.version`, shown only."""
CONTENT = f"{GROUP}/content"
"""Annotation of a revision's Deployment: the model and server fields it was made from, JSON."""
HOOK = f"{GROUP}/hook"
"""Annotation of a Job: the run of a hook that it is. Label of its pods: the hook's name."""
ON_DELETION = f"{GROUP}/on-deletion"
"""Label of what has no owner: what becomes of it when its ModelDeployment is gone (B34)."""
DRAIN, KEEP = "Drain", "Keep"
"""Deleted once no route names it any more; or never."""
ROUTE_REF = f"{GROUP}/route-ref"
"""Annotation: route and rule of the user's that send requests to it, as route/rule."""
TERM = f"{GROUP}/term"
"""Annotation: term of the operator that may write this object (B31)."""

AUTOSCALING = f"{GROUP}/autoscaling"
"""Annotation of a HorizontalPodAutoscaler: digest of the metrics that it was given."""
CANDIDATE = f"{GROUP}/candidate"
"""Annotation of the Service that callers use without a gateway: whose pods it has too."""

PAUSED_BY = f"{GROUP}/paused-by"
RESUMED_BY = f"{GROUP}/resumed-by"
CHANGED_BY = f"{GROUP}/changed-by"
"""Annotations of a ModelDeployment: who did that last and when, as `NAME at TIME`. Written by the
API server's admission policy (manifests/people/stamp) and believed only where that is in force."""

DEFAULT = f"{GROUP}/default"
"""Annotation of a cluster's policy: "true" for the one that is used where none is named."""

SERVER_CONTAINER = "server"
SHA256_VARIABLE = "RAMPWAY_MODEL_SHA256"
"""Environment variable by which a pod is told which bytes alone it may load."""
SERVER_PORT = 8080
DIGEST_KEY = "sha256"
AUTOMATION_KEY = "automation"
LINEAGE_KEY = "lineage"


def revision_name(deployment: str, revision_hash: str) -> str:
    """Name of a revision's Deployment, Service and ConfigMap."""
    return f"{deployment}-{revision_hash}"


def automation_name(revision: str) -> str:
    """Name of the ConfigMap that tells a revision's pods their automation, and their lineage."""
    return f"{revision}-automation"


def adopted(deployment: str) -> str:
    """Annotation of a user's route: backends of a rule before its first rollout, JSON (B16)."""
    return f"{GROUP}/adopted-{deployment}"


def live_name(deployment: str) -> str:
    """Name of the Service that callers use where no gateway splits requests."""
    return f"{deployment}-live"


def preview_name(deployment: str) -> str:
    """Name of the Service that has a blue-green candidate's pods."""
    return f"{deployment}-preview"


def rollout_name(deployment: str, revision_hash: str, attempt: int) -> str:
    """Name of the attempt-th rollout (1-based) of a ModelDeployment: made once, by name."""
    return f"{deployment}-{revision_hash}-{attempt}"


def route_ref(route: str, rule: str | None) -> str:
    """Return the annotation that names a rule of the user's route."""
    return f"{route}/{rule or ''}"


def read_route_ref(text: str) -> tuple[str, str | None] | None:
    """Return route and rule that an annotation names, None without one."""
    route, _, rule = text.partition("/")
    return (route, rule or None) if route else None
