"""The motion data set both halves of MoDiTalker learn from."""
