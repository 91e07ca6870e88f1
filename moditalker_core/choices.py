"""Choices that the cores check and that menus and the command line offer. Imports nothing, so that showing them costs nothing."""
from __future__ import annotations

SAMPLERS = ("ddim", "ddim0", "dpm++", "unipc")  # ddim0: DDIM with eta 0
STAGES = ("rgb", "gan", "landmarks", "diffusion")  # of MToV's training, in this order
CROPS = ("still", "following")  # the square around the face: one per clip, or one that moves along, slowly
