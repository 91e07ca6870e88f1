"""The motion dataset both halves of MoDiTalker learn from."""
