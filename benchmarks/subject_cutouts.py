"""Makes media_core/subject/portrait.npz: cuts head and suit out of the portrait with GrabCut, around the outlines drawn by hand.

Usage: python benchmarks/subject_cutouts.py POINTS.npz OUT.npz
POINTS.npz holds `points` [478, 3]; the shipped portrait.npz itself will do.
"""
from __future__ import annotations

import sys

import numpy as np
from talking_heads.media_core.subject.layout import JAW_EDGE
from talking_heads.media_core.subject.portrait import BOTTOM, HAIR, LEFT, NECK, RIGHT, TOP, TORSO, enlarge, filled, grown, shrunk


def cut_out(big: np.ndarray, drawn: np.ndarray, sure: int, maybe: int) -> np.ndarray:
    """GrabCut from a drawn mask: `sure` px inside its edge is foreground, `maybe` px outside may be. -> uint8 0/255"""
    import cv2
    labels = np.full(drawn.shape, cv2.GC_BGD, np.uint8)
    solid = (drawn > 127).astype(np.uint8)
    labels[grown(solid, maybe) > 0] = cv2.GC_PR_BGD
    labels[solid > 0] = cv2.GC_PR_FGD
    labels[shrunk(solid, sure) > 0] = cv2.GC_FGD
    cv2.setRNGSeed(7)
    cv2.grabCut(big, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    return (((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)) * 255).astype(np.uint8)


def main(points_path: str, out_path: str) -> None:
    from skimage import data
    points = np.load(points_path)["points"].astype(np.float64)
    big = enlarge(data.astronaut()[TOP:BOTTOM, LEFT:RIGHT].copy())
    shape = big.shape[:2]
    head = cut_out(big, filled(shape, np.vstack([HAIR, points[JAW_EDGE[::-1], :2]])), 41, 33)
    rough = filled(shape, TORSO)
    rough[filled(shape, NECK) > 0] = 255
    torso = cut_out(big, rough, 25, 13)
    np.savez_compressed(out_path, points=points.astype(np.float32), head=np.packbits(head > 0), torso=np.packbits(torso > 0))
    print(out_path, "head", round((head > 0).mean(), 4), "torso", round((torso > 0).mean(), 4))


if __name__ == "__main__":
    main(*sys.argv[1:3])
