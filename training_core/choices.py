"""Choices that the cores check and that menus and the command line offer. Imports nothing, so that showing them costs nothing."""
from __future__ import annotations

PRESETS = ("demo", "standard", "published")  # of every training: a CPU; one GPU; the papers' own schedule
CHECKPOINTING = ("auto", "on", "off")  # whether activations are computed again for the gradient; auto: where memory is short
FUSIONS = ("gate", "concat", "fixed", "implicit", "explicit")  # of an avatar's two codes
CUES = ("au", "blendshapes", "vector")  # what an avatar's explicit code is made of
WINDOWS = ("centred", "causal")  # which frames of audio an avatar hears: around its own, or up to it
DENSIFY = ("grow", "mcmc")  # how Gaussians multiply
PRIORS = ("auto", "speech", "avatar")  # what an avatar's motion nets begin with; auto: the avatar prior where it fits
