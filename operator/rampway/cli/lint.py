"""`kubectl rampway lint FILE…`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rampway.cli import terminal
from rampway.cli.exits import ExitCode
from rampway.cli.options import (
    Context,
    Files,
    Format,
    InCluster,
    Kubeconfig,
    Namespace,
    Output,
    Rate,
    Strict,
)

if TYPE_CHECKING:
    from rampway.cli.linting import Checked, Finding
    from rampway.kube.base import KubeApi


def lint(
    files: Files,
    *,
    rps: Rate = None,
    strict: Strict = False,
    cluster: InCluster = False,
    output: Output = Format.TABLE,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Find mistakes in files offline, by the rules of the API, and what may surprise."""
    from rampway.cli.linting import lint as checked

    found = [(name, checked(name, _text(name), rps)) for name in files]
    findings = [finding for _, one in found for finding in one.findings]
    code = ExitCode.OK
    if cluster:

        async def work(api: "KubeApi", space: str) -> ExitCode:
            for name, one in found:
                findings.extend(await _verdicts(api, space, name, one))
            return ExitCode.OK

        run = terminal.logged_in(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
        code = terminal.guarded(run, needed="create Rampway's kinds")
    findings.sort(key=lambda one: (files.index(one.file), one.line))
    _print(findings, output)
    if output in {Format.TABLE, Format.WIDE}:
        strangers = sum(one.strangers for _, one in found)
        typer.echo(_summary(findings, strangers, asked=code is ExitCode.OK))
    raise typer.Exit(code or _code(findings, strict=strict))


def _text(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        from rampway.cli.words import why

        terminal.complain(f"error: {name} cannot be read: {why(err)}")
        raise typer.Exit(ExitCode.UNREADABLE) from err


async def _verdicts(
    api: "KubeApi", namespace: str, file: str, checked: "Checked"
) -> "list[Finding]":
    """Return what the API server says to a dry run of each object."""
    from rampway.cli.doubts import Level
    from rampway.cli.linting import Finding, named, served
    from rampway.kube.errors import AlreadyExists, KubeError, Transient

    said = []
    for document, content in checked.objects:
        kind = served(content)
        if kind is None:
            continue  # a mistake, and told as one
        meta = dict(content.get("metadata") or {})
        if kind.namespaced:
            meta = {"namespace": namespace} | meta
        level, text = Level.NOTE, "the API server accepts it (dry run)"
        try:
            await api.create(kind, {**content, "metadata": meta}, dry_run=True)
        except AlreadyExists:
            text = "the API server accepts it as a new object; it exists (dry run)"
        except Transient:
            raise
        except KubeError as err:
            level, text = Level.ERROR, f"the API server: {err}"
        said.append(Finding(file, document.line(), level, text, named(content)))
    return said


def _print(findings: "list[Finding]", output: Format) -> None:
    from dataclasses import asdict

    from rampway.cli.printing import dump
    from rampway.cli.words import clean

    if output in {Format.JSON, Format.YAML}:
        typer.echo(dump([{**asdict(one), "level": one.level.value} for one in findings], output))
        return
    for one in findings:
        about = f"{one.about}: " if one.about and output is Format.WIDE else ""
        typer.echo(f"{one.file}:{one.line}: {one.level}: {about}{clean(one.text)}")


def _summary(findings: "list[Finding]", strangers: int, *, asked: bool) -> str:
    """Return the last line; `asked`: whoever was to be asked, was."""
    parts = [
        _many(sum(one.level == level for one in findings), what)
        for level, what in (("error", "mistake"), ("warning", "warning"))
    ]
    parts += [f"{_many(strangers, 'object')} not checked"] if strangers else []
    text = ", ".join(parts)
    return text if asked else f"{text} in the files; the API server was not asked"


def _many(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _code(findings: "list[Finding]", *, strict: bool) -> ExitCode:
    bad = {"error", "warning"} if strict else {"error"}
    return ExitCode.FAILED if any(one.level in bad for one in findings) else ExitCode.OK
