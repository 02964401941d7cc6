"""Run the operator: `python -m rampway`."""

import sys

from rampway.handlers import main

if __name__ == "__main__":
    sys.exit(main())
