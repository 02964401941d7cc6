"""What is wrong with a file, by the rules of the CRDs; and what is doubtful about it. Pure."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from rampway.api.base import (
    API_VERSION,
    GROUP,
    NAME_EXPECTED,
    NAME_PATTERN,
    OBJECT_NAME_EXPECTED,
    OBJECT_NAME_PATTERN,
    VERSION,
)
from rampway.api.definitions import DEFINITIONS, Definition
from rampway.api.deployment import ModelDeploymentSpec
from rampway.api.policy import Policy, PolicyKind, PolicyRef
from rampway.api.sources import SourceKind
from rampway.api.wording import meant, mistakes
from rampway.cli import deployed, doubts, reckoning
from rampway.cli.doubts import Doubt, Level
from rampway.cli.source import Document, Unreadable, documents
from rampway.kube.kinds import Kind

Shared = Mapping[tuple[str, ...], Policy]
"""The shared policies of a file, by kind, namespace and name."""
_PARTS = {"apiVersion", "kind", "metadata", "spec", "status"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a file.

    Attributes:
        line: From 1.
        about: Kind and name of the object, empty where it is about the file.
    """

    file: str
    line: int
    level: Level
    text: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a file.

    Attributes:
        objects: Those of ours, which the API server may be asked about.
        strangers: Number of those of other APIs, which were not checked.
    """

    findings: tuple[Finding, ...]
    objects: tuple[tuple[Document, Mapping[str, Any]], ...] = ()
    strangers: int = 0


def lint(file: str, text: str, rps: float | None, *, doubting: bool = True) -> Checked:
    """Return what is wrong with a file, and doubtful.

    Args:
        file: Its name, for the findings.
        text: Its content.
        rps: Requests a second that all revisions together get; None if nobody told.
        doubting: Whether to look for more than what the API server would refuse.
    """
    try:
        found = documents(text)
    except Unreadable as err:
        return Checked((Finding(file, err.line, Level.ERROR, str(err)),))
    findings: list[Finding] = []
    shared = dict(_shared(found)) if doubting else None
    ours: dict[tuple[str, ...], tuple[Document, Mapping[str, Any]]] = {}
    strangers = 0
    for document in found:
        foreign = _foreign(document.content)
        if foreign:
            level, path, words = foreign
            strangers += level is Level.NOTE
            findings.append(Finding(file, document.line(path), level, words))
            continue
        key = _key(document.content)
        if key in ours:
            before = ours[key][0].line()
            words = (
                f"{named(document.content)} is there twice (line {before}): the last would count"
            )
            findings.append(Finding(file, document.line(), Level.ERROR, words))
        ours[key] = document, document.content
        findings += _object(file, document, rps, shared)
    if not found:
        findings.append(Finding(file, 1, Level.WARNING, "the file has no object"))
    return Checked(tuple(findings), tuple(ours.values()), strangers)


def _shared(found: list[Document]) -> Iterator[tuple[tuple[str, ...], Policy]]:
    """Yield the valid shared policies of a file, by kind, namespace and name."""
    for document in found:
        content = document.content
        definition = _definition(content) if isinstance(content, Mapping) else None
        if definition is None or not issubclass(definition.spec, Policy):
            continue
        with suppress(ValidationError):
            yield _key(content), definition.spec.model_validate(content.get("spec"), by_name=False)


def _foreign(content: Any) -> tuple[Level, tuple[str, ...], str] | None:
    """Return what is said of a document that is no object of ours, None if it is one."""
    if not isinstance(content, Mapping):
        seen = str(content)[:60]
        return Level.ERROR, (), f"expected an object with apiVersion and kind; seen: {seen!r}"
    version, kind = (str(content.get(key) or "") for key in ("apiVersion", "kind"))
    ours = kind in {one.kind for one in DEFINITIONS}
    expected = f"; a {kind} has {API_VERSION}" if ours else ""
    if not version:
        return Level.ERROR, (), f"apiVersion: required, but missing{expected}"
    if not kind:
        return Level.ERROR, (), "kind: required, but missing"
    if version.split("/")[0] == GROUP:
        return None
    if ours:
        text = f"apiVersion: expected {API_VERSION} of a {kind}; seen: {version!r}"
        return Level.ERROR, ("apiVersion",), text
    return Level.NOTE, (), f"{kind} of {version} is not Rampway's: not checked"


def _key(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what makes two objects the same one."""
    meta = content.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    return (str(content["kind"]), *(str(meta.get(part) or "") for part in ("namespace", "name")))


def served(content: Mapping[str, Any]) -> Kind | None:
    """Return where the API server serves an object, None for a kind that is not Rampway's."""
    found = _definition(content)
    if found is None:
        return None
    return Kind(GROUP, VERSION, found.plural, found.kind, found.namespaced)


def _definition(content: Mapping[str, Any]) -> Definition | None:
    if content.get("apiVersion") != API_VERSION:
        return None
    return next((d for d in DEFINITIONS if d.kind == content.get("kind")), None)


def named(content: Mapping[str, Any]) -> str:
    """Return kind and name of an object, as far as it has them."""
    meta = content.get("metadata")
    name = meta.get("name", "") if isinstance(meta, Mapping) else ""
    return f"{content.get('kind', '')} {name}".strip()


def _object(
    file: str, document: Document, rps: float | None, shared: Shared | None
) -> Iterator[Finding]:
    content = document.content
    about = named(content)

    def finding(level: Level, path: tuple[int | str, ...], text: str) -> Finding:
        return Finding(file, document.line(path), level, text, about)

    for line, key in document.twice():
        text = f"key {key} is there twice: the last one would count"
        yield Finding(file, line, Level.ERROR, text, about)
    definition = _definition(content)
    if definition is None:
        for key, text in _misnamed(content):
            yield finding(Level.ERROR, (key,), text)
        return
    for path, text in _envelope(content):
        yield finding(Level.ERROR, path, text)
    spec = content.get("spec")
    if not isinstance(spec, Mapping):
        return
    try:
        parsed = definition.spec.model_validate(spec, by_name=False)
    except ValidationError as error:
        for where, text in mistakes(error, definition.spec, "spec"):
            yield finding(Level.ERROR, ("spec", *where), text)
        reckoned = "" if rps is None else " and --rps is reckoned with"
        text = f"warnings are looked for{reckoned} once the mistakes in the spec are gone"
        yield finding(Level.NOTE, ("spec", *where), text)
        return
    for path, doubt in _doubts(parsed, _key(content)[1], rps, shared):
        yield finding(doubt.level, ("spec", *path, *doubt.path), doubt.text)


def _misnamed(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the version or the kind of an object of our group."""
    version, kind = content.get("apiVersion"), str(content.get("kind"))
    if version != API_VERSION:
        yield "apiVersion", f"apiVersion: expected {API_VERSION}; seen: {version!r}"
    known = [definition.kind for definition in DEFINITIONS]
    if kind not in known:
        yield "kind", f"kind: unknown; seen: {kind!r}. {meant(kind, known)}"


def _doubts(
    parsed: BaseModel, space: str, rps: float | None, shared: Shared | None
) -> Iterator[tuple[tuple[str, ...], Doubt]]:
    """Yield what is doubtful about a spec, and in which part of it; None: nobody asks."""
    if shared is None:
        return
    found = [*policies(parsed)]
    if isinstance(parsed, ModelDeploymentSpec):
        found = found or _assumed(parsed)
        yield from _of_deployment(parsed, space, rps, shared)
    for path, policy in found:
        for doubt in _of_policy(parsed, policy, rps):
            yield path, doubt


def _assumed(spec: ModelDeploymentSpec) -> list[tuple[tuple[str, ...], Policy]]:
    """Return the built-in policy for a ModelDeployment that names none."""
    return [] if spec.rollout.policy_ref else [(("rollout",), Policy())]


def _of_deployment(
    spec: ModelDeploymentSpec, space: str, rps: float | None, shared: Shared
) -> Iterator[tuple[tuple[str, ...], Doubt]]:
    for doubt in deployed.about(spec):
        yield (), doubt
    own, ref = spec.rollout.policy, spec.rollout.policy_ref
    space = space if ref and ref.kind is PolicyKind.NAMESPACED else ""
    if own is None:
        yield ("rollout",), Doubt((), _elsewhere(ref), Level.NOTE)
    part = "policyRef" if ref else "policy" if own else ""
    policy = shared.get((ref.kind, space, ref.name)) if ref else own or Policy()
    if policy is not None:
        for doubt in deployed.beside(spec, policy, sure=bool(part)):
            yield ("rollout", *([part] if part else [])), doubt
        for doubt in deployed.while_queued(spec.rollout, policy, rps):
            yield ("rollout",), doubt


def _elsewhere(ref: PolicyRef | None) -> str:
    """Return which policy goes for a ModelDeployment that holds none."""
    if ref is not None:
        return f"policyRef {ref.name}: its steps and checks are looked at where they are written"
    return (
        "no policy: looked at with the built-in one; a ClusterRolloutPolicy that is marked as the "
        "cluster's default takes its place"
    )


def _of_policy(parsed: BaseModel, policy: Policy, rps: float | None) -> Iterator[Doubt]:
    yield from doubts.about(policy)
    yield from reckoning.about(policy, rps)
    ours = parsed if isinstance(parsed, ModelDeploymentSpec) else None
    source = ours.metrics.source_ref if ours else None
    if source is None or source.kind is not SourceKind.NAMESPACED:
        yield from doubts.unconfined(policy)


def _envelope(content: Mapping[str, Any]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yield what is wrong around the spec."""
    for key in content.keys() - _PARTS:
        yield (key,), f"{key}: unknown field. {meant(str(key), _PARTS)}"
    meta = content.get("metadata")
    if not isinstance(meta, Mapping) or not meta.get("name"):
        yield ("metadata",), "metadata.name: required, but missing"
    else:
        pattern, expected = OBJECT_NAME_PATTERN, f"{OBJECT_NAME_EXPECTED}, in lower case"
        if content.get("kind") == "ModelDeployment":
            pattern, expected = NAME_PATTERN, NAME_EXPECTED
        if not re.fullmatch(pattern, str(meta["name"])):
            text = f"metadata.name: expected {expected}; seen: {meta['name']!r}"
            yield ("metadata", "name"), text
    if not isinstance(content.get("spec"), Mapping):
        yield ("spec",), "spec: required, but missing"


def policies(parsed: BaseModel) -> Iterator[tuple[tuple[str, ...], Policy]]:
    """Yield every policy in a spec with its path: the spec itself, or one inside it."""
    if isinstance(parsed, Policy):
        yield (), parsed
        return
    for name, field in type(parsed).model_fields.items():
        value = getattr(parsed, name)
        if isinstance(value, BaseModel) and name not in {"candidate", "stable"}:
            for path, policy in policies(value):
                yield (field.alias or name, *path), policy
