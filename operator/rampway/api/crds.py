"""Writes crds/ and the API's reference page from the models: `python -m rampway.api.crds`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from rampway.api.base import GROUP, NAME_EXPECTED, NAME_PATTERN, VERSION
from rampway.api.deployment import ModelDeploymentSpec, ModelDeploymentStatus
from rampway.api.docs import page
from rampway.api.rollout import ModelRolloutSpec, ModelRolloutStatus
from rampway.api.rules import VALIDATIONS
from rampway.api.schema import Schema, structural

MAX_BYTES = 200 * 1024
"""A CRD above this does not fit the annotation in which client-side apply keeps it."""
_MADE = "# Made from operator/rampway/api by `make crds`; change it there.\n"
_COLUMN_TYPES = {"Age": "date", "Weight%": "integer"}


@dataclass(frozen=True)
class Definition:
    """What a CRD says beyond its schemas."""

    kind: str
    short_name: str
    description: str
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: Mapping[str, str]
    """JSON paths by the heading that `kubectl get` shows."""
    root: Schema
    """What the object as a whole must meet, in addition."""
    scale: Mapping[str, str] | None = None
    """Paths of the `scale` subresource, where it has one."""

    @property
    def plural(self) -> str:
        """The name in the API's paths."""
        return f"{self.kind.lower()}s"

    @property
    def file(self) -> str:
        """The file's name in crds/."""
        return f"{self.plural}.yaml"


DEFINITIONS = (
    Definition(
        kind="ModelDeployment",
        short_name="mldep",
        description="A model that is served, and how its successors take its place. Rampway runs "
        "the model, and when `model` or `server` changes it moves the traffic to the new revision "
        "step by step, judges it on evidence, and puts the traffic back by itself when the "
        "evidence says so.",
        spec=ModelDeploymentSpec,
        status=ModelDeploymentStatus,
        columns={
            "Phase": ".status.phase",
            "Stable": ".status.stable.shown",
            "Candidate": ".status.candidate.shown",
            "Step": ".status.step",
            "Weight%": ".status.weightPct",
            "Reason": ".status.reason",
            "Age": ".metadata.creationTimestamp",
        },
        scale={
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
        root={
            VALIDATIONS: [
                {
                    "rule": f"self.metadata.name.matches(r'{NAME_PATTERN}')",
                    "message": f"expected {NAME_EXPECTED}",
                    "fieldPath": ".metadata.name",
                }
            ]
        },
    ),
    Definition(
        kind="ModelRollout",
        short_name="mlro",
        description="One attempt to replace a ModelDeployment's stable revision: the policy as it "
        "was, the evidence, the decisions and who took them. Made by Rampway, kept as the record.",
        spec=ModelRolloutSpec,
        status=ModelRolloutStatus,
        columns={
            "Deployment": ".spec.deployment",
            "Candidate": ".spec.candidate.revision",
            "Version": ".spec.candidate.info.version",
            "Phase": ".status.phase",
            "Step": ".status.step.shown",
            "Weight%": ".status.weightPct",
            "Reason": ".status.reason",
            "Age": ".metadata.creationTimestamp",
        },
        root={},
    ),
)


def crd(definition: Definition) -> dict[str, Any]:
    """Return a CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{definition.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/part-of": "rampway"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": definition.kind,
                "listKind": f"{definition.kind}List",
                "plural": definition.plural,
                "singular": definition.kind.lower(),
                "shortNames": [definition.short_name],
                "categories": ["rampway"],
            },
            "versions": [_version(definition)],
        },
    }


def _version(definition: Definition) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}} | ({"scale": definition.scale} if definition.scale else {}),
        "additionalPrinterColumns": [
            {"name": name, "jsonPath": path, "type": _COLUMN_TYPES.get(name, "string")}
            for name, path in definition.columns.items()
        ],
        "schema": {"openAPIV3Schema": root_schema(definition)},
    }


def root_schema(definition: Definition) -> Schema:
    """Return the structural schema of a whole object."""
    spec = structural(definition.spec)
    return {
        "type": "object",
        "description": definition.description,
        "required": ["metadata", "spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{definition.kind}."},
            # Its name is here only so that a rule may point at it.
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": spec,
            "status": structural(definition.status, defaults=False),
        },
        **definition.root,
    }


class _Dumper(yaml.SafeDumper):
    """Writes everything out: no anchors, lists indented as people write them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class' signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow=flow, indentless=False)


def to_yaml(obj: Mapping[str, Any]) -> str:
    """Return an object as YAML, equal for equal objects."""
    written = yaml.dump(dict(obj), Dumper=_Dumper, allow_unicode=True, width=100, sort_keys=True)
    return _MADE + written


def files() -> dict[str, str]:
    """Return what belongs into crds/: contents by file name.

    Raises:
        ValueError: A CRD has grown too large for client-side apply.
    """
    found = {definition.file: to_yaml(crd(definition)) for definition in DEFINITIONS}
    for name, text in found.items():
        if len(text.encode()) > MAX_BYTES:
            size = len(text.encode()) // 1024
            raise ValueError(f"{name}: {size} KiB; expected at most 200: shorten descriptions")
    found["kustomization.yaml"] = to_yaml(
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": sorted(definition.file for definition in DEFINITIONS),
        }
    )
    return found


def reference() -> str:
    """Return the reference page of the API, as Markdown."""
    return page(
        [(d.kind, d.short_name, root_schema(d)) for d in DEFINITIONS],
        api_version=f"{GROUP}/{VERSION}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or compare them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rampway.api.crds", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="folder of the CRDs: crds")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="the reference page as well")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(arguments)
    wanted = {options.out / name: text for name, text in files().items()}
    if options.docs:
        wanted[options.docs] = reference()
    return _check(wanted) if options.check else _write(wanted)


def _write(wanted: Mapping[Path, str]) -> int:
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def _check(wanted: Mapping[Path, str]) -> int:
    stale = [path for path, text in wanted.items() if not _holds(path, text)]
    for path in stale:
        sys.stderr.write(f"{path}: differs from the models in operator/rampway/api\n")
    if stale:
        sys.stderr.write("run `make crds` and commit what it changed\n")
    return 1 if stale else 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
