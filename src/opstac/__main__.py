"""`python -m opstac`: the command line."""

import sys

from opstac.cli import main

sys.exit(main())
