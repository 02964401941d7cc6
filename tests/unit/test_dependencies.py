"""What is installed with a part of Rampway is what the part imports, also far below it."""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())
BASE = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]


def imported(part: str) -> set[str]:
    """Return the packages of others that a part imports, itself or by way of ours."""
    graph = grimp.build_graph("rampway", include_external_packages=True)
    found = graph.find_upstream_modules(part, as_package=True)
    roots = {module.partition(".")[0] for module in found}
    return roots - {"rampway"} - set(sys.stdlib_module_names)


def distribution(requirement: str) -> str:
    """Return the name in a requirement, as all spell it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def installed(requirements: list[str]) -> set[str]:
    """Return the packages that these bring, and those that these cannot do without."""
    packages = importlib.metadata.packages_distributions()
    wanted = {distribution(one) for one in requirements}
    for name in tuple(wanted):
        needs = importlib.metadata.requires(name) or []
        wanted |= {distribution(one) for one in needs if "extra ==" not in one}
    return {
        package
        for package, distributions in packages.items()
        if wanted & set(map(distribution, distributions))
    }


@pytest.mark.parametrize(
    ("part", "requirements"),
    [("rampway.cli", BASE), ("rampway.handlers", BASE + EXTRAS["operator"])],
)
def test_a_part_imports_nothing_that_is_not_installed_with_it(
    part: str, requirements: list[str]
) -> None:
    """The plugin is installed without the operator's extras: what they bring it may not need."""
    assert imported(part) - installed(requirements) == set()
