"""Small whole files of every kind, for the fuzzer to damage; and the objects that their readers need."""
from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROWS = 6  # of tables and tracks
IDENTITY = {"config": {}}


class Shared:
    """What several seeds are made from, made when it is first wanted."""

    def __init__(self, folder: Path, dataset: Path | None = None, avatar: Path | None = None):
        self.folder, self._dataset, self._avatar = folder, dataset, avatar

    @cached_property
    def dataset(self) -> Path:
        """A data set for avatars, 10 frames of 64 px."""
        if self._dataset is not None:
            return self._dataset
        from talking_heads.media_core.subject import export_dataset

        return export_dataset(self.folder / "subject", 0.4, 0, size=64, engine="formant")

    @cached_property
    def avatar(self) -> Path:
        """An avatar of a few steps."""
        if self._avatar is not None:
            return self._avatar
        from talking_heads.hmtalker_core.training.train_avatar import train_avatar

        path = self.folder / "avatar.safetensors"
        train_avatar(self.dataset, path, preset=AVATAR)
        return path


def _avatar_settings() -> Any:
    from talking_heads.hmtalker_core.training.config import preset

    few = preset("demo")
    face = replace(few.face, steps=3, static=1, points=60, max_points=80, densify_from=100)
    mouth = replace(few.mouth, steps=2, static=1, points=30, max_points=40, densify_from=100)
    return replace(few, face=face, mouth=mouth, warmup_steps=1, fuse_steps=1)


AVATAR = _avatar_settings()


def same(came: dict[str, Any]) -> None:
    """The state is taken for one of this very run."""


# tables, JSON, tracks -----------------------------------------------------------------------------------------------------------

def openface(folder: Path, shared: Shared) -> None:
    from talking_heads.media_core.dataset_folder import openface_table

    (folder / "au.csv").write_text(openface_table(np.full((ROWS, 17), 0.5), 25.0))


def tables(folder: Path, shared: Shared) -> None:
    openface(folder, shared)
    (folder / "feat.csv").write_text("frame,AU01,AU12,FaceRectWidth,FaceRectHeight\n" + "".join(
        f"{i},0.{i},0.5,10,{10 + i}\n" for i in range(ROWS)))
    (folder / "libre.csv").write_text("frame_idx,frame_time_in_ms,au_1_intensity,au_12_intensity\n" + "".join(
        f"{i},{i * 40},1.{i},2\n" for i in range(ROWS)))


def transforms(folder: Path, shared: Shared) -> None:
    from talking_heads.media_core.dataset_folder import write_transforms

    write_transforms(folder, np.repeat(np.eye(4)[None], ROWS, 0), 300.0, (32.0, 32.0), range(1, ROWS + 1))


def manifest(folder: Path, shared: Shared) -> None:
    (folder / "manifest.json").write_text(json.dumps({
        "kind": "dataset", "fps": 25.0, "credit": "nobody", "au_source": "a table", "au_reliability": [0.5] * 17, "masks": True}))


def verified(folder: Path, shared: Shared) -> None:
    from talking_heads.media_core.dataset_folder import checksum

    (folder / "ori_imgs").mkdir()
    for i in range(3):
        (folder / "ori_imgs" / f"{i}.jpg").write_bytes(bytes([i]))
    (folder / "aud.wav").write_bytes(b"sound")
    sums = {name: checksum(folder, name, 3) for name in ("ori_imgs/{}.jpg", "aud.wav")}
    (folder / "manifest.json").write_text(json.dumps({"kind": "dataset", "frames": 3, "fps": 25.0, "checksums": sums}))


def capture_request(folder: Path, shared: Shared) -> None:
    from talking_heads.media_core.capture.record import OUTPUTS, Record

    record = Record.open(folder, "film", "me.mp4")
    for stage in OUTPUTS:
        record.pending(stage, {"a": 1})
        record.finish(stage)


def landmark_lines(folder: Path, shared: Shared) -> None:
    from talking_heads.media_core import dataset_folder

    (folder / "0.lms").write_bytes(dataset_folder.landmark_lines(np.arange(136, dtype=float).reshape(68, 2)))


def speech(frames: int) -> Any:
    """Mel features of so many film frames."""
    from talking_heads.media_core.speech import Speech

    rows = int(frames / 25 * 80) + 1
    return Speech(torch.zeros(rows, 80), 80.0, "mel", frames / 25, torch.zeros(rows, dtype=torch.bool))


def tracks(folder: Path, shared: Shared) -> None:
    from talking_heads.media_core.face.landmarks.mean_face import MeanFace
    from talking_heads.media_core.face.landmarks.raw_track import RawTrack
    from talking_heads.media_core.face.pose.rigid_shape import RigidShape
    from talking_heads.media_core.face.pose.steady import Anchors
    from talking_heads.media_core.face.track import FaceTrack
    from talking_heads.media_core.motion import ExpressionTrack, LandmarkTrack, PoseTrack

    random = np.random.default_rng(0)
    points = torch.from_numpy(random.normal(size=(3, 68, 3)).astype(np.float32))
    landmarks = LandmarkTrack(points, 25.0, "pixels", (64, 64))
    expression = ExpressionTrack(torch.ones(3, 17), 25.0, "a table", (0.5,) * 17)
    pose = PoseTrack(torch.eye(4).repeat(3, 1, 1), 100.0, (64, 64), 25.0)
    for track in (landmarks, expression, pose):
        track.save(folder / f"{track.KIND}.safetensors")
    unknown = np.full((3, 478, 3), np.nan, np.float32)
    RawTrack(points=points[..., :2].numpy(), confidence=np.ones(3, np.float32), image_size=(64, 64), fps=25.0, cuts=(1,),
             tracker="people", mesh=unknown).save(folder / "raw.safetensors")
    shape = RigidShape(MeanFace.load().points.astype(np.float32), 100.0, (64, 64))
    FaceTrack(landmarks, expression, pose, torch.ones(3), shape, torch.zeros(3)).save(folder / "face.safetensors")
    Anchors((0, 2), np.array([0, 0, 1]), np.ones((3, 2), np.float32), np.ones((3, 3), np.float32),
            np.ones((2, 68, 2), np.float32)).save(folder / "anchors.safetensors")
    speech(2).save(folder / "speech.safetensors")


def mean_faces(folder: Path, shared: Shared) -> None:
    from safetensors.torch import save_file
    from scipy.io import savemat
    from talking_heads.media_core.face.pose.canonical import mean_face

    face = mean_face().astype(np.float32)
    np.save(folder / "mean.npy", face)
    save_file({"key_mean_shape": torch.from_numpy(face)}, folder / "mean.safetensors")
    savemat(folder / "BFM_model_front.mat", {"meanshape": np.concatenate([face, face[:1]]).reshape(1, -1),
                                             "idBase": np.zeros((69 * 3, 2)), "exBase": np.zeros((69 * 3, 2)),
                                             "keypoints": np.arange(68)[None]})


def page_workflow(folder: Path, shared: Shared) -> None:
    inputs = [{"name": "landmarks", "type": "TH_LANDMARKS", "link": 1}]
    nodes = [
        {"id": 1, "type": "TalkingHead_LoadLandmarks", "mode": 0, "inputs": [], "widgets_values": ["output", "a.safetensors"]},
        {"id": 2, "type": "Reroute", "mode": 0, "inputs": [{"name": "", "type": "*", "link": 1}]},
        {"id": 3, "type": "TalkingHead_SaveLandmarks", "mode": 0, "inputs": [{**inputs[0], "link": 2}],
         "widgets_values": ["talking_heads/landmarks"], "title": "Save"},
        {"id": 4, "type": "PrimitiveNode", "mode": 0, "widgets_values": ["x"]},
        {"id": 5, "type": "TalkingHead_SaveLandmarks", "mode": 4, "inputs": inputs,
         "widgets_values_named": {"filename_prefix": "b"}},
        {"id": 6, "type": "Note", "mode": 0},
        {"id": 7, "type": "a-b", "inputs": [{**inputs[0], "link": 3}], "properties": {"proxyWidgets": [["8", "filename_prefix"]]},
         "widgets_values": ["c"]}]
    links = [[1, 1, 0, 2, 0, "TH_LANDMARKS"], {"id": 2, "origin_id": 2, "origin_slot": 0, "target_id": 3, "target_slot": 0,
                                               "type": "TH_LANDMARKS"}, [3, 1, 0, 7, 0, "TH_LANDMARKS"]]
    inside = {"id": "a-b", "inputs": [{"name": "landmarks"}], "outputs": [{"name": "saved"}], "definitions": {"subgraphs": []},
              "nodes": [{"id": 8, "type": "TalkingHead_SaveLandmarks", "inputs": inputs, "widgets_values": ["d"]}],
              "links": [[1, -10, 0, 8, 0, "TH_LANDMARKS"], [2, 8, 0, -20, 0, "STRING"]]}
    page = {"nodes": nodes, "links": links, "definitions": {"subgraphs": [inside]}, "version": 0.4}
    (folder / "page.json").write_text(json.dumps(page))


def api_workflow(folder: Path, shared: Shared) -> None:
    prompt = {
        "1": {"class_type": "TalkingHead_LoadLandmarks", "inputs": {"place": "output", "file": "a.safetensors"},
              "_meta": {"title": "Load"}},
        "2": {"class_type": "TalkingHead_SaveLandmarks", "inputs": {"landmarks": ["1", 0], "filename_prefix": ["1", 1]}},
        "4": {"class_type": "TalkingHead_SaveLandmarks", "inputs": {"landmarks": ["1", 0], "filename_prefix": "x"}}}
    (folder / "api.json").write_text(json.dumps(prompt))


# models -------------------------------------------------------------------------------------------------------------------------

def atom(folder: Path, shared: Shared) -> None:
    from atom_files import save_tiny_atom

    save_tiny_atom(folder / "atom.safetensors")


def mtov(folder: Path, shared: Shared) -> None:
    from mtov_files import save_tiny_mtov

    save_tiny_mtov(folder / "mtov.safetensors")


def autoencoder(folder: Path, shared: Shared) -> None:
    from mtov_nets import autoencoder as network
    from talking_heads.moditalker_core.mtov.checkpoints import save_autoencoder

    save_autoencoder(network(), folder / "rgb.safetensors", role="rgb")


def prior(folder: Path, shared: Shared) -> None:
    from talking_heads.hmtalker_core.training.prior import SHIPPED

    shutil.copy(SHIPPED, folder / "prior.safetensors")


def avatar(folder: Path, shared: Shared) -> None:
    shutil.copy(shared.avatar, folder / "avatar.safetensors")


def lpips(folder: Path, shared: Shared) -> None:
    from safetensors.torch import save_file

    shapes = {0: (4, 3, 11), 3: (6, 4, 5), 6: (8, 6, 3), 8: (6, 8, 3), 10: (6, 6, 3)}
    state = {f"features.{number}.weight": torch.ones(n, c, k, k) for number, (n, c, k) in shapes.items()}
    state |= {f"features.{number}.bias": torch.zeros(n) for number, (n, _, _) in shapes.items()}
    state |= {f"lin{i}.model.1.weight": torch.ones(1, n, 1, 1) for i, (n, _, _) in enumerate(shapes.values())}
    save_file(state, folder / "alex.safetensors")


def stored_features(folder: Path, shared: Shared) -> None:
    np.save(folder / "rows.npy", np.arange(60, dtype=np.float32).reshape(20, 3))
    np.save(folder / "windows.npy", np.arange(160, dtype=np.float16).reshape(10, 8, 2))


def syncnet(folder: Path, shared: Shared) -> None:
    from safetensors.torch import save_file
    from talking_heads.media_core.metrics.syncnet import SyncNet

    save_file(SyncNet().state_dict(), folder / "syncnet.safetensors")


def ave(folder: Path, shared: Shared) -> None:
    from ave_file import save_ave_file

    save_ave_file(folder / "ave.safetensors")


def hubert(folder: Path, shared: Shared) -> None:
    from hubert_folder import save_hubert

    save_hubert(folder)
    (folder / "preprocessor_config.json").write_text('{"sampling_rate": 16000, "do_normalize": true}')


def published_atom(folder: Path, shared: Shared) -> None:
    from atom_files import save_tiny_checkpoint

    save_tiny_checkpoint(folder / "atom.pt")


def published_mtov(folder: Path, shared: Shared) -> None:
    from mtov_files import save_published

    save_published(folder)


def import_options(heads: int) -> dict[str, Any]:
    """What cannot be read off the small networks."""
    return {"heads": heads, "autoencoder_heads": None}


# data sets and states of trainings ----------------------------------------------------------------------------------------------

def motion_data(folder: Path, shared: Shared) -> None:
    from video_data import make_video_dataset

    made = make_video_dataset(shared.folder / f"motion {folder.name}", (6, 5), val=1)
    shutil.copytree(made, folder, dirs_exist_ok=True)


def store(path: Path) -> Any:
    from talking_heads.moditalker_core.mtov.latents import Store

    return Store(path, {"seed": 0}, 3, (4, 12))


def latents(folder: Path, shared: Shared) -> None:
    store(folder / "latents.safetensors")


def avatar_data(folder: Path, shared: Shared) -> None:
    shutil.copytree(shared.dataset, folder, dirs_exist_ok=True)


def clip(folder: Path) -> Any:
    from talking_heads.hmtalker_core.data.dataset import AvatarDataset
    from talking_heads.hmtalker_core.training.batches import open_clip
    from talking_heads.media_core.progress import silent

    return open_clip(AvatarDataset.open(folder), "mel", torch.device("cpu"), silent)


def avatar_state(folder: Path, shared: Shared) -> None:
    from talking_heads.hmtalker_core.training.steps import AvatarTraining

    shutil.copytree(shared.dataset, folder / "data")
    training = AvatarTraining.fresh(clip(folder / "data"), AVATAR, 0)
    for _ in range(5):  # into the mouth's phase
        training.train_step()
    training.save(folder / "avatar.training.safetensors", IDENTITY)


def atom_run(folder: Path) -> Any:
    from motion_data import TINY
    from talking_heads.moditalker_core.atom import training
    from talking_heads.moditalker_core.atom.run import AToMTraining
    from talking_heads.moditalker_core.atom.windows import Clips, Windows
    from talking_heads.moditalker_core.data.dataset import MotionDataset
    from talking_heads.training_core.process_group import SingleProcess

    opened = MotionDataset.open(folder)
    config, heard = training.resolved(TINY, opened)
    clips = Clips(opened, "train", heard, config.denoiser.seq_len, torch.from_numpy(training._own_mean()))
    return AToMTraining(config, Windows(clips, config, 0), 0, torch.device("cpu"), SingleProcess())


def atom_state(folder: Path, shared: Shared) -> None:
    from motion_data import make_motion_dataset

    make_motion_dataset(folder / "data", (10, 9), val=1)
    run = atom_run(folder / "data")
    run.train_step()
    run.save(folder / "atom.training.safetensors", IDENTITY)


def mtov_run(folder: Path, stage: str) -> Any:
    from talking_heads.moditalker_core.data.dataset import MotionDataset
    from talking_heads.moditalker_core.mtov.inputs import StageInputs
    from talking_heads.moditalker_core.mtov.run import MToVTraining
    from talking_heads.moditalker_core.mtov.training import StageTraining
    from talking_heads.training_core.process_group import SingleProcess
    from video_data import DIFFUSION, RGB

    cpu = torch.device("cpu")
    files = {"rgb": None, "landmarks": None}
    if stage == "diffusion":
        files = {name: folder / f"{name}.safetensors" for name in files}
    inputs = StageInputs.read(stage, files, None, None, cpu)
    config = inputs.resolved({"rgb": RGB, "diffusion": DIFFUSION}[stage])
    stage_training = StageTraining(config, 0, cpu, SingleProcess(), MotionDataset.open(folder / "data"), inputs)
    return MToVTraining(config, stage_training.objective(None))


def _mtov_state(folder: Path, stage: str) -> None:
    from talking_heads.moditalker_core.mtov.autoencoder import VideoAutoencoder
    from talking_heads.moditalker_core.mtov.checkpoints import save_autoencoder
    from video_data import NET, make_video_dataset

    make_video_dataset(folder / "data", (6, 5), val=1)
    if stage == "diffusion":
        for role in ("rgb", "landmarks"):
            save_autoencoder(VideoAutoencoder(NET), folder / f"{role}.safetensors", role=role)
    run = mtov_run(folder, stage)
    run.train_step()
    run.save(folder / f"{stage}.training.safetensors", IDENTITY)


def rgb_state(folder: Path, shared: Shared) -> None:
    _mtov_state(folder, "rgb")


def diffusion_state(folder: Path, shared: Shared) -> None:
    _mtov_state(folder, "diffusion")


# sound, films, pictures ---------------------------------------------------------------------------------------------------------

def sounds(folder: Path, shared: Shared) -> None:
    import soundfile

    wave = (0.3 * np.sin(np.arange(1600) / 10)).astype(np.float32)
    for name, rate in (("a.wav", 16000), ("a.flac", 16000), ("a.ogg", 16000)):
        soundfile.write(folder / name, wave, rate)


def film(folder: Path, shared: Shared) -> None:
    from talking_heads.media_core.audio import Sound
    from talking_heads.media_core.video import VideoWriter

    sound = Sound(np.zeros((1, 3200), np.float32), 16000)
    with VideoWriter(folder / "film.mp4", 32, 32, 25, sound) as writer:
        for i in range(5):
            writer.write(np.full((32, 32, 3), 20 * i, np.uint8))


def pictures(folder: Path, shared: Shared) -> None:
    from PIL import Image

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8))
    for name in ("a.png", "a.jpg", "a.webp", "a.bmp", "a.tiff", "a.gif"):
        picture.save(folder / name)
