"""The policy that a trial is about: of a file, or of a ModelDeployment in a cluster."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampway.api.deployment import ModelDeploymentSpec
from rampway.api.parse import SharedPolicy, parse_policy
from rampway.api.policy import Policy, PolicyKind
from rampway.cli.doubts import Level
from rampway.cli.linting import lint, named
from rampway.cli.source import documents
from rampway.cli.words import why
from rampway.core.model.policies import Policies, Trouble, choose
from rampway.kube import kinds

if TYPE_CHECKING:
    from rampway.kube.base import KubeApi

_SHARED = {kind.value for kind in PolicyKind}


class NoPolicy(ValueError):  # noqa: N818 - a state of the file, not a defect
    """There is no policy to be had; the message says why, and what was expected."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a trial is about.

    Attributes:
        name: Of the object that holds the policy, with its kind.
        spec: Of the ModelDeployment, where it is about one.
    """

    name: str
    policy: Policy
    spec: ModelDeploymentSpec | None = None


def of_file(file: str, wanted: str | None) -> Subject:
    """Return the policy in a file; with several of them the one of the name that is wanted.

    Raises:
        NoPolicy: the file cannot be read, has mistakes, none, or several and no name was told.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise NoPolicy(f"{file} cannot be read: {why(err)}") from err
    found_wrong = lint(file, text, None, doubting=False).findings
    wrong = [one for one in found_wrong if one.level is Level.ERROR]
    if wrong:
        lines = (f"{one.file}:{one.line}: {one.text}" for one in wrong)
        raise NoPolicy("\n".join(["the file has mistakes:", *lines]))
    contents = [document.content for document in documents(text)]
    shared = tuple(parse_policy(one) for one in contents if _is_policy(one))
    found = [subject for one in contents for subject in _of_object(one, shared)]
    # A ModelDeployment says more than the policy that it refers to.
    found = [one for one in found if one.spec is not None] or found
    if wanted is not None:
        found = [one for one in found if one.name.split()[1] == wanted]
    return _only(found, file, wanted)


def _only(found: list[Subject], file: str, wanted: str | None) -> Subject:
    if len(found) == 1:
        return found[0]
    expected = "expected a ModelDeployment, a RolloutPolicy or a ClusterRolloutPolicy"
    if wanted is not None:
        raise NoPolicy(f"{file} has {len(found) or 'no'} objects named {wanted}; {expected}")
    if not found:
        raise NoPolicy(f"{file} has no policy; {expected}")
    names = ", ".join(one.name for one in found)
    raise NoPolicy(f"{file} has several: {names}; say --policy NAME")


def _is_policy(content: Any) -> bool:
    return isinstance(content, Mapping) and content.get("kind") in _SHARED


def _of_object(content: Any, shared: tuple[SharedPolicy, ...]) -> Iterator[Subject]:
    if not isinstance(content, Mapping):
        return
    if _is_policy(content):
        known = parse_policy(content)
        if known.spec is not None:
            yield Subject(named(content), known.spec)
    elif content.get("kind") == kinds.MODEL_DEPLOYMENT.kind:
        spec = ModelDeploymentSpec.model_validate(content["spec"], by_name=False)
        yield Subject(named(content), _chosen(named(content), spec, Policies(shared)), spec)


def _chosen(name: str, spec: ModelDeploymentSpec, shared: Policies) -> Policy:
    found = choose(spec.rollout, shared)
    if isinstance(found, Trouble):
        raise NoPolicy(f"{name}: {found.message}")
    return found.policy


async def of_cluster(api: "KubeApi", namespace: str, name: str) -> Subject:
    """Return the policy that a ModelDeployment's next rollout goes by.

    Raises:
        KubeError: it cannot be read.
        NoPolicy: what it refers to is not there.
    """
    from rampway.cli.cluster import find
    from rampway.shell.memory import Memory
    from rampway.shell.shared import Shared

    found = await find(api, namespace, name)
    shared = await Shared().policies(api, found, Memory())
    title = f"ModelDeployment {name}"
    return Subject(title, _chosen(title, found.spec, shared), found.spec)
