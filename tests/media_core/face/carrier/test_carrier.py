"""A picture's face moves; what does not move stays to the bit."""
import numpy as np
import pytest
from talking_heads.media_core.face.carrier.carrier import Carrier
from talking_heads.media_core.face.carrier.handles import Handles
from talking_heads.media_core.face.carrier.place import Place, Turn, sideways
from talking_heads.media_core.subject.layout import INNER_LIPS, LIPS, POINTS_17_TO_67

NOTHING = np.zeros((68, 3))


def test_at_rest_it_is_the_picture(carrier, portrait):
    for more in ({}, {"turned": Turn.of(0, 0, 0)}, {"turned": Turn.of(0, 0, 0), "sway": (0.0, 0.0)}, {"below": 100.0}):
        assert np.array_equal(carrier.draw(NOTHING, **more), portrait[0])


def test_a_mouth_opens_and_nothing_above_the_nose_changes(carrier, portrait, opened):
    image, mesh = portrait
    made = carrier.draw(opened)
    assert made.shape == image.shape and made.dtype == np.uint8
    row = int(mesh[[33, 263], 1].max())
    assert np.array_equal(made[:row], image[:row])
    middle = mesh[[13, 14], :2].mean(0).astype(int)
    assert made[middle[1] + 6, middle[0]].mean() < image[middle[1] + 6, middle[0]].mean() - 30  # dark behind the teeth


def test_open_lips_can_be_shut(carrier, portrait):
    """The portrait laughs: shut lips leave a line at most."""
    move = np.zeros((68, 3))
    gap = carrier.own68[[65, 66, 67], 1] - carrier.own68[[63, 62, 61], 1]
    move[[65, 66, 67], 1] = -gap
    move[[57, 56, 58], 1] = -gap.mean()
    made = carrier.draw(move)
    to = carrier.place.pixels(carrier.place.own + carrier.handles.moved(move))
    ring = to[INNER_LIPS, :2]
    assert np.linalg.norm(ring[[4, 5, 6]] - ring[[16, 15, 14]], axis=1).max() < .6
    x, y = to[13, :2].round().astype(int)
    assert made[y - 1:y + 2, x].min() < 160 < portrait[0][y - 1:y + 2, x].max()  # teeth before, no teeth now


def test_the_points_land_where_they_are_told(carrier, opened):
    to = carrier.place.own + carrier.handles.moved(opened)
    assert np.allclose((to - carrier.place.own)[POINTS_17_TO_67[31:]], opened[48:], atol=1e-9)


def test_lids_shut_and_never_cross(carrier):
    for blink, lids in ((1.0, 0.0), (1.0, 8.0), (0.5, 0.0)):
        move = np.zeros((68, 3))
        move[[37, 38, 43, 44], 1] = lids * .5
        to = carrier.place.own + carrier.handles.moved(move, blink=blink, upper=True)
        gap = to[[145, 374], 1] - to[[159, 386], 1]
        assert (gap > -.1).all() and (blink < 1 or (gap < 1).all())


def test_the_mesh_turns_with_the_head(carrier, portrait):
    made = carrier.draw(NOTHING, turned=Turn.of(.1, .05, .03, (2, 1, 3)))
    assert (np.abs(made.astype(int) - portrait[0]).max(-1) > 10).mean() > .1
    edge = np.ones(made.shape[:2], bool)
    edge[1:-1, 1:-1] = False
    assert np.abs(made.astype(int) - portrait[0])[edge].max() <= 2  # the picture's edge holds


def test_alpha_is_carried_like_the_colours(portrait, opened):
    image, mesh = portrait
    alpha = np.full(image.shape[:2], 255, np.uint8)
    alpha[int(mesh[152, 1]) + 3:] = 0
    hidden = np.where(alpha[..., None] > 0, image, 0).astype(np.uint8)
    carrier = Carrier(np.dstack([hidden, alpha]), mesh)
    assert np.array_equal(carrier.draw(NOTHING)[..., 3], alpha)
    made, plain = carrier.draw(opened), Carrier(image, mesh).draw(opened)
    assert made.shape[2] == 4 and (made[..., 3] != alpha).any()  # the chin goes down, and the edge with it
    seen = made[..., 3] == 255
    assert np.abs(made[seen][:, :3].astype(int) - plain[seen]).mean() < 1


def test_a_face_at_the_border(portrait, opened):
    image, mesh = portrait
    for cut in (int(mesh[152, 1]) - 4, int(mesh[14, 1]) + 3):  # through the chin, through the lower lip
        part = np.ascontiguousarray(image[:cut])
        carrier = Carrier(part, mesh)
        assert np.array_equal(carrier.draw(NOTHING), part)
        made = carrier.draw(opened, turned=Turn.of(.08, .03, .02))
        assert made.shape == part.shape
    side = int(mesh[4, 0])
    half = Carrier(np.ascontiguousarray(image[:, side:]), mesh - [side, 0, 0])
    assert half.draw(opened, blink=.5).shape == image[:, side:].shape


def test_grey_stays_grey(portrait, opened):
    image, mesh = portrait
    grey = np.repeat(image.mean(-1, keepdims=True).astype(np.uint8), 3, axis=2)
    carrier = Carrier(grey, mesh)
    assert carrier.mouth.hue is not None and carrier.mouth.stone == 1
    made = carrier.draw(opened).astype(int)
    assert np.ptp(made, axis=-1).max() <= 3


def test_the_same_again(portrait, opened):
    first, second = (Carrier(*portrait).draw(opened, blink=.3, turned=Turn.of(.05, 0, 0)) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("yaw", [0.0, .3])
def test_how_far_a_face_looks_aside(portrait, yaw):
    place = Place.of(portrait[1])
    turned = place.pixels(place.own, Turn.of(yaw, 0, 0))
    assert (sideways(turned) > .35) == (yaw > 0)


def test_a_face_that_lies_on_its_side(portrait, opened):
    image, mesh = portrait
    turned = np.ascontiguousarray(np.rot90(image))
    there = np.column_stack([mesh[:, 1], image.shape[1] - 1 - mesh[:, 0], mesh[:, 2]])
    upright, lying = Carrier(image, mesh).draw(opened), Carrier(turned, there).draw(opened)
    assert np.abs(np.rot90(upright).astype(int) - lying).mean() < .25


def test_lips_open_like_an_arch(carrier):
    """Between the corners and the points next to them, which are told, edges follow 1 - |x|^2.5, no straight line."""
    rings = Handles(carrier.place.pixels(carrier.place.own)).lip_rings
    move = np.array([0, 0, 0, 0, 0, 10.0, 10, 10])  # of the inner points: the lower lip's go down
    lower = (rings[1] @ move[:, None])[:11, 0]
    straight = np.interp(np.arange(11), [0, 4, 6, 10], [0, 10, 10, 0])
    assert lower[[0, 10]] == pytest.approx([0, 0]) and lower[4:7] == pytest.approx([10, 10, 10])
    assert (np.diff(lower[:5]) > 0).all() and (lower - straight)[[1, 2, 8, 9]].min() > .5


def test_the_lips_of_pressed_points_do_not_cross(carrier):
    move = np.zeros((68, 3))
    move[[65, 66, 67], 1], move[[61, 62, 63], 1] = -20, 5
    own = carrier.place.own[INNER_LIPS]
    to = own + carrier.handles.moved(move, carrier.place.own, evenly=True)[INNER_LIPS]

    def gaps(ring):
        return ring[1:10, 1] - ring[:10:-1, 1]

    assert (gaps(to) >= np.minimum(gaps(own), 0) - 1e-9).all()
    assert (gaps(own + carrier.handles.moved(move)[INNER_LIPS]) < -5).any()  # without: they do


def test_the_edges_of_moved_lips_come_from_further_out(carrier, opened):
    """What lies between an image's lips does not go along with them; where nothing moves, nothing is pulled."""
    sheet, own = carrier._sheet, carrier.place.pixels(carrier.place.own)
    assert np.allclose(sheet._sources(own), own[:, :2], atol=1e-9)
    far = np.array(opened)
    far[[65, 66, 67], 1] += 4
    to = carrier.place.pixels(carrier.place.own + carrier.handles.moved(far))
    edge, next_ = INNER_LIPS[4:7], LIPS[2, 4:7]
    pulled = np.linalg.norm(sheet._sources(to)[edge] - own[edge, :2], axis=1)
    assert (pulled > .4 * np.linalg.norm((own[next_] - own[edge])[:, :2], axis=1)).all()
    others = np.setdiff1d(np.arange(len(own)), LIPS)
    assert np.array_equal(sheet._sources(to)[others], own[others, :2])
