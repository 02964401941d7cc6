"""Runs inside an image build: installs one application and makes it small.

It needs nothing but the base image's Python. A read-only root file system can hold no bytecode
that is made later, so the bytecode is made here, and checked by import.
"""

import argparse
import importlib
import pkgutil
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

# Bytecode that trusts its source: an image's files never change, and their times may.
MODE = py_compile.PycInvalidationMode.UNCHECKED_HASH
NOT_NEEDED = (
    "*.pyi",
    "*.pyx",
    "*.pxd",
    "*.pxi",
    "*.a",
    "*.h",
    # Of pyarrow, which writes Parquet into memory here: a third of it is ways to other places.
    "libarrow*_flight*",
    "libarrow_s3*",
    "_flight.*.so",
    "_s3fs.*.so",
)


def pip(wheels: Path) -> list[str]:
    """Return the command line of pip: out of its wheel, for a base image that has none."""
    packed = sorted(wheels.glob("pip-*.whl"))
    return [sys.executable, f"{packed[0]}/pip"] if packed else [sys.executable, "-m", "pip"]


def install(requirements: Path, wheels: Path, target: Path) -> None:
    """Install locked requirements into a folder; from ``wheels`` alone when it is there."""
    command = [*pip(wheels), "install", "--require-hashes", "--no-compile", "--no-cache-dir"]
    command += ["--no-deps", "--only-binary=:all:", "--target", str(target)]
    if wheels.is_dir():
        command += ["--no-index", "--find-links", str(wheels)]
    subprocess.run([*command, "--requirement", str(requirements)], check=True)


def strip(target: Path) -> None:
    """Remove tests, stubs, headers and console scripts: nothing of it runs in a container."""
    for folder in [path for path in target.rglob("*") if path.name in {"tests", "test"}]:
        if folder.is_dir():
            shutil.rmtree(folder)
    for pattern in NOT_NEEDED:
        for path in target.rglob(pattern):
            path.unlink()
    shutil.rmtree(target / "bin", ignore_errors=True)


def import_all(package: str) -> set[Path]:
    """Import every module of the application; return the files of all modules that came along."""
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return {Path(file) for file in files if file}


def compile_files(target: Path, imported: set[Path], sparse: list[str]) -> None:
    """Make bytecode of all sources, of ``sparse`` packages only where they were imported."""
    for source in target.rglob("*.py"):
        if source.relative_to(target).parts[0] not in sparse or source in imported:
            # Some packages carry templates that are no Python; they are no failure.
            py_compile.compile(str(source), invalidation_mode=MODE, quiet=2)


def main() -> None:
    """Install, strip, prove by import, compile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--context", type=Path, required=True)
    parser.add_argument("--requirements", required=True)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--compile-only-imported", nargs="*", default=[])
    given = parser.parse_args()
    install(given.context / "requirements" / given.requirements, given.context / "wheels", given.to)
    source = given.context / given.package
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, given.to / source.name, ignore=ignored)
    strip(given.to)
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(given.to))
    compile_files(given.to, import_all(source.name), given.compile_only_imported)


if __name__ == "__main__":
    main()
