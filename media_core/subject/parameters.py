"""The 22 numbers that pose the face, and the 17 action units that follow from them exactly."""
from __future__ import annotations

import numpy as np

PARAMS = ("jaw", "la", "prot", "stretch", "smile", "frown", "dimple", "press", "chin", "upraise", "nose", "fv", "tongue",
          "browin", "browout", "browlow", "lidraise", "cheek", "lidtight", "blink", "gazex", "gazey")
"""jaw: opening, la: lip aperture (both photo pixels, about 0..14; 1 px is 1.48 mm); prot: protrusion; fv: lower lip under the
upper teeth; gazex, gazey -1..1; all others 0..1."""

INDEX = {name: i for i, name in enumerate(PARAMS)}

AU_NAMES = ("AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23",
            "AU25", "AU26", "AU45")


def action_units(params: np.ndarray) -> np.ndarray:  # [..., 22] -> [..., 17]
    """OpenFace-like intensities 0..5 in the order of `AU_NAMES`; exact by construction."""
    def get(name: str) -> np.ndarray:
        return params[..., INDEX[name]]

    units = [get("browin"), get("browout"), get("browlow"), get("lidraise"), get("cheek"), get("lidtight"), get("nose"),
             get("upraise"), get("smile"), get("dimple"), get("frown"), get("chin"), get("stretch"),
             np.maximum(get("press"), 0.55 * get("prot")), get("la") / 14, get("jaw") / 13, get("blink")]
    return np.clip(5 * np.stack(units, -1), 0, 5)
