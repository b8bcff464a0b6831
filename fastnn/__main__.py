"""Entry of ``python -m fastnn``; the command line is ``cli.py``, and nothing else belongs here."""

import sys

from fastnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
