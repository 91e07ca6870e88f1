"""What measured a capture, and the mesh that it keeps."""
from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from capture_video import Oracle, placed, talk, write_film
from talking_heads.media_core.capture import CaptureSettings, capture, pipeline, tracking
from talking_heads.media_core.dataset_folder import verify_dataset, write_json
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.face.landmarks.landmarks import FaceFrame, RawTrack
from talking_heads.media_core.face.landmarks.mesh_fill import MeshFill
from talking_heads.media_core.face.track import FaceTrack
from talking_heads.media_core.files import load_tensors

FRAMES, MISSING = 50, 33
PLAIN = CaptureSettings(size=96, masks=False, policy="interpolate", steady=False)


class People(Oracle):
    """One that knows the mesh too."""
    kind = "people"

    def __init__(self, points: np.ndarray, meshes: np.ndarray, missing=(MISSING,)):
        super().__init__(points, missing)
        self.meshes = meshes

    def __call__(self, frame, mask=None):
        face = super().__call__(frame, mask)
        return None if face is None else FaceFrame(face.points, face.confidence, mesh=self.meshes[self.seen[-1]])


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """(path, points, meshes): 2 s."""
    said, fill = talk(2.0), MeshFill()
    frames, points = placed(said, 160, 240, 40, 16)
    meshes = np.stack([fill(one) for one in points.astype(np.float64)]).astype(np.float32)
    return write_film(tmp_path_factory.mktemp("film") / "me.mp4", frames, sound=said.sound), points, meshes


@pytest.fixture(scope="module")
def whole(film, tmp_path_factory):
    path, points, meshes = film
    return capture(path, tmp_path_factory.mktemp("data") / "set", PLAIN, tracker=People(points, meshes))


def stop_at(frame: int):
    def report(done, total, info, preview):
        if info["stage"] == "finding the face" and info["frame"] >= frame:
            raise Cancelled
    return report


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text("utf8"))


def test_track_and_manifest_say_it_and_the_mesh_stays(film, whole):
    raw, track = RawTrack.load(whole / "raw_track.safetensors"), FaceTrack.load(whole / "track.safetensors")
    assert raw.tracker == track.tracker == manifest(whole)["tracker"] == manifest(whole)["request"]["tracker"] == "people"
    known = np.arange(FRAMES) != MISSING
    assert np.array_equal(raw.mesh[known], film[2][known]) and np.isnan(raw.mesh[MISSING]).all()
    assert track.landmarks.mesh is not None and track.image_size == (96, 96)
    assert np.array_equal(np.isfinite(track.landmarks.mesh.numpy()).all((1, 2)), known)
    assert not list(whole.glob("*partial*"))


def test_a_stopped_run_goes_on_with_the_mesh(film, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "CHUNK", 20)
    path, points, meshes = film
    target, second = tmp_path / "set", People(points, meshes)
    with pytest.raises(Cancelled):
        capture(path, target, PLAIN, tracker=People(points, meshes), report=stop_at(45))
    mesh = target / tracking.PARTIAL_MESH
    assert mesh.stat().st_size == 40 * 478 * 3 * 4
    with mesh.open("ab") as file:
        file.write(b"killed between the two files" * 99)
    capture(path, target, PLAIN, tracker=second)
    assert second.seen == list(range(40, FRAMES))
    verify_dataset(target)
    assert (target / "raw_track.safetensors").read_bytes() == (whole / "raw_track.safetensors").read_bytes()


@pytest.mark.parametrize("lost", ["all", "part"])
def test_without_its_mesh_a_stopped_run_begins_again(film, tmp_path, monkeypatch, lost):
    monkeypatch.setattr(tracking, "CHUNK", 20)
    path, points, meshes = film
    with pytest.raises(Cancelled):
        capture(path, tmp_path / "set", PLAIN, tracker=People(points, meshes), report=stop_at(45))
    mesh = tmp_path / "set" / tracking.PARTIAL_MESH
    mesh.unlink() if lost == "all" else mesh.write_bytes(mesh.read_bytes()[:-1])
    again = People(points, meshes)
    with pytest.raises(Cancelled):
        capture(path, tmp_path / "set", PLAIN, tracker=again, report=stop_at(5))
    assert again.seen == list(range(5))


def test_another_tracker_begins_again(film, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "CHUNK", 20)
    path, points, meshes = film
    oracles = {"people": People(points, meshes), "rendered": Oracle(points, (MISSING,))}
    oracles["rendered"].kind = "rendered"
    monkeypatch.setattr(pipeline, "make_tracker", lambda kind, **which: oracles[kind])
    with pytest.raises(Cancelled):
        capture(path, tmp_path / "set", PLAIN, report=stop_at(45))
    target = capture(path, tmp_path / "set", replace(PLAIN, tracker="rendered"))
    assert oracles["rendered"].seen == list(range(FRAMES)), "not on from the other's"
    assert manifest(target)["tracker"] == RawTrack.load(target / "raw_track.safetensors").tracker == "rendered"
    assert RawTrack.load(target / "raw_track.safetensors").mesh is None
    oracles["people"].seen.clear()
    capture(path, target, PLAIN)
    assert len(oracles["people"].seen) == FRAMES and manifest(target)["tracker"] == "people"


def test_a_partial_track_of_another_tracker_is_not_continued(film, tmp_path):
    found = tracking._Found.open(tmp_path, "people", True)
    for i in range(3):
        found.add(FaceFrame(film[1][i], 0.9, mesh=film[2][i]))
    found.save()
    assert load_tensors(tmp_path / tracking.PARTIAL, kind="partial_track", version=1)[1]["tracker"] == "people"
    assert len(tracking._Found.open(tmp_path, "people", True).points) == 3
    assert not tracking._Found.open(tmp_path, "rendered", True).points and not list(tmp_path.iterdir())


def test_a_face_that_comes_late_has_no_mesh_before(film, tmp_path):
    found = tracking._Found.open(tmp_path, "people", True)
    found.add(None)
    found.save()
    found.add(FaceFrame(film[1][1], 0.9, mesh=film[2][1]))
    found.save_track(tmp_path / "raw", (160, 240), 25.0)
    track = RawTrack.load(tmp_path / "raw")
    assert np.isnan(track.mesh[0]).all() and np.array_equal(track.mesh[1], film[2][1])
    plain = tracking._Found.open(tmp_path / "other", "people", False)
    plain.add(FaceFrame(film[1][1], 0.9, mesh=film[2][1]))
    plain.save_track(tmp_path / "plain", (160, 240), 25.0)
    assert RawTrack.load(tmp_path / "plain").mesh is None


def test_like_must_be_of_the_same_tracker(film, whole, tmp_path):
    path, points, meshes = film
    with pytest.raises(TalkingHeadsError, match="`like` must be measured by the tracker 'exact'.*'people'. Choose that tracker"):
        capture(path, tmp_path / "set", replace(PLAIN, like=whole), tracker=Oracle(points))
    with pytest.raises(TalkingHeadsError, match="`like` must be a finished capture"):
        capture(path, tmp_path / "set", replace(PLAIN, like=tmp_path), tracker=People(points, meshes))
    assert not (tmp_path / "set").exists()
    given = RawTrack(points, np.ones(FRAMES, np.float32), (160, 240), 25.0, tracker="landmarks")
    target = capture(path, tmp_path / "set", replace(PLAIN, like=whole), face_landmarks=given)
    assert manifest(target)["tracker"] == "landmarks" == FaceTrack.load(target / "track.safetensors").tracker


def test_a_folder_of_before_is_finished_as_it_is(film, tmp_path):
    """Its manifest does not name the tracker: it was the one for rendered people."""
    path, points, _ = film
    oracle = Oracle(points, (MISSING,))
    oracle.kind = "rendered"
    target = capture(path, tmp_path / "set", replace(PLAIN, tracker="rendered"), tracker=oracle)
    facts = manifest(target)
    assert facts.pop("tracker") == facts["request"].pop("tracker") == "rendered"
    write_json(target / "manifest.json", facts)
    before = {file: file.stat().st_mtime_ns for file in target.rglob("*")}
    oracle.seen.clear()
    assert capture(path, target, replace(PLAIN, tracker="rendered"), tracker=oracle) == target
    assert not oracle.seen and {file: file.stat().st_mtime_ns for file in target.rglob("*")} == before


def test_no_such_tracker():
    with pytest.raises(TalkingHeadsError, match="one of people, rendered.*'somebody'"):
        CaptureSettings(tracker="somebody")
