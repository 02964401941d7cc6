"""`python -m rampway_server`: serve one model; options are listed by --help."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rampway_server.settings import Settings

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
    return _serve(given, settings.worker_count(given))


def _serve(given: "Settings", workers: int) -> int:
    import uvloop

    from rampway_server import door, serve
    from rampway_server.errors import StartError
    from rampway_server.logs import tell_end
    from rampway_server.workers import FAILED, run

    try:
        listening = door.listen(given)
    except StartError as error:
        tell_end(str(error), given.termination_log)
        return FAILED
    return run(workers, listening, lambda place: uvloop.run(serve.run(given, place)))


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
