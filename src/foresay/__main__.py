"""`python -m foresay` is the command `foresay`."""

import sys

from foresay.cli import main

sys.exit(main())
