"""Faces to edit: from the front, turned, in pixels, and without depth."""
from __future__ import annotations

import numpy as np
import torch
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack


def speaking(frames: int = 50, fps: float = 25.0) -> LandmarkTrack:
    points = torch.from_numpy(mean_face()).float().repeat(frames, 1, 1)
    swing = 0.05 * (1 - torch.cos(2 * torch.pi * 2 * (torch.arange(frames) + 0.5) / fps))
    points[:, [8, 55, 56, 57, 58, 59, 65, 66, 67], 1] -= swing[:, None]
    return LandmarkTrack(points, fps)


def turned(track: LandmarkTrack, degrees: float = 25.0) -> LandmarkTrack:
    a = np.radians(degrees)
    turn = torch.tensor([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]], dtype=torch.float32)
    return track.with_data(track.points @ turn.T)


def pictured(track: LandmarkTrack, depth: float = -150.0) -> LandmarkTrack:
    flat = track.points * torch.tensor([150.0, -150.0, depth]) + torch.tensor([128.0, 120.0, 0.0])
    return LandmarkTrack(flat, track.fps, "pixels", (256, 256))


FACES = {"canonical": speaking, "turned": lambda: turned(speaking()), "pixels": lambda: pictured(turned(speaking())),
         "flat": lambda: pictured(speaking(), 0.0)}
