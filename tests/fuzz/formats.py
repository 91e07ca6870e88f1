"""Every kind of file that the pack reads: how a small whole one is made, which files of it are damaged, and what reads it."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fuzz import seeds

ROOT = Path(__file__).resolve().parents[2]
Read = Callable[[], Any]


@dataclass(frozen=True)
class Format:
    """One kind of file."""

    weight: int  # of 1000 inputs; formats whose reading takes long get few
    make: Callable[[Path, seeds.Shared], None]  # writes whole files into a folder
    reader: Callable[[Path], Read]  # of that folder: made once, called for each input
    damaged: tuple[str, ...] = ("*",)  # patterns of the files that are damaged

    def targets(self, folder: Path) -> list[str]:
        """Those files, relative to the folder."""
        found = {path for pattern in self.damaged for path in folder.glob(pattern) if path.is_file()}
        return sorted(path.relative_to(folder).as_posix() for path in found)


FORMATS: dict[str, Format] = {}


def fmt(name: str, weight: int, make: Callable[[Path, seeds.Shared], None], *damaged: str) -> Callable[[Any], Any]:
    """Lists the function below as the reader of a format."""
    def listed(reader: Callable[[Path], Read]) -> Callable[[Path], Read]:
        FORMATS[name] = Format(weight, make, reader, damaged or ("*",))
        return reader

    return listed


# tables, JSON, tracks -----------------------------------------------------------------------------------------------------------

@fmt("aucsv", 60, seeds.openface, "au.csv")
def _aucsv(folder: Path) -> Read:
    from talking_heads.hmtalker_core.data.dataset_tables import read_action_units

    return lambda: read_action_units(folder / "au.csv", 6, 25.0)


@fmt("csv", 60, seeds.tables)
def _csv(folder: Path) -> Read:
    from talking_heads.media_core.face.action_units.au_files import read_action_units_file

    files = sorted(folder.iterdir())

    def read() -> None:
        for path in files:
            read_action_units_file(path, 25.0)
            read_action_units_file(path, 25.0, 6)

    return read


@fmt("transforms", 60, seeds.transforms)
def _transforms(folder: Path) -> Read:
    from talking_heads.hmtalker_core.data.dataset_tables import read_cameras

    return lambda: read_cameras(folder)


@fmt("manifest", 40, seeds.manifest)
def _manifest(folder: Path) -> Read:
    from talking_heads.hmtalker_core.data.dataset import _manifest

    return lambda: _manifest(folder / "manifest.json")


@fmt("verify", 40, seeds.verified, "manifest.json")
def _verify(folder: Path) -> Read:
    from talking_heads.media_core.dataset_folder import verify_dataset

    return lambda: verify_dataset(folder)


@fmt("capreq", 40, seeds.capture_request)
def _capreq(folder: Path) -> Read:
    from talking_heads.media_core.capture.record import OUTPUTS, Record

    def read() -> None:
        record = Record.open(folder, "film", "me.mp4")
        for stage in OUTPUTS:
            record.pending(stage, {"a": 1})

    return read


@fmt("lms", 40, seeds.landmark_lines)
def _lms(folder: Path) -> Read:
    from talking_heads.hmtalker_core.data.dataset import _landmarks

    return lambda: _landmarks(folder / "0.lms")


@fmt("tracks", 140, seeds.tracks)
def _tracks(folder: Path) -> Read:
    from talking_heads.media_core.face.landmarks.raw_track import RawTrack
    from talking_heads.media_core.face.pose.steady import Anchors
    from talking_heads.media_core.face.track import FaceTrack
    from talking_heads.media_core.motion import ExpressionTrack, LandmarkTrack, PoseTrack
    from talking_heads.media_core.speech import Speech

    def read() -> None:
        for kind in (LandmarkTrack, ExpressionTrack, PoseTrack):
            track = kind.load(folder / f"{kind.KIND}.safetensors")
            track.resampled(30.0).slice(0, 1)
        RawTrack.load(folder / "raw.safetensors").seen.sum()
        Anchors.load(folder / "anchors.safetensors")
        FaceTrack.load(folder / "face.safetensors").slice(0, 1)
        Speech.load(folder / "speech.safetensors").frame_windows(25.0)

    return read


@fmt("mean", 60, seeds.mean_faces)
def _mean(folder: Path) -> Read:
    from talking_heads.moditalker_core.bfm import read_key_mean_shape

    files = sorted(folder.iterdir())

    def read() -> None:
        for path in files:
            read_key_mean_shape(path)

    return read


@fmt("workflow", 100, seeds.page_workflow)
def _workflow(folder: Path) -> Read:
    from talking_heads.host.workflow import load_workflow

    info = json.loads((ROOT / "tests" / "nodes" / "object_info.json").read_text("utf8"))
    return lambda: load_workflow(str(folder / "page.json"), info)


@fmt("wfrun", 40, seeds.api_workflow)
def _wfrun(folder: Path) -> Read:
    from pack import temporary_host
    from talking_heads.cli.settings import apply_settings
    from talking_heads.host.graph import InvalidPrompt
    from talking_heads.host.workflow import load_workflow

    host = temporary_host()
    info = host.object_info()

    def read() -> None:
        prompt, _ = load_workflow(str(folder / "api.json"), info)
        apply_settings(prompt, ["4.filename_prefix=12345"], info)
        validation = host.validate(prompt)
        if not validation.valid:
            raise InvalidPrompt(validation)

    return read


# models -------------------------------------------------------------------------------------------------------------------------

@fmt("atom", 25, seeds.atom)
def _atom(folder: Path) -> Read:
    from talking_heads.moditalker_core.atom.checkpoints import load_atom

    def read() -> None:
        atom = load_atom(folder / "atom.safetensors")
        face, audio = torch.zeros(1, 2, 204), torch.zeros(1, 4, atom.config.denoiser.cond_feature_dim)
        with torch.inference_mode():
            atom.denoiser(face, face, audio, torch.zeros(1, dtype=torch.long))

    return read


@fmt("mtov", 12, seeds.mtov)
def _mtov(folder: Path) -> Read:
    from talking_heads.moditalker_core.mtov.checkpoints import load_mtov

    def read() -> None:
        mtov = load_mtov(folder / "mtov.safetensors")
        with torch.inference_mode():
            mtov.rgb.decode_frame(torch.zeros(1, mtov.config.rgb.embed_dim, mtov.config.grid.length), 0)

    return read


@fmt("autoencoder", 25, seeds.autoencoder)
def _autoencoder(folder: Path) -> Read:
    from talking_heads.moditalker_core.mtov.checkpoints import load_autoencoder

    def read() -> None:
        network, _ = load_autoencoder(folder / "rgb.safetensors")
        with torch.inference_mode():
            network.encode_still(torch.zeros(1, 3, network.config.height, network.config.width))

    return read


@fmt("prior", 25, seeds.prior)
def _prior(folder: Path) -> Read:
    from talking_heads.hmtalker_core.model.motion import FaceMotionNet
    from talking_heads.hmtalker_core.training.prior import start_from_prior

    net = FaceMotionNet(audio_dim=80, audio_window=16, audio_kind="conv")
    return lambda: start_from_prior(net, folder / "prior.safetensors", "mel")


@fmt("avatar", 12, seeds.avatar)
def _avatar(folder: Path) -> Read:
    from talking_heads.hmtalker_core.checkpoints import load_avatar

    speech = seeds.speech(4)

    def read() -> None:
        avatar = load_avatar(folder / "avatar.safetensors")
        motion = avatar.drive(speech)
        for _ in avatar.render(motion, 0, 2, size=(24, 24), backend="cpu"):
            pass

    return read


@fmt("lpips", 4, seeds.lpips)
def _lpips(folder: Path) -> Read:
    from talking_heads.media_core.metrics.lpips import load_lpips

    return lambda: load_lpips(folder / "alex.safetensors")


@fmt("stored", 60, seeds.stored_features)
def _stored(folder: Path) -> Read:
    from talking_heads.media_core.audio import Sound
    from talking_heads.media_core.speech.stored import open_stored

    sound = Sound(np.zeros((1, 6400), np.float32), 16000)
    files = sorted(folder.iterdir())

    def read() -> None:
        for path in files:
            open_stored(path, rate=50.0, called="mine").encode(sound).frame_windows(25.0)

    return read


@fmt("syncnet", 4, seeds.syncnet)
def _syncnet(folder: Path) -> Read:
    from talking_heads.media_core.metrics.weights import Weights

    return lambda: Weights({"syncnet": folder / "syncnet.safetensors"}).syncnet()


@fmt("ave", 4, seeds.ave)
def _ave(folder: Path) -> Read:
    from talking_heads.media_core.speech.ave import load_ave

    return lambda: load_ave(folder / "ave.safetensors")


@fmt("hubert", 4, seeds.hubert)
def _hubert(folder: Path) -> Read:
    from talking_heads.media_core.speech.hubert import HubertEncoder

    return lambda: HubertEncoder.load(folder).features(np.zeros(1600, np.float32))


@fmt("impatom", 12, seeds.published_atom)
def _impatom(folder: Path) -> Read:
    from talking_heads.moditalker_core.atom.official import import_atom

    return lambda: import_atom(folder / "atom.pt", folder.parent / "imported_atom.safetensors")


@fmt("impmtov", 4, seeds.published_mtov)
def _impmtov(folder: Path) -> Read:
    from mtov_files import HEADS
    from talking_heads.moditalker_core.mtov.official import import_mtov

    files = [folder / f"{name}.pth" for name in ("autoencoder_rgb", "autoencoder_motion", "diffusion_model")]
    return lambda: import_mtov(*files, folder.parent / "imported_mtov.safetensors", **seeds.import_options(HEADS))


# data sets and states of trainings ----------------------------------------------------------------------------------------------

@fmt("motidx", 60, seeds.motion_data, "index.json")
@fmt("shard", 40, seeds.motion_data, "shards/*")
def _motion_data(folder: Path) -> Read:
    from talking_heads.moditalker_core.data.dataset import MotionDataset

    def read() -> None:
        data = MotionDataset.open(folder)
        for number, clip in enumerate(data.clips[:4]):
            data.speech(number), data.landmarks(number), data.poses(number)
            if clip.picture_size:
                data.pixels(number), data.frames_of(number, 0, 2), data.masks(number, 0, 2)

    return read


@fmt("latents", 20, seeds.latents)
def _latents(folder: Path) -> Read:
    def read() -> None:
        store = seeds.store(folder / "latents.safetensors")
        store.read([0]) if store.has(0) else None

    return read


@fmt("dspics", 20, seeds.avatar_data, "ori_imgs/0.jpg", "gt_imgs/0.jpg", "parsing/0.png", "torso_imgs/0.png", "teeth_mask/0.npy",
     "bc.jpg")
def _dspics(folder: Path) -> Read:
    from talking_heads.hmtalker_core.data.dataset import AvatarDataset

    return lambda: AvatarDataset.open(folder).frame(0)


@fmt("dswav", 8, seeds.avatar_data, "aud.wav")
def _dswav(folder: Path) -> Read:
    from talking_heads.hmtalker_core.data.dataset import AvatarDataset
    from talking_heads.hmtalker_core.training.batches import open_clip
    from talking_heads.media_core.progress import silent

    return lambda: open_clip(AvatarDataset.open(folder), "mel", torch.device("cpu"), silent)


@fmt("avstate", 4, seeds.avatar_state, "avatar.training.safetensors")
def _avstate(folder: Path) -> Read:
    from talking_heads.hmtalker_core.training.state import load_training

    clip = seeds.clip(folder / "data")
    return lambda: load_training(folder / "avatar.training.safetensors", clip, seeds.AVATAR, 0,
                                 lambda came: None).train_step()


@fmt("atstate", 12, seeds.atom_state, "atom.training.safetensors")
def _atstate(folder: Path) -> Read:
    def read() -> None:
        run = seeds.atom_run(folder / "data")
        run.load(folder / "atom.training.safetensors", seeds.same)
        run.train_step()

    return read


@fmt("rgbstate", 6, seeds.rgb_state, "rgb.training.safetensors")
@fmt("diffstate", 4, seeds.diffusion_state, "diffusion.training.safetensors")
def _mtov_state(folder: Path) -> Read:
    stage = next(folder.glob("*.training.safetensors")).name.split(".")[0]

    def read() -> None:
        run = seeds.mtov_run(folder, stage)
        run.load(folder / f"{stage}.training.safetensors", seeds.same)
        run.train_step()

    return read


# sound, films, pictures ---------------------------------------------------------------------------------------------------------

@fmt("audio", 60, seeds.sounds)
def _audio(folder: Path) -> Read:
    from talking_heads.media_core.audio import load_sound

    files = sorted(folder.iterdir())

    def read() -> None:
        for path in files:
            load_sound(path)

    return read


@fmt("film", 20, seeds.film)
def _film(folder: Path) -> Read:
    from talking_heads.media_core.video_reading import load_film_sound, probe, read_frames

    def read() -> None:
        path = folder / "film.mp4"
        probe(path)
        for _ in read_frames(path, 25.0):
            pass
        load_film_sound(path)

    return read


@fmt("image", 60, seeds.pictures)
def _image(folder: Path) -> Read:
    from talking_heads.cli.motion_jobs import read_picture

    files = sorted(folder.iterdir())

    def read() -> None:
        for path in files:
            read_picture(str(path))

    return read


@fmt("nodeimg", 20, seeds.pictures)
def _nodeimg(folder: Path) -> Read:
    """The stand-in for ComfyUI's own Load Image, which lets the library's errors out: for comparison."""
    import tempfile

    from pack import make_host
    from talking_heads.host.shim import folder_paths

    host = make_host(Path(tempfile.mkdtemp(prefix="fuzz_")))
    folder_paths.set_input_directory(str(folder))
    node, files = host.classes["LoadImage"], sorted(folder.iterdir())

    def read() -> None:
        for path in files:
            node.execute(path.name)

    return read
