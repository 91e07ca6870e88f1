"""The figures of the benchmark of real faces, on faces that are made up, and its way through one image."""
import sys
from pathlib import Path

import numpy as np
import pytest
from talking_heads.media_core.face.mesh import layout

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    """real_faces and real_faces_figures, imported as the script finds them."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import real_faces
    import real_faces_figures

    yield real_faces, real_faces_figures
    for name in [name for name in sys.modules if name.startswith("real_faces") or name == "common"]:
        del sys.modules[name]


@pytest.fixture
def figures(modules):
    return modules[1]


def face(gap=0.0, lids=0.3, side=100.0):
    """68 points, [68, 2]: eye corners `side` px apart, lips open by `gap` of that."""
    points = np.random.default_rng(1).uniform(0, side, (68, 2))
    points[[36, 45]] = (0, 0), (side, 0)
    for (high, low), height in [*(((h, l), gap) for h, l in ((61, 67), (62, 66), (63, 65))),
                                *(((h, l), lids) for h, l in ((37, 41), (38, 40), (43, 47), (44, 46)))]:
        points[low] = points[high] + (0, height * side)
    return points


def mesh():
    """478 points, [478, 3], mirrored onto each other about x = 50."""
    points = np.random.default_rng(2).uniform(10, 90, (478, 3)).astype(np.float32)
    other = points[layout.MIRROR].copy()
    other[:, 0] = 100 - other[:, 0]
    points = (points + other) / 2
    points[33, :2], points[263, :2] = (20, 30), (80, 30)
    return points


def test_the_opening_is_signed_and_does_not_depend_on_place_size_and_turn(figures):
    for gap in (0.1, 0.0, -0.02):
        assert figures.opening(face(gap)) == pytest.approx(gap)
        c, s = np.cos(0.7), np.sin(0.7)
        assert figures.opening(3 * face(gap) @ np.array([[c, s], [-s, c]]) + 40) == pytest.approx(gap)
    assert figures.lids(face(lids=0.2)) == pytest.approx(0.2)


def test_a_shift_along_the_mouth_is_no_gap(figures):
    points = face(0.0)
    points[[67, 66, 65], 0] += 5
    assert figures.opening(points) == pytest.approx(0)


def test_half_a_pixel_of_the_crop_is_taken_off(figures):
    right = mesh()
    side = 1.5 * float(np.ptp(right[:, :2], axis=0).max())
    wrong = right + np.array([side / 384, side / 384, 0], np.float32)
    assert figures.half_pixel_off(wrong)[:, :2] == pytest.approx(right[:, :2], abs=1e-3)
    flipped = right + np.array([-side / 384, side / 384, 0], np.float32)  # of the mirrored image, mirrored back, not renamed
    assert figures.half_pixel_off(flipped[layout.MIRROR], mirrored=True)[layout.MIRROR][:, :2] == \
        pytest.approx(right[:, :2], abs=1e-3)


def test_nothing_is_taken_off_where_there_is_no_face(figures):
    assert np.isnan(figures.half_pixel_off(np.full((2, 478, 3), np.nan, np.float32))).all()


def test_points_of_an_image_with_oblong_pixels(figures):
    corners = np.array([[-0.5, -0.5, 0], [511.5, 479.5, 4]], np.float32)
    assert figures.resized(corners, (480, 512), (480, 640)).tolist() == [[-0.5, -0.5, 0], [639.5, 479.5, 5]]


def film(gaps, scale=1.0):  # -> [T, 68, 2]
    return np.stack([face(scale * gap, lids=0.2 + gap) for gap in gaps])


def test_a_tracker_that_opens_the_lips_half_as_wide(figures):
    gaps = 0.1 + 0.1 * np.sin(np.arange(40))
    told = figures.film_figures(film(gaps, 0.5), film(gaps))
    assert (told.lips, told.slope, told.amplitude, told.eyes) == pytest.approx((1, 0.5, 0.5, 1))
    assert (told.frames, told.lost, told.elsewhere) == (40, 0, 0)
    assert 0 < told.all < told.mouth


def test_lost_frames_and_other_faces_are_counted_and_left_out(figures):
    gaps = 0.1 + 0.1 * np.sin(np.arange(40))
    own = film(gaps)
    own[:3], own[5:9] = np.nan, own[5:9] + 80
    told = figures.film_figures(own, film(gaps))
    assert (told.lost, told.elsewhere) == (3, 4)
    assert told.all == pytest.approx(0)
    nothing = figures.film_figures(np.full((40, 68, 2), np.nan), film(gaps))
    assert nothing.lost == 40
    assert np.isnan(nothing.lips)
    assert np.isnan(nothing.mouth)


def test_closed_lips_are_those_that_the_reference_closes(figures):
    told = figures.film_figures(film([0.02, 0.0, 0.2] * 10), film([0.0, 0.1, 0.2] * 10))
    assert told.closed == pytest.approx(np.full(10, 0.02))
    assert figures.read_as_closed(told.closed, 0.01) == 0
    assert figures.read_as_closed(told.closed, 0.03) == 1


def test_jitter_is_the_second_difference(figures):
    still = np.repeat(face()[None], 9, 0)
    assert figures.jitter(still) == 0
    assert figures.jitter(still + np.arange(9)[:, None, None]) == pytest.approx(0)
    shaken = still + (np.arange(9) % 2)[:, None, None] * np.array([1.0, 0])
    assert figures.jitter(shaken) == pytest.approx(0.02)


def test_noise_is_what_is_left_of_jitter_without_smooth_motion(figures):
    time = np.arange(15)[:, None, None]
    moving = np.repeat(face()[None], 15, 0) + time ** 2
    assert figures.jitter(moving) > 0.02
    assert figures.noise(moving) == pytest.approx(0, abs=1e-9)
    assert figures.noise(moving + np.random.default_rng(4).normal(size=moving.shape)) > 0.005
    assert np.isnan(figures.noise(moving[:6]))


def test_lips_may_be_a_little_ahead_of_the_sound(figures):
    sound = np.random.default_rng(3).normal(size=60)
    assert figures.against_sound(np.roll(sound, 2), sound) > 0.95
    assert figures.against_sound(np.roll(sound, 20), sound) < 0.6


def test_lists_find_files_of_a_clone_and_of_a_flat_copy(modules, tmp_path):
    (tmp_path / "lists").write_text("# a remark\nProject/assets/a.jpg: hard shut  # why\n")
    known = modules[0].read_lists(tmp_path / "lists")
    for name in ("Project/assets/a.jpg", "x/Project/assets_a.jpg"):
        assert modules[0].words_of(name, known) == {"hard", "shut"}
    assert modules[0].words_of("Project/assets/aa.jpg", known) == set()


def test_the_lists_use_known_words(modules):
    words = set().union(*(words for _, words in modules[0].read_lists(modules[0].LISTS)))
    assert words <= {"animal", "drawn", "hard", "shut", "open", "beard", "stubble", "thin", "dim", "dark"}


def test_an_image_from_folder_to_table(modules, tmp_path, monkeypatch, capsys):
    from PIL import Image
    from skimage import data

    Image.fromarray(data.astronaut()[:300, 100:400]).save(tmp_path / "astronaut.png")
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    monkeypatch.setattr(sys, "argv", ["real_faces.py", str(tmp_path), "--sheets", str(tmp_path / "sheets")])
    modules[0].main()
    told = capsys.readouterr().out
    assert "easy photographs: found 1 of 1" in told
    assert {path.name for path in (tmp_path / "sheets").iterdir()} == {"images_people_00.png", "person_masks_00.png"}


def test_a_goal_above_what_the_reference_reaches_against_itself_is_said_to_be(modules):
    import real_faces_tables
    import real_faces_trackers

    case = modules[0].Case("a.mp4", Path("a.mp4"), set())
    case.reference = film([0.0, 0.1] * 10)
    case.seen["people"] = real_faces_trackers.Seen(film([0.02, 0.1] * 10), np.ones(20, np.float32))
    for gap, said in ((0.02, "above"), (0.0, "within")):
        case.other = film([gap, 0.1] * 10)
        lips, jitter = real_faces_tables.ceilings([case], ["people"])
        assert "people 0.00" in lips and f"reference {0 if gap else 100}.00: the goal lies {said}" in lips
        assert "0.5 % wanted; people 0.00, reference 0.00: the goal lies within" in jitter  # only the lips move
    case.other = None
    assert real_faces_tables.ceilings([case], ["people"]) == []
