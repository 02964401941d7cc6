"""Compare the CRDs with those of the last release: what was valid stays valid, and nothing is lost.

    python3 -m tools.compatibility             # part of `make check`
    python3 -m tools.compatibility --release   # write down the present ones, once per release

Descriptions do not count. A rule (CEL) is known by its message: one with a new message may refuse
what is stored, one that is only put differently is left to the tests of the API. So is one that
speaks of a field that is new beside it: who does not use that field should not meet the rule.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CRDS = ROOT / "crds"
RELEASED = CRDS / "released"

Schema = Mapping[str, Any]

LOWER = ("maximum", "maxLength", "maxItems", "maxProperties")
"""Bounds that tighten by falling, or by being new."""
HIGHER = ("minimum", "minLength", "minItems", "minProperties")
"""Bounds that tighten by rising, or by being new."""
PATTERN = ("pattern",)
FIXED = (
    "type",
    "format",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string",
)
"""What may not change at all: it says how stored objects are read and merged."""


def of_crds(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> Iterator[str]:
    """Yield what an object of the old CRDs, both by name, would suffer from under the new ones."""
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            yield f"{name}: the kind is gone"
            continue
        for part in ("group", "scope", "names"):
            if before["spec"][part] != after["spec"][part]:
                yield f"{name}: {part} changed"
        served = {v["name"]: v for v in after["spec"]["versions"] if v["served"]}
        for version in before["spec"]["versions"]:
            now = served.get(version["name"])
            if now is None:
                yield f"{name}: version {version['name']} is not served any more"
            else:
                yield from _of_version(f"{name} {version['name']}", version, now)


def _of_version(where: str, old: Schema, new: Schema) -> Iterator[str]:
    kept = new.get("subresources", {})
    for name, paths in old.get("subresources", {}).items():
        if kept.get(name) != paths:
            yield f"{where}: the subresource {name} changed"
    yield from of_schemas(where, old["schema"]["openAPIV3Schema"], new["schema"]["openAPIV3Schema"])


def of_schemas(where: str, old: Schema, new: Schema) -> Iterator[str]:
    """Yield what was valid under the old schema and is not, or is dropped, under the new one."""
    yield from _of_values(where, old, new)
    yield from _of_rules(where, old, new)
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{where}.{name}: required, and was not"
    for name, schema in before.items():
        if name in after:
            yield from of_schemas(f"{where}.{name}", schema, after[name])
        elif not new.get(_OPEN):
            yield f"{where}.{name}: the field is gone"
    for inner, shown in (("items", "[]"), ("additionalProperties", ".*")):
        if inner in old and inner not in new and not new.get(_OPEN):
            yield f"{where}{shown}: gone"
        elif inner in old and inner in new:
            yield from of_schemas(f"{where}{shown}", old[inner], new[inner])


_OPEN = "x-kubernetes-preserve-unknown-fields"


def _of_values(where: str, old: Schema, new: Schema) -> Iterator[str]:
    tightened = [key for key in FIXED if old.get(key) != new.get(key)]
    for keys, tightens in ((LOWER, int.__lt__), (HIGHER, int.__gt__), (PATTERN, str.__ne__)):
        given = [key for key in keys if key in new]
        tightened += [key for key in given if key not in old or tightens(new[key], old[key])]
    if not _within(old.get("default"), new.get("default")):
        tightened.append("default")
    for key in tightened:
        yield f"{where}: {key} was {_told(old.get(key))}, is {_told(new.get(key))}"
    if "enum" in new:
        gone = [value for value in old.get("enum", ["anything"]) if value not in new["enum"]]
        if gone:
            yield f"{where}: no longer one of its values: {', '.join(map(str, gone))}"
    for key in (_OPEN, "nullable"):
        if old.get(key) and not new.get(key):
            yield f"{where}: {key} is gone"


def _of_rules(where: str, old: Schema, new: Schema) -> Iterator[str]:
    known = {rule["message"] for rule in old.get("x-kubernetes-validations", ())}
    fields = new.get("properties", {}).keys() - old.get("properties", {}).keys()
    for rule in new.get("x-kubernetes-validations", ()):
        about_new = fields & set(re.findall(r"\bself\.(\w+)", rule["rule"]))
        if rule["message"] not in known and not about_new:
            yield f"{where}: a new rule: {rule['message']}"


def _within(old: Any, new: Any) -> bool:
    """Whether a default is as it was, but for fields that came later with defaults of their own."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and _within(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_within, old, new))
    return bool(old == new)


def _told(value: Any) -> str:
    return "not given" if value is None else str(value)


def present() -> dict[str, Schema]:
    """Return the CRDs in crds/, by name."""
    return _by_name([_load(path)[0] for path in sorted(CRDS.glob("*.yaml"))])


def released(version: str) -> dict[str, Schema]:
    """Return the CRDs of a release, by name."""
    return _by_name(_load(RELEASED / f"{version}.yaml"))


def _load(path: Path) -> list[Any]:
    # libyaml's loader: the pure one takes seconds for these files
    return list(yaml.load_all(path.read_text(), yaml.CSafeLoader))


def _by_name(found: Sequence[Any]) -> dict[str, Schema]:
    crds = [one for one in found if one["kind"] == "CustomResourceDefinition"]
    return {one["metadata"]["name"]: one for one in crds}


def last_release() -> str:
    """Return the newest version whose CRDs are written down."""
    versions = [path.stem for path in RELEASED.glob("*.yaml")]
    return max(versions, key=lambda version: tuple(map(int, version.split("."))))


def bare(found: Any) -> Any:
    """Return a CRD without its texts: keys named `description` whose value is one."""
    if isinstance(found, list):
        return [bare(value) for value in found]
    if not isinstance(found, dict):
        return found
    texts = {"description"} if isinstance(found.get("description"), str) else set()
    return {key: bare(value) for key, value in found.items() if key not in texts}


def write_release() -> None:
    """Write the present CRDs down as those of the version in pyproject.toml."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    head = f"# The CRDs of {version} without their texts, by python3 -m tools.compatibility.\n"
    RELEASED.mkdir(exist_ok=True)
    text = yaml.dump_all(map(bare, present().values()), Dumper=yaml.CSafeDumper, width=100)
    (RELEASED / f"{version}.yaml").write_text(head + text)


def main() -> int:
    """Compare, or with --release write down; return the exit code."""
    if "--release" in sys.argv[1:]:
        write_release()
        return 0
    version = last_release()
    wrong = list(of_crds(released(version), present()))
    print("\n".join(wrong), end="\n" if wrong else "")
    if wrong:
        print(
            f"expected everything that {version} took to be taken: make it optional or wider, or "
            f"serve a new version of the API. Only while {version} is not released yet: "
            "python3 -m tools.compatibility --release"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
