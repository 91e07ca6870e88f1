"""AToM: speech and a face become motion (MoDiTalker, the first half). Start reading at generation.py."""
