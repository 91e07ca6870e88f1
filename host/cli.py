"""The command line's former place: `python -m talking_heads.host.cli` still works; the commands are in `cli/`."""
from __future__ import annotations

import sys

from ..cli.main import main

if __name__ == "__main__":
    sys.exit(main())
