"""The kubectl plugin: `kubectl rampway VERB`."""


def main() -> None:
    """Run the plugin; kubectl finds it as the program `kubectl-rampway`."""
    from rampway.cli.app import run

    run()
