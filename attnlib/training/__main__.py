"""``python -m attnlib.training``."""

import sys

from attnlib.training.command import main

if __name__ == "__main__":
    sys.exit(main())
