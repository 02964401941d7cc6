"""`kubectl rampway version`."""

import typer


def version() -> None:
    """Print the version of this program and of the API that it reads."""
    from rampway import __version__
    from rampway.api.base import API_VERSION

    typer.echo(f"kubectl-rampway {__version__} (API {API_VERSION})")
