"""The lips: four rings of points set from the mouth's parameters, starting from a mouth with the photo's smile taken out.

Lengths are photo pixels in the face's own frame: x to the subject's left, y down, z away from the viewer.
"""
from __future__ import annotations

import numpy as np

from .layout import LIPS
from .parameters import INDEX


class Lips:
    """The rest shape of one mouth, measured from its mesh, and the shape for any parameters.

    Args:
        mesh: [>=468, 3].
        smile: how much the photo smiles, 0..1; 1 is the astronaut's smile.
    """

    def __init__(self, mesh: np.ndarray, smile: float = 1.0):
        self.smile = smile
        rings = mesh[LIPS]
        inner = rings[3]
        self.rest = rings                                              # [4, 20, 3] as in the photo
        self.centre = (inner[0] + inner[10]) / 2                       # between the corners
        half = (inner[10, 0] - inner[0, 0]) / 2
        self.across = np.clip((inner[:, 0] - self.centre[0]) / half, -1, 1)  # [20] -1 right corner .. 1 left corner
        self.upper = np.arange(20) > 10
        self.lower = (np.arange(20) > 0) & (np.arange(20) < 10)
        height = rings[:, :, 1] + 6.2 * smile * self.across ** 2 - .9 * smile  # the smile undone: corners down
        top, bottom = self._profile(height, self.upper), self._profile(height, self.lower)
        self.seam = top + 0.52 * (bottom - top)                        # [20] where the closed lips meet
        self.thickness = height - height[3]                            # [4, 20] signed, from the inner ring outwards

    def _profile(self, height: np.ndarray, lip: np.ndarray) -> np.ndarray:  # -> [20]
        """The inner edge of one lip as a curve over all 20 places."""
        order = np.argsort(self.across[lip], kind="stable")
        places = np.concatenate([[-1], self.across[lip][order], [1]])
        return np.interp(self.across, places, np.concatenate([[height[3, 0]], height[3][lip][order], [height[3, 10]]]))

    def shape(self, params: np.ndarray) -> np.ndarray:  # [22] -> [4, 20, 3]
        """The rings for one set of parameters."""
        v = {name: float(params[i]) for name, i in INDEX.items()}
        rings = self.rest.copy()
        rings[:, :, 0] = self._across(v)
        rings[:, :, 1] = self._edges(v)[None] + self.thickness * self._fullness(v)[None]
        bow = self.across ** 2
        low = self.lower.astype(float)
        rings[:, :, 2] += -2.0 * bow - 5.5 * v["prot"] * (1 - .55 * bow) + 2.2 * v["smile"] * bow
        rings[:, :, 2] += low * (1.2 * v["fv"] + .18 * v["jaw"])
        rings[:, :, 1] -= 1.6 * v["chin"] * np.where(self.lower, 1, .3) * (1 - .6 * bow)
        return rings

    def _across(self, v: dict[str, float]) -> np.ndarray:  # -> [4, 20]
        """x: wider in smiles and "ee", narrower in "oo", where the inner rings close in more."""
        width = (1 - .14 * self.smile) * (1 + .13 * v["stretch"] + .13 * v["smile"] - .36 * v["prot"] + .02 * v["dimple"])
        pucker = 1 - .24 * v["prot"] * np.array([0, .25, .65, 1.0])[:, None]
        return self.centre[0] + (self.rest[:, :, 0] - self.centre[0]) * width * pucker

    def _edges(self, v: dict[str, float]) -> np.ndarray:  # -> [20]
        """y of the inner edges: lip aperture, corners, upper-lip raise, lower lip under the teeth."""
        size = np.abs(self.across)
        arch_up, arch_low = 1 - size ** 2.6, 1 - size ** (2.0 + 0.8 * v["stretch"])
        base = self.seam + size ** 2 * (0.30 * v["jaw"] - 4.6 * v["smile"] + 2.6 * v["frown"] - 0.6 * v["dimple"])
        top = base - arch_up * (0.17 * v["la"] + 2.6 * v["upraise"] + 1.6 * v["fv"])
        bottom = base + arch_low * (0.83 * v["la"] * (1 - v["fv"]) - 0.7 * v["fv"])
        return np.where(self.upper, top, np.where(self.lower, np.maximum(bottom, top), base))

    def _fullness(self, v: dict[str, float]) -> np.ndarray:  # -> [20]
        """Thickness factor: pressed and stretched lips are thin, rounded ones full."""
        common = 1 - .42 * v["press"] - .10 * v["stretch"] - .12 * v["smile"]
        top = (1 + .30 * self.smile) * (common + .22 * v["prot"]) * (1 - .010 * v["la"])
        bottom = (1 + .22 * self.smile) * (common + .28 * v["prot"] - .45 * v["fv"]) * (1 - .008 * v["la"])
        return np.where(self.upper, top, np.where(self.lower, bottom, 1 + .15 * self.smile))
