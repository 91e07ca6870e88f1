"""The registry of rasteriser back ends: the names that menus and `--backend` offer.

Adding a back end takes a file in rasterizer/ and its name here (docs/adding.md). This module imports nothing, since node menus
and `--help` read it.
"""
from __future__ import annotations

# Modules of hmtalker_core/rasterizer that define BACKEND, in the order in which "auto" tries them: it takes the first that works,
# so that what stands behind "cpu" is used where it is asked for by name.
BACKENDS = ("cuda_gsplat", "triton", "cpu", "reference")
CHOICES = ("auto", *sorted(BACKENDS))  # for menus
