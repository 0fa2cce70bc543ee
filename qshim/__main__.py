"""`python -m qshim`: the same as the `qshim` command."""

import sys

from qshim.cli import main

if __name__ == "__main__":
    sys.exit(main())
