"""`python -m rampway_server`: serve one model; options are listed by --help."""

import os
import sys
from pathlib import Path

# Before numpy is imported: each prediction thread gets one thread of linear algebra, as the
# libraries would else start one per core of the node, whatever the pod's CPU limit is.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")


def main() -> int:
    """Run the server; return its exit code."""
    from rampway_server import logs, settings
    from rampway_server.errors import StartError

    logs.configure(os.environ.get("RAMPWAY_LOG_LEVEL", "info"))
    try:
        given = settings.load(sys.argv[1:], os.environ)
        logs.configure(given.log_level)
        import uvloop

        from rampway_server import serve

        return uvloop.run(serve.run(given))
    except StartError as error:
        from rampway_server.serve import tell_end

        default = "/dev/termination-log"
        tell_end(str(error), Path(os.environ.get("RAMPWAY_TERMINATION_LOG") or default))
        return 1


if __name__ == "__main__":
    sys.exit(main())
