"""The steps of a policy: which requests reach the candidate, for how long, and who has to agree."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rampway.api.advice import whole_percent
from rampway.api.automation import Automation
from rampway.api.base import ApiModel, Duration, Label, seconds
from rampway.api.rules import Form, Rule, matches

SHARE_PATTERN = r"^([1-9][0-9]?|100)%$"
HEADER_PATTERN = r"^[A-Za-z0-9][-A-Za-z0-9_.]*$"
COOKIE_PATTERN = r"^[-A-Za-z0-9_.~]+$"

Share = Annotated[
    str,
    Field(max_length=4),
    Form(SHARE_PATTERN, "a whole percentage from 1% to 100%", whole_percent(1, 100)),
]
HeaderName = Annotated[
    str, Field(max_length=256), Form(HEADER_PATTERN, "the name of an HTTP header")
]
CookiePart = Annotated[
    str,
    Field(max_length=256),
    Form(COOKIE_PATTERN, "letters, digits and any of - _ . ~, for example group-b"),
]


class MatchType(StrEnum):
    """How a header's value is compared."""

    EXACT = "Exact"
    REGULAR_EXPRESSION = "RegularExpression"


class HeaderMatch(ApiModel):
    """A header of a request."""

    name: HeaderName = Field(description="Name of the header; case does not matter.")
    value: str = Field(min_length=1, max_length=1024, description="What it has to be.")
    type: MatchType = Field(
        default=MatchType.EXACT,
        description="Exact, or RegularExpression where the Gateway knows it: of the whole value.",
    )


class Cookie(ApiModel):
    """A cookie of a request."""

    name: CookiePart = Field(description="Name of the cookie.")
    value: CookiePart = Field(description="What it has to be.")


class Match(ApiModel):
    """Requests chosen by a header or cookie: all that is named here has to be there."""

    rules = (
        Rule(
            cel="has(self.cookie) || self.headers.size() > 0",
            message="expected a header or a cookie",
            holds=lambda match: bool(match.headers or match.cookie),
        ),
    )

    headers: tuple[HeaderMatch, ...] = Field(
        default=(), max_length=8, description="Headers that they have."
    )
    cookie: Cookie | None = Field(default=None, description="A cookie that they have.")

    @property
    def as_headers(self) -> tuple[HeaderMatch, ...]:
        """The same in headers alone, as the Gateway API has it."""
        if self.cookie is None:
            return self.headers
        pair = f"{self.cookie.name}={self.cookie.value}".replace(".", "[.]")
        among = HeaderMatch(
            name="cookie", value=f"(.*; *)?{pair}(;.*)?", type=MatchType.REGULAR_EXPRESSION
        )
        return (*self.headers, among)


class Approval(ApiModel):
    """A person has to agree before the rollout goes on."""

    message: str = Field(
        default="", max_length=1024, description="What they are to look at; shown in the status."
    )


class Shape(StrEnum):
    """How a ramp rises."""

    LINEAR = "Linear"
    EXPONENTIAL = "Exponential"


class Ramp(ApiModel):
    """A share that rises by itself, as far as the evidence allows."""

    rules = (
        Rule(
            cel=f"!{matches('self.from', SHARE_PATTERN)} || !{matches('self.to', SHARE_PATTERN)} "
            "|| int(self.from.replace('%', '')) < int(self.to.replace('%', ''))",
            message="expected from below to",
            holds=lambda ramp: percent(ramp.from_) < percent(ramp.to),
        ),
    )

    from_: Share = Field(default="1%", alias="from", description="The share that it begins with.")
    to: Share = Field(default="100%", description="The share that it ends with.")
    over: Duration = Field(description="How long it takes at least, if nothing holds it.")
    shape: Shape = Field(
        default=Shape.EXPONENTIAL,
        description="Linear: equal differences. Exponential: equal ratios, so that little is at "
        "stake while little is known.",
    )

    @property
    def over_s(self) -> float:
        """The shortest duration in seconds."""
        return seconds(self.over)


_KINDS = ("weight", "mirror", "match", "ramp", "approval")
_GIVEN = ", ".join(f"has(self.{kind})" for kind in _KINDS)


class Step(ApiModel):
    """One stage of a rollout: exactly one of weight, mirror, match, ramp, approval."""

    rules = (
        Rule(
            cel=f"[{_GIVEN}].filter(given, given).size() == 1",
            message="expected exactly one of weight, mirror, match, ramp and approval",
            holds=lambda step: sum(getattr(step, kind) is not None for kind in _KINDS) == 1,
        ),
    )

    name: Label = Field(description="Name of the step, unique in the policy.")
    weight: Share | None = Field(
        default=None, description="Share of all requests that the candidate gets, 1% to 100%."
    )
    mirror: Share | None = Field(
        default=None,
        description="Share of all requests that the candidate gets a copy of. Stable answers; what "
        "the candidate answers is thrown away and judged.",
    )
    match: Match | None = Field(
        default=None,
        description="Requests with this header or cookie go to the candidate, all others to "
        "stable. The candidate runs at full size.",
    )
    ramp: Ramp | None = Field(
        default=None, description="A share that rises by itself, as far as the evidence allows."
    )
    approval: Approval | None = Field(
        default=None,
        description="Nothing changes until a person approves this step on the ModelRollout.",
    )
    automation: Automation | None = Field(
        default=None,
        description="From this step on applications are told this of the candidate's answers, "
        "until a later step says otherwise; once promoted, what spec.automation says.",
    )
    hold: Duration = Field(
        default="1m",
        description="The step lasts at least this long; time without evidence does not count. A "
        "ramp has `over` instead, and an approval lasts until it is given.",
    )
    min_requests: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        strict=True,
        description="The step lasts until the candidate answered this many requests in it "
        "(first attempts). Of an approval: ignored.",
    )

    @property
    def hold_s(self) -> float:
        """Shortest duration in seconds."""
        return seconds(self.hold)

    @property
    def weights_pct(self) -> tuple[int, int] | None:
        """The first and last share of a step that has one, in percent."""
        if self.ramp is not None:
            return percent(self.ramp.from_), percent(self.ramp.to)
        return None if self.weight is None else (percent(self.weight),) * 2


def percent(share: str) -> int:
    """Return a share such as 5% as a whole number."""
    return int(share[:-1])
