"""Measures of curves over time."""
from __future__ import annotations

from .arrays import Array, double, same


def jitter(points: Array) -> float:  # [T, ...] or [T, K, D]
    """Mean length of the second difference over time (of vectors along the last axis), over frames where it is known; NaN without
    three known frames in a row."""
    x = double(points)
    x = x[:, None] if x.ndim == 1 else x
    return float((x[2:] - 2 * x[1:-1] + x[:-2]).norm(dim=-1).nanmean()) if len(x) > 2 else float("nan")


def correlation(x: Array, y: Array) -> float:
    """Pearson's r of two curves of equal length; NaN when one of them is constant or shorter than two."""
    x, y = (double(v).flatten() for v in (x, y))
    same(x, y)
    if len(x) < 2 or x.max() == x.min() or y.max() == y.min():
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    return float((x @ y) / (x.norm() * y.norm()))
