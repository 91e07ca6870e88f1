"""Measures of talking videos. Those of images, landmarks, action units and curves need no weights and are exported here; what
each one means, with its source, is in docs/metrics.md. A measure that is undefined for its inputs is NaN, never a stand-in.
"""
from .arrays import Array
from .curves import correlation, jitter
from .faces import EYE_CORNERS, EYES, INNER_GAPS, MOUTH, eye_aperture, f_lmd, lip_aperture, lmd, lve
from .images import psnr, ssim
from .units import SPLITS, AuError, aue

__all__ = ["Array", "AuError", "EYES", "EYE_CORNERS", "INNER_GAPS", "MOUTH", "SPLITS", "aue", "correlation", "eye_aperture",
           "f_lmd", "jitter", "lip_aperture", "lmd", "lve", "psnr", "ssim"]
