"""Frames as an exported page's player draws them, and the player itself."""
from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Page

PLAYER = "document.getElementById('player').player"
_DRAWN = f"""([frame, view]) => {{
  const {{ renderer }} = {PLAYER}
  renderer.resize(1)
  renderer.draw(frame, view || undefined)
  const pixels = renderer.pixels()
  let text = ''
  for (let i = 0; i < pixels.length; i += 8192) text += String.fromCharCode(...pixels.subarray(i, i + 8192))
  return btoa(text)
}}"""


def drawn(page: Page, size: tuple[int, int], frame: int,
          view: dict[str, float] | None = None) -> np.ndarray:  # float [H, W, 3] 0..1
    """A frame at the avatar's size (height, width), from the graphics card; `view`: yaw and pitch in degrees."""
    pixels = np.frombuffer(base64.b64decode(page.evaluate(_DRAWN, [frame, view])), np.uint8)
    return pixels.reshape(*size, 4)[..., :3] / 255
