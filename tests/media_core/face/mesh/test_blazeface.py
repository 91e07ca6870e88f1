"""From the detector's numbers to faces."""
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from talking_heads.media_core.face.mesh.blazeface import anchors, decoded, overlap
from talking_heads.media_core.face.mesh.nets import as_input, exactly

RECORDED = load_file(Path(__file__).resolve().parents[3] / "fixtures" / "face_mesh" / "fixture.safetensors")


def test_the_faces_of_a_portrait_are_the_originals(nets, astronaut):
    """In the original's own small image: every fourth pixel."""
    small = np.ascontiguousarray(astronaut[::4, ::4])
    with exactly(nets.device):
        boxes, logits = nets.detector(as_input(small[None], nets.device) * (2 / 255) - 1)
    found, = decoded(boxes[0].numpy(), logits[0].numpy())
    score, x, y, w, h, *keys = RECORDED["pipeline/astronaut/det"][0].tolist()
    assert found.score == pytest.approx(score, abs=1e-3)
    np.testing.assert_allclose(found.box, np.array([x, y, x + w, y + h]) * 128, atol=0.1)
    np.testing.assert_allclose(found.keys.ravel(), np.array(keys) * 128, atol=0.1)


def test_nothing_is_found_below_the_threshold():
    assert decoded(RECORDED["detector/astronaut/regressors"], np.full(896, -200.0)) == []


def test_overlapping_boxes_become_their_mean_by_score():
    boxes, logits = np.zeros((896, 16)), np.full(896, -200.0)
    boxes[[0, 1, 500], 2:4] = 40
    boxes[1, :2] = 6
    logits[[0, 1]] = [2.0, 1.0]
    logits[500] = 3.0
    far, near = decoded(boxes, logits)
    weight = np.array([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))])
    at = anchors()
    np.testing.assert_allclose(near.box[:2] + 20, weight @ np.stack([at[0], at[1] + 6]) / weight.sum())
    assert near.score == pytest.approx(weight[0]) and far.score > near.score


def test_a_larger_image_has_more_anchors():
    at = anchors(160, 256)
    assert len(at) == 20 * 32 * 2 + 10 * 16 * 6 and at[:3].tolist() == [[4, 4], [4, 4], [12, 4]]
    assert at[-1].tolist() == [248, 152]
    logits = np.full(len(at), -200.0)
    logits[-1] = 3.0
    one, = decoded(np.zeros((len(at), 16)) + np.array([0, 0, 20, 30] + [0] * 12), logits, size=(160, 256))
    np.testing.assert_allclose(one.box, [238, 137, 258, 167])


def test_overlap():
    box, others = np.array([0.0, 0, 2, 2]), np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])
    np.testing.assert_allclose(overlap(box, others), [1, 1 / 3, 0])
