"""Damaged files for every reader; see attack.py and benchmarks/fuzz.py."""
