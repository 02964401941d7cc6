"""Hooks: what a policy has done before or after a moment of a rollout, by a Job or an HTTP call."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from rampway.api.base import ApiModel, Duration, Label, seconds
from rampway.api.rules import Form, Rule

Url = Annotated[
    str,
    Field(max_length=2048),
    Form(r"^https?://[^/\s@]+(/\S*)?$", "http://host/path or https://host/path"),
]
Words = Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=64)]


class HookMoment(StrEnum):
    """When a hook runs."""

    BEFORE_ROLLOUT = "BeforeRollout"
    BEFORE_STEP = "BeforeStep"
    BEFORE_PROMOTION = "BeforePromotion"
    AFTER_PROMOTION = "AfterPromotion"
    AFTER_ROLLBACK = "AfterRollback"


class HookFailure(StrEnum):
    """What a failed hook does."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"


class HookJob(ApiModel):
    """A container that runs to its end; 0 is success."""

    image: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="Image of the container."
    )
    command: Words = Field(default=(), description="Instead of the image's entrypoint.")
    args: Words = Field(default=(), description="Arguments.")
    service_account_name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="ServiceAccount of the pod; no token is mounted without it."
    )
    pod_template_patch: dict[str, Any] = Field(
        default_factory=dict,
        description="Merged into the pod template, as spec.server.podTemplatePatch is.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )


class HookCall(ApiModel):
    """A POST that is repeated until it is answered with a 2xx, or refused with a 4xx."""

    url: Url = Field(
        description="Where to; it has to begin with an address that the operator's administrator "
        "allows (RAMPWAY_HOOK_URLS)."
    )


class Hook(ApiModel):
    """One hook: exactly one of job and http."""

    rules = (
        Rule(
            cel="has(self.job) != has(self.http)",
            message="expected exactly one of job and http",
            holds=lambda hook: (hook.job is None) != (hook.http is None),
        ),
        Rule(
            cel="!has(self.step) || self.when == 'BeforeStep'",
            message="step: only a hook that runs BeforeStep has one",
            holds=lambda hook: hook.step is None or hook.when is HookMoment.BEFORE_STEP,
        ),
    )

    name: Label = Field(description="Name of the hook, unique in the policy.")
    when: HookMoment = Field(
        description="BeforeRollout (before the candidate's first request), BeforeStep, "
        "BeforePromotion, AfterPromotion or AfterRollback. None of them ever delays a rollback."
    )
    step: Label | None = Field(
        default=None, description="Of BeforeStep: the step; left out, each step."
    )
    job: HookJob | None = Field(default=None, description="Run a container to its end.")
    http: HookCall | None = Field(default=None, description="Make an HTTP call.")
    timeout: Duration = Field(
        default="10m", description="Failed if it has not succeeded after this time."
    )
    on_failure: HookFailure = Field(
        default=HookFailure.HOLD,
        description="Of those before something. Hold: stop and ask; approve the step to go on all "
        "the same, or abort. Rollback: put traffic back.",
    )

    @property
    def timeout_s(self) -> float:
        """The same in seconds."""
        return seconds(self.timeout)
