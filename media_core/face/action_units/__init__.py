"""Action units: measured, and read from other programs' files."""
