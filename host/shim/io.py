"""`comfy_api.latest.io`: the names a V3 pack uses to define its nodes."""
from __future__ import annotations

from .io_base import (  # noqa: F401
    ComfyType,
    ControlAfterGenerate,
    Custom,
    FolderType,
    Input,
    NumberDisplay,
    Output,
    UploadType,
    WidgetInput,
    comfytype,
    named_type,
)
from .io_dynamic import AnyType, DynamicCombo, MatchType  # noqa: F401
from .io_schema import ComfyNode, Hidden, HiddenHolder, NodeOutput, NodeReplace, Schema  # noqa: F401
from .io_widgets import Boolean, Color, Combo, Float, Int, MultiType, String  # noqa: F401

Image = named_type("Image", "IMAGE")
Mask = named_type("Mask", "MASK")
Latent = named_type("Latent", "LATENT")
Audio = named_type("Audio", "AUDIO")
Video = named_type("Video", "VIDEO")
Model = named_type("Model", "MODEL")
Vae = named_type("Vae", "VAE")
Mesh = named_type("Mesh", "MESH")
Splat = named_type("Splat", "SPLAT")
AudioEncoder = named_type("AudioEncoder", "AUDIO_ENCODER")
AudioEncoderOutput = named_type("AudioEncoderOutput", "AUDIO_ENCODER_OUTPUT")
Load3DCamera = named_type("Load3DCamera", "LOAD3D_CAMERA")
