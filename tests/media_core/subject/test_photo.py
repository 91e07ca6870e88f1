"""Any photo becomes a person who moves; the astronaut stays who she was."""
from __future__ import annotations

import json

import numpy as np
import pytest
from skimage import data
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.subject import PARAMS, Subject, export_dataset
from talking_heads.media_core.subject.actor import Actor
from talking_heads.media_core.subject.actor_layers import FACE, MOUTH, TORSO
from talking_heads.media_core.subject.layout import to_68
from talking_heads.media_core.subject.photo import UNIT, check_face, photographed, read_photo
from talking_heads.media_core.subject.portrait import Portrait, RestFace, load
from talking_heads.media_core.subject.render import averaged
from talking_heads.media_core.subject.rig import Rig, turn

SIZE = 96
ASTRONAUT = {  # identity -> sums of the mesh, mean of the image, pixels of each class; of the code before there were photos
    None: ([548.0021009116771, -8156.129770242609, -20278.205132120966], 143.2488426, [4351, 1312, 161, 1767, 13, 1612]),
    3: ([587.2634890013219, -7225.714836841333, -18829.14478831455], 120.1552373, [4394, 1261, 159, 1769, 15, 1618])}
REST = np.zeros(len(PARAMS))


def face(**values: float) -> np.ndarray:
    params = REST.copy()
    for name, value in values.items():
        params[PARAMS.index(name)] = value
    return params


def rotated(picture: np.ndarray, degrees: float) -> np.ndarray:
    import cv2
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((224, 125), degrees, 1.0)
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


PICTURES = {
    "plain": lambda p: p, "mirrored": lambda p: np.ascontiguousarray(p[:, ::-1]), "rotated": lambda p: rotated(p, 14),
    "tinted": lambda p: (p * [.55, .7, .9]).astype(np.uint8), "cropped": lambda p: np.ascontiguousarray(p[8:215, 130:330]),
    "grey": lambda p: np.repeat(p.mean(-1, keepdims=True), 3, -1).astype(np.uint8)}


@pytest.fixture(scope="module", params=list(PICTURES))
def actor(request) -> Actor:
    return Actor(SIZE, photographed(PICTURES[request.param](data.astronaut())))


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return photographed(data.astronaut())


def gap(points: np.ndarray) -> float:
    return float(np.hypot(*(points[66] - points[62])))


def test_it_moves_as_it_is_told(actor):
    shut, wide = (actor.render(params, actor.pose((0, 0, 0))) for params in (REST, face(jaw=10, la=12)))
    assert shut.rgb.shape == (SIZE, SIZE, 3) and {FACE, MOUTH, TORSO} <= set(np.unique(wide.classes))
    assert gap(wide.landmarks2d) > gap(shut.landmarks2d) + .03 * SIZE
    assert (wide.classes == MOUTH).sum() > (shut.classes == MOUTH).sum() + 20
    assert wide.teeth.any() and not (wide.teeth & (wide.classes != MOUTH)).any()
    x, y = np.round(shut.landmarks2d[27:36]).astype(int).T
    assert (shut.classes[y, x] == FACE).all(), "the nose lies on the face"
    turned = actor.render(REST, actor.pose((.2, 0, 0)))
    assert np.abs(turned.landmarks2d[30] - shut.landmarks2d[30]).max() > 1
    blink = actor.render(face(blink=1), actor.pose((0, 0, 0))).landmarks2d
    eye = lambda p: (p[[40, 41, 46, 47]] - p[[38, 37, 44, 43]])[:, 1].mean()
    assert eye(blink) < .4 * eye(shut.landmarks2d)


def test_at_rest_it_is_the_photo(actor):
    """Above the mouth, whose smile is taken out."""
    frame = actor.render(REST, actor.pose((0, 0, 0)))
    photo = averaged(actor._place(actor.portrait.big), actor._times)
    row = int(frame.landmarks2d[30, 1]) - 4
    error = (frame.rgb[:row].astype(float) - photo[:row]) ** 2
    assert 10 * np.log10(255 ** 2 / error.mean()) > 26, "47 dB at 256 px, where fine hair is sampled finely enough"


def test_the_body_goes_on_behind_the_head(actor):
    frame = actor.render(REST, actor.pose((0, 0, 0)))
    hidden = (frame.classes == FACE) & (frame.torso[..., 3] > 200)
    assert hidden.sum() > 20
    above = frame.torso[:int(frame.landmarks2d[29, 1]), :, 3]  # the neck goes on up to the lobes of the ears
    assert not (above > 127).any(), "nothing of the head's outline is left in the body's layer"
    seen = (frame.classes == TORSO) & (frame.torso[..., 3] == 255)
    assert seen.sum() > 100 and np.percentile(np.abs(frame.rgb[seen].astype(int) - frame.torso[seen, :3]), 90) <= 4


def test_the_plate_shows_no_person(portrait):
    from talking_heads.media_core.face.masks.person import soft_persons
    subject = Actor(SIZE, portrait)
    frame = subject.render(REST, subject.pose((0, 0, 0)))
    there, gone = soft_persons([frame.rgb, frame.background])
    assert there.mean() > .3 and gone.mean() < .1 * there.mean()


def test_scale_and_place(portrait):
    points = portrait.points
    assert abs(np.linalg.norm(points[33] - points[263]) - UNIT) < 1e-6
    assert np.abs(points[:, :2] - load().points[:, :2]).max() < 4, "the astronaut's own photo lies where her stored points do"
    assert portrait.rest.smile > .9 and portrait.rest.shut < .5 and portrait.rest.hooded


def test_anybody_is_invented_from_a_photo(portrait):
    plain, one, other = (Actor(SIZE, portrait, identity) for identity in (None, 5, 6))
    frames = [subject.render(REST, subject.pose((0, 0, 0))).rgb.astype(int) for subject in (plain, one, other)]
    assert min(np.abs(a - b).mean() for a, b in ((frames[0], frames[1]), (frames[0], frames[2]), (frames[1], frames[2]))) > 5


def test_smiles_are_taken_out_as_far_as_they_are_there():
    points = load().points
    outlines = type("Outlines", (), {"points": points, "plain_points": points, "hair_outline": None})
    smiling, neutral = (to_68(Rig(outlines, RestFace(smile=smile, shut=1)).mesh(REST)) for smile in (1.0, 0.0))
    rest = to_68(points)
    assert smiling[48, 1] - neutral[48, 1] > 4, "the corners of a smile go down"
    photo = to_68(Rig(outlines, RestFace()).rest)
    assert abs(neutral[48, 1] - photo[48, 1]) < 1.5 and abs(np.ptp(neutral[[48, 54], 0]) / np.ptp(photo[[48, 54], 0]) - 1) < .01
    assert len(rest) == 68


# --------------------------------------------------------------------------------------------------------------- refusals

def mesh_in(size: tuple[int, int], scale: float = 1.0, yaw: float = 0.0, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    mesh = load().points.copy()
    middle = mesh.mean(0)
    mesh = (mesh - middle) @ turn(yaw, 0, 0).T * scale
    return mesh + [size[1] / 2 + shift[0], size[0] / 2 + shift[1], 0]


@pytest.mark.parametrize("mesh, size, must", [
    (mesh_in((300, 300), scale=.3), (300, 300), "24 px or more apart"),
    (mesh_in((300, 300), yaw=1.1), (300, 300), "from the front"),
    (mesh_in((300, 300), shift=(120, 0)), (300, 300), "inside the image"),
    (mesh_in((300, 300), shift=(0, 120)), (300, 300), "inside the image")])
def test_faces_that_cannot_be_moved_are_refused(mesh, size, must):
    with pytest.raises(TalkingHeadsError, match=must) as caught:
        check_face(mesh, size)
    assert "Got: " in str(caught.value) and "Use a" in str(caught.value)


def test_half_profiles_and_a_hairline_outside_are_taken():
    check_face(mesh_in((300, 300), yaw=.3), (300, 300))
    mesh = mesh_in((300, 300))
    mesh[:, 1] -= mesh[:468, 1].min() + 1
    check_face(mesh, (300, 300))


def test_no_face_and_no_image_are_explained(tmp_path):
    with pytest.raises(TalkingHeadsError, match="must show a face"):
        photographed(data.coffee())
    (tmp_path / "x.jpg").write_bytes(b"no image")
    with pytest.raises(TalkingHeadsError):
        read_photo(tmp_path / "x.jpg")


# ---------------------------------------------------------------------------------------------------------------- datasets

def test_a_dataset_names_the_photo(tmp_path, portrait):
    from PIL import Image
    Image.fromarray(data.astronaut()).save(tmp_path / "her.png")
    photo = read_photo(tmp_path / "her.png")
    folder = export_dataset(tmp_path / "set", .3, 0, size=64, identity=None, engine="formant", portrait=photo)
    manifest = json.loads((folder / "manifest.json").read_text("utf8"))
    assert manifest["synthetic"] is True
    assert manifest["portrait"]["name"] == "her.png" and len(manifest["portrait"]["sha256"]) == 64
    assert "her.png" in manifest["credit"] and "consent" in manifest["credit"]
    assert export_dataset(folder, .3, 0, size=64, identity=None, engine="formant", portrait=photo) == folder


def test_the_astronaut_stays_who_she_was():
    """Sums of her mesh and of identities' frames, as they were before there were other photos."""
    params = face(jaw=6, la=8, smile=.5, blink=.4, prot=.3, browin=.6)
    for identity, (mesh, brightness, classes) in ASTRONAUT.items():
        subject = Subject(SIZE, identity)
        frame = subject.render(params, subject.pose((.1, .02, .03)))
        assert np.abs(subject._rig.mesh(params).sum(0) - mesh).max() < 1e-6
        assert abs(frame.rgb.mean() - brightness) < .01
        assert np.abs(np.bincount(frame.classes.ravel(), minlength=6) - classes).max() <= 2
