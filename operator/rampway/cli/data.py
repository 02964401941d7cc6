"""The same facts for programs: `status -o json` and `-o yaml`. Pure."""

from dataclasses import asdict
from typing import Any

from rampway.cli.facts import Facts
from rampway.cli.options import Format
from rampway.cli.printing import dump
from rampway.core.instants import to_wire


def as_data(facts: Facts, now_s: float) -> dict[str, Any]:
    """Return the facts as JSON data, keys in camelCase as in the API; ages in seconds."""
    deployment = facts.deployment
    return {
        "name": deployment.name,
        "namespace": deployment.namespace,
        "generation": deployment.generation,
        "readAt": to_wire(facts.read_at_s),
        "status": deployment.status.model_dump(mode="json", by_alias=True, exclude_none=True),
        "revisions": [
            {
                "revision": shown.revision,
                "role": shown.role.value,
                "version": shown.version,
                "podsReady": shown.ready,
                "pods": shown.wanted,
                "restarts": shown.restarts,
                "weightSetPct": shown.set_pct,
                "weightObservedPct": shown.observed_pct,
                "mirrorSetPct": shown.set_mirror_pct,
                "mirrorObservedPct": shown.observed_mirror_pct,
                "matchSet": shown.set_matched,
                "matchObserved": shown.observed_matched,
                "automation": shown.automation,
                "trouble": shown.trouble,
            }
            for shown in facts.revisions
        ],
        "route": _route(facts),
        "rollout": _rollout(facts, now_s),
        "notShown": list(facts.notes),
    }


def as_text(facts: Facts, now_s: float, wanted: Format) -> str:
    """Return the data as JSON or YAML text, without a newline at the end."""
    return dump(as_data(facts, now_s), wanted)


def _route(facts: Facts) -> dict[str, Any] | None:
    if facts.route is None:
        return None
    wanted = ("exists", "accepted", "message")
    return {key: value for key, value in asdict(facts.route).items() if key in wanted}


def _rollout(facts: Facts, now_s: float) -> dict[str, Any] | None:
    rollout = facts.rollout
    if rollout is None:
        return None
    status = rollout.status.model_dump(mode="json", by_alias=True, exclude={"evidence"})
    at, left_s = facts.progress(now_s), facts.watch_left_s(now_s)
    age_s = None if facts.evidence_s is None else round(max(0.0, now_s - facts.evidence_s), 1)
    return {
        "name": rollout.name,
        "attempt": rollout.spec.attempt,
        "releasedBy": rollout.spec.released_by.model_dump(mode="json", by_alias=True),
        "ended": facts.running is None,
        "evidenceAgeSeconds": age_s,
        "holdLeftSeconds": None if at is None or at.left_s is None else round(at.left_s, 1),
        "watchLeftSeconds": None if left_s is None else round(left_s, 1),
        "stepRequests": facts.step_requests,
        "asksAboutStep": facts.asks_about,
        "requests": rollout.spec.requests.model_dump(mode="json", by_alias=True, exclude_none=True),
        "status": status,
    }
