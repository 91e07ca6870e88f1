"""Brows followed by optical flow: nearer to how they move than landmarks that miss a part of it, and no harm where nothing is
found."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from talking_heads.media_core.face.geometry import BROWS
from talking_heads.media_core.face.landmarks.landmarks import RawTrack
from talking_heads.media_core.face.pose.brows import followed_brows, with_brows
from talking_heads.media_core.face.pose.steady import steady
from talking_heads.media_core.face.track import expressed, measure
from talking_heads.media_core.motion import AU_NAMES
from talking_heads.media_core.subject import Subject, perform
from talking_heads.media_core.subject.parameters import INDEX, action_units

SIZE, MISSED = 256, 0.5  # px; part of the brows' movement that the landmarks miss


@pytest.fixture(scope="module")
def film():
    """36 frames of a head whose brows rise and fall: grey images, exact points, points that miss a part of the brows' movement,
    and the action units."""
    import cv2

    subject, spoken = Subject(SIZE, 3, oversampling=1), perform(10.0, 5, engine="formant")
    pictures, exact, resting, units = [], [], [], []
    for i in range(36):
        params = spoken.params[i].copy()
        for name, phase in (("browin", 0.0), ("browout", 1.0)):
            params[INDEX[name]] = 0.25 + 0.25 * np.sin(0.3 * i + phase)
        pose = subject.pose(spoken.euler[3 * i], spoken.translation[3 * i])
        frame = subject.render(params, pose)
        pictures.append(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY))
        exact.append(frame.landmarks2d)
        units.append(action_units(params[None])[0])
        params[[INDEX["browin"], INDEX["browout"]]] = 0.25
        resting.append(subject.render(params, pose).landmarks2d)
    exact, resting = np.stack(exact), np.stack(resting)
    seen = exact.copy()
    seen[:, BROWS] += MISSED * (resting - exact)[:, BROWS]
    return pictures, exact, seen, np.stack(units)


@pytest.fixture(scope="module")
def tracks(film):
    pictures, _, seen, _ = film
    raw = RawTrack(seen.astype(np.float32), np.full(len(seen), .9, np.float32), (SIZE, SIZE), 25.0)
    measured = measure(raw)
    return measured, steady(measured, lambda i: pictures[i])[0]


def error(points, exact):  # rows of the brows, without what never changes
    off = (points - exact)[:, BROWS, 1]
    return float((off - off.mean(0)).std())


def test_brows_move_as_they_do(film, tracks):
    _, exact, seen, _ = film
    steadied = tracks[1].landmarks.points[..., :2].numpy()
    assert error(steadied, exact) < 0.6 * error(seen, exact), (error(steadied, exact), error(seen, exact))
    np.testing.assert_allclose(np.median(steadied[:, BROWS], 0), np.median(seen[:, BROWS], 0), atol=0.6)


def test_units_of_the_brows_are_read_from_them(film, tracks):
    measured, steadied = tracks
    known = expressed(steadied, measured)
    unit = AU_NAMES.index("AU02")
    before, after = (np.corrcoef(t.expression.au[:, unit], film[3][:, unit])[0, 1] for t in (measured, known))
    assert after > before - 0.02 and after > 0.9, (before, after)
    trust = dict(zip(AU_NAMES, known.expression.reliability)), dict(zip(AU_NAMES, measured.expression.reliability))
    assert all(trust[0][name] >= trust[1][name] for name in AU_NAMES) and trust[0]["AU04"] > trust[1]["AU04"]
    lips = [AU_NAMES.index(name) for name in ("AU25", "AU26", "AU45")]
    torch.testing.assert_close(known.expression.au[:, lips], measured.expression.au[:, lips], atol=0.2, rtol=0)


def test_the_mesh_keeps_its_units(tracks):
    measured, steadied = (replace(track, tracker="people") for track in tracks)
    assert expressed(steadied, measured) is steadied


def test_frames_without_a_face_have_no_units(tracks):
    measured, steadied = tracks
    confidence = measured.confidence.clone()
    confidence[7] = 0
    known = expressed(replace(steadied, confidence=confidence), measured)
    assert torch.isnan(known.expression.au[7]).all() and torch.isfinite(known.expression.au[6]).all()


def test_nothing_found_leaves_the_landmarks_movement(film, tracks):
    _, _, seen, _ = film
    measured = tracks[0]
    lost = np.full((4, len(seen), 10, 2), np.nan, np.float32)
    out = with_brows(seen, lost, measured.pose, measured.shape)
    others = np.ones(68, bool)
    others[BROWS] = False
    np.testing.assert_array_equal(out[:, others], seen[:, others])
    assert np.abs(out - seen)[:, BROWS].mean() < 0.25 and np.isfinite(out).all()  # linear along the brow, smoothed


def test_a_wrong_match_is_lost(film):
    pictures, _, seen, _ = film
    same = followed_brows(pictures[0], pictures[0], seen[0], seen[0])
    np.testing.assert_allclose(same, seen[0, BROWS], atol=0.05)
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE), dtype=np.uint8)
    assert np.isnan(followed_brows(pictures[0], noise, seen[0], seen[0])[:, 0]).sum() >= 8
