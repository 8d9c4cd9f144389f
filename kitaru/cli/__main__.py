"""`python -m kitaru.cli`, for where no `kitaru` script is on the path."""

import sys

from kitaru.cli import main

sys.exit(main())
