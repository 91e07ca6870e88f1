"""Choices that the cores check and that menus and the command line offer. Imports nothing, so that showing them costs nothing."""
from __future__ import annotations

SAMPLERS = ("ddim", "ddim0", "dpm++", "unipc")  # ddim0: DDIM with eta 0
FINE_TUNING = "finetune"  # the preset of AToM that continues good weights, gently
STAGES = ("rgb", "gan", "landmarks", "diffusion")  # of MToV's training, in this order
CROPS = ("still", "following")  # the square around the face: one per clip, or one that moves along, slowly
CARRIERS = ("picture", "redraw")  # of a video: the picture's own pixels, moved by landmarks; or MToV, which draws them
NOISES = ("shared", "own")  # with which MToV's clips begin: one and the same, which keeps its looks, or each its own
RESIZES = ("filtered", "bilinear")  # how images larger than MToV's are downscaled
RESIDUALS = ("auto", "on", "off")  # MToV's detail residual; auto: as its weights say
BOUNDARY_CORRECTION = 1.0  # 0..1, of what neighbouring clips of MToV differ by
LIFE = 1.0  # 0..1, head sway and blinks of a still portrait


def residual(choice: str) -> bool | None:
    """One of RESIDUALS as `VideoSettings.anchored` takes it."""
    return {"auto": None, "on": True, "off": False}[choice]
