"""Write requirements/*.txt, with hashes and without any index's address, from pyproject.toml.

`dev` holds everything; the images take subsets of exactly the same versions. The model
server's images get their extras alone: it must not carry the Kubernetes client.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = [
    "--python-version=3.11",
    "--universal",
    "--generate-hashes",
    "--no-header",
    "--no-annotate",
    "--quiet",
    "--no-emit-index-url",
    "--no-emit-find-links",
]


def compile_lock(name: str, requirements: list[str], constraints: Path | None = None) -> Path:
    """Resolve `requirements` to requirements/`name`.txt, held to the versions in `constraints`."""
    out = ROOT / "requirements" / f"{name}.txt"
    command = ["uv", "pip", "compile", "-", *FLAGS, "--output-file", str(out)]
    if constraints is not None:
        command += ["--constraints", str(constraints)]
    subprocess.run(command, input="\n".join(requirements), text=True, check=True)
    return out


def main() -> int:
    """Write the lock files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    base = project["project"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    groups = project["dependency-groups"]
    full = [one for one in extras["server-full"] if not one.startswith("rampway")]
    full += extras["server"]
    everything = compile_lock(
        "dev", base + extras["operator"] + full + groups["dev"] + ["hatchling"]
    )
    compile_lock("operator", base + extras["operator"], everything)
    compile_lock("server", extras["server"], everything)
    compile_lock("server-full", full, everything)
    return 0


if __name__ == "__main__":
    sys.exit(main())
