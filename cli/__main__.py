"""`python -m talking_heads.cli`."""
import sys

from .main import main

sys.exit(main())
