"""Masks against the synthetic subject's truth, and what must not change them: threads, restarts, chunks, place in the image."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.masks import masks as masks_module
from talking_heads.media_core.face.masks.guided import Guide, planes
from talking_heads.media_core.face.masks.look import Hanging, learn_look, likelihoods
from talking_heads.media_core.face.masks.masks import PALETTE, HeadMasker, from_parsing, parsing_png, video_look
from talking_heads.media_core.face.masks.mouth_inside import mouth_inside
from talking_heads.media_core.face.masks.parts import _body, _coat, _hair_outside, _Zones
from talking_heads.media_core.face.masks.person import View
from talking_heads.media_core.face.masks.pieces import worn
from talking_heads.media_core.face.masks.regions import above_jaw, head_axes
from talking_heads.media_core.subject import PARAMS, Subject, perform

SIZE, FRAMES, NOISE = 256, 12, 0.015  # pixels, frames, mean error of the points in distances of the eyes' outer corners
HEAD = (1, 4, 5)                      # of the subject's classes


@pytest.fixture(scope="module")
def film():
    """(frames, points with noise) of an identity that nothing was tuned on."""
    acted, subject = perform(2.0, 11, engine="formant"), Subject(SIZE, 333)
    rng, frames, points = np.random.default_rng(0), [], []
    for i in range(4, 4 + FRAMES):
        frame = subject.render(acted.params[i], subject.pose(acted.euler[i] * 2, acted.translation[i]), acted.sway[i])
        corners = np.linalg.norm(frame.landmarks2d[36] - frame.landmarks2d[45])
        frames.append(frame)
        points.append(frame.landmarks2d + rng.normal(0, NOISE * corners / 1.2533, (68, 2)))
    return frames, points


@pytest.fixture(scope="module")
def look(film):
    return learn_look([(film[0][i].rgb, film[1][i]) for i in (0, 5, 11)])


@pytest.fixture
def threads():
    before = cv2.getNumThreads()
    yield cv2.setNumThreads
    cv2.setNumThreads(before)


def iou(a, b) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def equal(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values()))


def test_regions_agree_with_the_truth(film, look):
    masker = HeadMasker((SIZE, SIZE), look)
    for frame, points in list(zip(*film))[::4]:
        masks, truth = masker(frame.rgb, points), frame.classes
        assert iou(masks.head, np.isin(truth, HEAD)) > 0.965
        assert iou(masks.person, truth > 0) > 0.975
        assert iou(masks.hair, truth == 5) > 0.8
        assert iou(masks.torso, np.isin(truth, (2, 3))) > 0.94
        assert iou(masks.neck, truth == 2) > 0.5


def test_regions_nest_and_cover(film, look):
    masks = HeadMasker((SIZE, SIZE), look)(film[0][2].rgb, film[1][2])
    assert not (masks.mouth & ~masks.head).any() and not (masks.hair & ~masks.head).any()
    assert not (masks.teeth & ~masks.mouth).any() and not (masks.neck & ~masks.torso).any()
    assert not (masks.head & masks.torso).any()
    assert np.array_equal(masks.background, ~masks.person)


def test_a_collar_of_the_hairs_colour_is_no_hair(film):
    """White clothes with a band of the hair's colour around the neck, which a lock of hair reaches down to."""
    frame, points = film[0][2], film[1][2]
    unit, chin = head_axes(points).unit, points[8]
    colour = np.median(frame.rgb[frame.classes == 5], axis=0)
    turns = np.linspace(0, np.pi / 2, 40)
    line = chin + unit * np.stack([.9 * np.cos(turns), .1 + .9 * np.sin(turns)], 1)

    def stroke(corners):
        empty = np.zeros(frame.classes.shape, np.uint8)
        return cv2.polylines(empty, [corners.round().astype(np.int32)], False, 1, round(.16 * unit)) > 0
    collar, lock = stroke(line), stroke(np.array([line[0] - [0, 1.1 * unit], line[0]]))
    image = np.where((frame.classes == 3)[..., None], np.uint8(235), frame.rgb)
    image[collar | lock] = colour.round()
    masks = HeadMasker((SIZE, SIZE))(image, points, (frame.classes > 0) | collar | lock)
    low = collar & (np.arange(SIZE)[:, None] > chin[1] + .4 * unit)
    assert low.sum() > 200 and masks.torso[low].mean() > 0.95
    assert masks.head[lock].mean() > 0.8


def test_fair_hair_that_is_much_like_skin_hangs_on_the_shoulders(film):
    """Strands from the cheeks' own colour to darker ones, white clothes."""
    frame, points = film[0][2], film[1][2]
    unit, axes = head_axes(points).unit, head_axes(points)
    cheek = np.median(frame.rgb[np.hypot(*(np.mgrid[:SIZE, :SIZE][::-1] - points[[2, 31]].mean(0)[:, None, None])) < 6], axis=0)
    locks = np.zeros(frame.classes.shape, np.uint8)
    for side in (-1, 1):
        top = axes.centre + axes.right * side * .78 * unit
        cv2.polylines(locks, [np.stack([top, top + axes.down * 1.9 * unit]).round().astype(np.int32)], False, 1, round(.3 * unit))
    hair = (frame.classes == 5) | (locks > 0) & ~np.isin(frame.classes, (1, 4))
    shade = np.random.default_rng(0).uniform(0, 1, (1, SIZE, 1))
    fair = (cheek * (1.0, .97, .88) * (1 - shade) + cheek * (.8, .72, .5) * shade).clip(0, 255).astype(np.uint8)
    image = np.where((frame.classes == 3)[..., None], np.uint8(235), frame.rgb)
    image = np.where(hair[..., None], np.broadcast_to(fair, image.shape), image)
    masks = HeadMasker((SIZE, SIZE))(image, points, (frame.classes > 0) | hair)
    low = hair & (np.arange(SIZE)[:, None] > points[8, 1] + .1 * unit)
    assert low.sum() > 200 and masks.head[low].mean() > 0.85
    assert masks.torso[(frame.classes == 3) & ~hair].mean() > 0.95


def test_short_hair_is_seldom_where_the_torso_usually_is(film):
    samples = [(frame.rgb, points) for frame, points in zip(*film)]
    look = video_look(samples[:8])
    usual = np.mean([np.isin(frame.classes, (2, 3)) for frame in film[0][:8]], axis=0) > .7
    assert look.torso is not None and iou(look.torso > .7, usual) > .9
    assert video_look(samples[:3]).torso is None
    view, person = View.of(*samples[9]), film[0][9].classes > 0
    found = likelihoods(view, look)
    plain, told = Hanging.of(view, person, found).prior, Hanging.of(view, person, found, look.torso).prior
    assert told[look.torso > .7].max() <= .0501 and np.array_equal(told[look.torso <= .7], plain[look.torso <= .7])


def test_people_with_long_hair_have_no_usual_torso(film, monkeypatch):
    """It would take the hair that comes and goes."""
    monkeypatch.setattr(masks_module, "_SHORT", -1.0)  # the head itself counts
    assert video_look([(frame.rgb, points) for frame, points in list(zip(*film))[:6]]).torso is None


def test_a_coat_of_the_hairs_colour_is_no_hair(film):
    """All of the person counts as hair; then only what hangs as far aside as the head is wide."""
    frame, points = film[0][2], film[1][2]
    view = View.of(frame.rgb, points)
    axes = head_axes(view.at)
    person, zones = view.reduced(frame.classes > 0) > .5, _Zones.of(view, axes, False)
    rows, columns = np.arange(len(person))[:, None], np.arange(person.shape[1])[None]
    shoulders = (view.reduced(frame.classes == 3) > .5) & (rows > view.at[8, 1] + .4 * axes.unit)
    assert shoulders.sum() > 500 and _coat(view, person, person, zones)[shoulders].mean() > .9
    near = np.abs(columns - axes.centre[0]) < .8 * axes.unit
    assert not _coat(view, person, person & (zones.sure | near), zones).any()


def test_pieces_that_lie_are_told_from_those_that_hang():
    def worn_rows(left, top, width, height):
        piece = np.zeros((100, 100), np.uint8)
        piece[top:top + height, left:left + width] = 1
        found = worn(piece, np.array([50., 40.]), 10., 16.)
        assert not (found & ~piece).any()
        return np.flatnonzero(found.any(1)).tolist()
    assert worn_rows(20, 45, 12, 5) == list(range(45, 50))  # across
    assert worn_rows(20, 95, 12, 5) == []                   # across, cut off by the edge
    assert worn_rows(56, 35, 4, 30) == list(range(40, 65))  # ends under the neck: from the chin on
    assert worn_rows(72, 45, 4, 20) == []                   # hangs beside it
    assert worn_rows(60, 30, 4, 12) == []                   # ends at the jaw


def test_shreds_beside_the_neck_are_no_body():
    torso = np.zeros((60, 60), bool)
    torso[30:, 10:50] = True
    torso[15:30, 25:35] = True          # the neck
    torso[12:18, 2:5] = True            # floats
    torso[20, 35:44] = True             # hangs on by a thread
    body = _body(torso, 20.)
    assert body[30:, 12:48].all() and body[17:30, 26:34].all()
    assert not body[12:18, 2:5].any() and not body[20, 38:].any()


def test_hair_reaches_the_outline_and_skin_the_face():
    head = np.zeros((40, 60), bool)
    head[5:35, 5:55] = True
    face, hair = np.zeros_like(head), np.zeros_like(head)
    face[15:33, 20:40] = True
    hair[5:35, 8:18] = True             # outside of it a bright strand
    hair[10:13, 25:35] = True           # a shadow on the forehead
    found = _hair_outside(hair, head, face)
    assert found[5:35, 5:18].all() and not found[10:13, 25:35].any() and not (found & face).any()


@pytest.mark.parametrize("size, most", [(256, .4), (512, .1)])
def test_the_mouth_is_not_drawn_too_large(size, most):
    subject, params = Subject(size, 333), np.zeros(len(PARAMS))
    params[PARAMS.index("la")], params[PARAMS.index("jaw")] = 4, 4
    frame = subject.render(params, subject.pose((0, 0, 0)))
    mouth, truth = mouth_inside(frame.rgb, frame.landmarks2d, head_axes(frame.landmarks2d).unit)[0], frame.classes == 4
    assert (mouth & ~truth).sum() < most * truth.sum() and (mouth & truth).sum() > 0.88 * truth.sum()


def test_open_mouth_is_found_in_noise_and_a_shut_one_is_not():
    subject, rng, scores = Subject(512, 333), np.random.default_rng(2), []
    params = np.zeros(len(PARAMS))
    params[PARAMS.index("la")], params[PARAMS.index("jaw")] = 4, 4
    frame = subject.render(params, subject.pose((0, 0, 0)))
    corners = np.linalg.norm(frame.landmarks2d[36] - frame.landmarks2d[45])
    for _ in range(6):
        points = frame.landmarks2d + rng.normal(0, NOISE * corners / 1.2533, (68, 2))
        mouth, teeth = mouth_inside(frame.rgb, points, head_axes(points).unit)
        scores.append(iou(mouth, frame.classes == 4))
        assert not (teeth & ~mouth).any()
    assert (frame.classes == 4).sum() > 150 and np.mean(scores) > 0.7
    shut = points.copy()
    shut[65:68] = shut[63:60:-1]
    assert not mouth_inside(frame.rgb, shut, head_axes(points).unit)[0].any()
    with np.errstate(all="raise"):
        assert not mouth_inside(np.zeros_like(frame.rgb), points, head_axes(points).unit)[1].any(), "all is black"


def test_without_a_look_each_frame_stands_alone(film):
    frames, points = film
    masker = HeadMasker((SIZE, SIZE))
    masker(frames[7].rgb, points[7])
    alone = HeadMasker((SIZE, SIZE), learn_look([(frames[3].rgb, points[3])]))
    assert equal(masker(frames[3].rgb, points[3]), alone(frames[3].rgb, points[3]))


def test_threads_order_and_earlier_random_numbers_do_not_matter(film, look, threads):
    frames, points = film
    threads(1)
    one = HeadMasker((SIZE, SIZE), look)(frames[3].rgb, points[3])
    threads(4)
    cv2.setRNGSeed(77)
    masker = HeadMasker((SIZE, SIZE), look)
    masker(frames[7].rgb, points[7])
    assert equal(masker(frames[3].rgb, points[3]), one)
    again = learn_look([(frames[i].rgb, points[i]) for i in (0, 5, 11)])
    assert equal(again, look)


def test_a_users_mask_is_taken_as_it_is(film):
    frame, points = film[0][0], film[1][0]
    person = frame.classes > 0
    masks = HeadMasker((SIZE, SIZE))(frame.rgb, points, person)
    assert np.array_equal(masks.person, person | masks.mouth)
    assert iou(masks.head, np.isin(frame.classes, HEAD)) > 0.97


@pytest.mark.parametrize("rows, columns", [(20, 0), (0, 30), (20, -30)])
def test_a_head_at_the_edge_of_the_picture(film, rows, columns):
    """Cut off above, or moved aside with the wall going on."""
    frame, points = film[0][1], film[1][1] - [columns, rows]
    beside = np.pad(frame.rgb, ((0, 0), (40, 40), (0, 0)), mode="edge")[rows:, 40 + columns:40 + columns + SIZE]
    truth = np.pad(frame.classes, ((0, 0), (40, 40)), mode="edge")[rows:, 40 + columns:40 + columns + SIZE]
    masks = HeadMasker(truth.shape)(np.ascontiguousarray(beside), points)
    assert iou(masks.head, np.isin(truth, HEAD)) > 0.94


def test_a_hand_in_front_of_the_cheek_stays_near_the_head(film, look):
    """What passes over the background is no head; the head's other side is not disturbed."""
    frame, points = film[0][6], film[1][6]
    image = frame.rgb.copy()
    top, left = points[3].astype(int)[::-1]
    image[top:top + 30, max(0, left - 70):left + 30] = (205, 160, 130)
    masks, before = HeadMasker((SIZE, SIZE), look)(image, points), HeadMasker((SIZE, SIZE), look)(frame.rgb, points)
    half = slice(int(points[27, 0]), None)
    assert iou(masks.head[:, half], before.head[:, half]) > 0.97
    near = cv2.dilate(before.head.astype(np.uint8), np.ones((31, 31), np.uint8)) > 0
    assert (image != frame.rgb).any(-1)[~near].any() and not masks.head[~near].any()


def test_a_parsing_comes_back(film, look):
    masks = HeadMasker((SIZE, SIZE), look)(film[0][0].rgb, film[1][0])
    picture = parsing_png(masks)
    assert {tuple(colour) for colour in picture.reshape(-1, 3).tolist()} <= set(PALETTE.values())
    back = from_parsing(picture, film[0][0].rgb, film[1][0])
    assert equal(back, masks)
    assert not from_parsing(picture).teeth.any()
    lossy = np.clip(picture.astype(int) + np.random.default_rng(0).integers(-20, 21, picture.shape), 0, 255).astype(np.uint8)
    assert np.array_equal(from_parsing(lossy).head, masks.head)


def test_the_jaws_line_divides_head_and_neck(film):
    frame = film[0][0]
    cut = above_jaw(frame.landmarks2d, frame.classes.shape)
    assert (cut & (frame.classes == 1)).sum() > 0.97 * (frame.classes == 1).sum()
    assert (cut & (frame.classes == 2)).sum() < 0.2 * (frame.classes == 2).sum()


@pytest.mark.parametrize("frame, points, user", [
    (np.zeros((10, 12, 3), np.uint8), np.zeros((68, 2)), None),
    (np.zeros((12, 12, 3), np.uint8), np.full((68, 2), np.nan), None),
    (np.zeros((12, 12, 3), np.uint8), np.zeros((5, 2)), None),
    (np.zeros((12, 12, 3), np.uint8), np.zeros((68, 2)), np.zeros((3, 3), bool))])
def test_wrong_inputs_are_told(frame, points, user):
    with pytest.raises(TalkingHeadsError):
        HeadMasker((12, 12))(frame, points, user)


def test_the_filter_moves_a_rough_edge_to_the_image_and_agrees_with_its_slow_form():
    """A mask that is 3 px off and soft; near its outline the fast form computes what the whole filter gives."""
    image = np.full((64, 64, 3), (40, 90, 160), np.uint8)
    image[:, 30:] = (200, 60, 50)
    rough = np.broadcast_to(np.clip((np.arange(64) - 25) / 8, 0, 1), (64, 64)).astype(np.float32)
    guide = Guide(planes(image))
    sharp = guide.enlarged(rough, image)
    assert np.array_equal(sharp, guide(rough) > .5)
    assert not sharp[:, :29].any() and sharp[:, 31:].all()


def test_a_real_photograph_is_divided():
    """scikit-image's astronaut: hair is head, the suit is torso, the flag and the shuttle are neither."""
    from skimage import data
    from talking_heads.media_core.capture.still import still_masks
    from talking_heads.media_core.face.mesh.tracker import mesh_portrait
    photo = data.astronaut()
    found = still_masks(photo, mesh_portrait(photo).points)
    masks, unit = found.masks, head_axes(found.points).unit
    x, y = found.points[27]
    chin = found.points[8]
    at = lambda mask, across, down: mask[round(y + down * unit), round(x + across * unit)]
    assert at(masks.hair, -1, -.3) and at(masks.hair, 1, -.3) and at(masks.head, 0, -1)
    assert at(masks.head, 0, .5) and not at(masks.hair, 0, .5)
    assert masks.torso[round(chin[1] + .8 * unit), round(chin[0])] and masks.neck.any()
    assert at(masks.background, -1.7, -.5) and at(masks.background, 1.7, -.9)
    assert not (masks.head & masks.torso).any()
