"""Writes crds/ and the API's reference page from the models: `python -m rampway.api.crds`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rampway.api.base import GROUP, VERSION
from rampway.api.definitions import DEFINITIONS, Definition
from rampway.api.docs import page
from rampway.api.schema import Schema, structural

MAX_BYTES = 200 * 1024
"""A CRD above this does not fit the annotation in which client-side apply keeps it."""
_MADE = "# Made from operator/rampway/api by `make crds`; change it there.\n"
_COLUMN_TYPES = {"Age": "date", "Weight%": "integer"}


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
            "scope": "Namespaced" if definition.namespaced else "Cluster",
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
        **({"subresources": _subresources(definition)} if definition.status else {}),
        "additionalPrinterColumns": [_column(definition, name) for name in definition.columns],
        "schema": {"openAPIV3Schema": root_schema(definition)},
    }


def _column(definition: Definition, name: str) -> dict[str, Any]:
    column = {"name": name, "type": _COLUMN_TYPES.get(name, "string")}
    rank = {"priority": 1} if name in definition.wide else {}
    return {**column, "jsonPath": definition.columns[name], **rank}


def _subresources(definition: Definition) -> dict[str, Any]:
    return {"status": {}} | ({"scale": dict(definition.scale)} if definition.scale else {})


def root_schema(definition: Definition) -> Schema:
    """Return the structural schema of a whole object."""
    status = {"status": structural(definition.status, defaults=False)} if definition.status else {}
    return {
        "type": "object",
        "description": definition.description,
        "required": ["metadata", "spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{definition.kind}."},
            # Its name is here only so that a rule may point at it.
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": structural(definition.spec),
            **status,
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
