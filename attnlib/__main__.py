"""``python -m attnlib``: the command ``attnlib``, where its script is not on the path."""

import sys

from attnlib.cli import main

if __name__ == "__main__":
    sys.exit(main())
