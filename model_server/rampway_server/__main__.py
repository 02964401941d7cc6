"""`python -m rampway_server`: serve one model; options are listed by --help."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType

# Before numpy is imported: each prediction thread gets one thread of linear algebra, as the
# libraries would else start one per core of the node, whatever the pod's CPU limit is.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")


def main() -> int:
    """Run the server; return its exit code."""
    # A container's first process ignores a SIGTERM that it has no handler for.
    signal.signal(signal.SIGTERM, _end)
    from rampway_server import logs, settings
    from rampway_server.errors import StartError

    logs.configure("info")
    termination_log = Path(os.environ.get("RAMPWAY_TERMINATION_LOG") or settings.TERMINATION_LOG)
    try:
        given = settings.load(sys.argv[1:], os.environ)
    except StartError as error:
        logs.tell_end(str(error), termination_log)
        return 1
    logs.configure(given.log_level)
    import uvloop

    from rampway_server import serve

    return uvloop.run(serve.run(given))


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
