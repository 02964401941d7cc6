"""Entry point of ``python3 -m tools.localcluster``."""

import sys

from tools.localcluster.cli import main

sys.exit(main())
