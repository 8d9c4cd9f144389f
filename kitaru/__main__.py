"""`python -m kitaru` is `kitaru`."""

import sys

from kitaru.cli import main

sys.exit(main())
