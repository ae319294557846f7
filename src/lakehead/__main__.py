"""`python -m lakehead` is the `lakehead` command."""

import sys

from lakehead.cli import main

if __name__ == "__main__":
    sys.exit(main())
