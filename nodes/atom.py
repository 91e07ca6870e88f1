"""AToM: load or import it, generate motion from speech and one face, put the motion on a head."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import comfy.model_management as mm
from comfy_api.latest import io

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.paths import file_stem
from ..moditalker_core import choices
from . import bridge, saying, sockets
from .automatic import AUTO, Automatic, Value, check

if TYPE_CHECKING:
    from ..media_core.face.track import FaceTrack
    from ..media_core.motion import LandmarkTrack, PoseTrack
    from ..media_core.speech import Speech
    from ..moditalker_core.atom.model import AToM

# moditalker_core, spelled out so that registering the pack imports no model code
OWN = "weights' own"
SAMPLERS = [OWN, *choices.SAMPLERS]
WEIGHTS = ["raw", "ema"]
PRECISIONS = ["auto", "fp32", "bf16", "fp16"]
NONE, BUILT_IN = "none", "built-in"
CHECKPOINTS, MEAN_FACES = (".pt", ".pth"), (".mat", ".npy")  # what is read besides our own files
SAMPLING = (STEPS, GUIDANCE, CLIP, ETA, OVERLAP) = (
    Automatic("steps", 1, 1000, whole=True), Automatic("guidance", 0, 20), Automatic("clip", 0, 100, label="max offset (cm)"),
    Automatic("eta", 0, 1), Automatic("overlap", 0, 10_000, whole=True, label="overlap (frames)"))
STORED = "the value stored with the weights"
_AT_ONCE = 8  # windows computed together on an accelerator; on a CPU one is as fast


class LoadAToM(io.ComfyNode):
    """An AToM file to TH_ATOM."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_LoadAToM",
            display_name="Load AToM",
            category="Talking Heads/MoDiTalker",
            description="Loads audio-to-motion weights from models/talking_heads, or the demo weights that come with the pack.",
            search_aliases=["audio to motion", "moditalker", "speech to landmarks", "motion diffusion model"],
            inputs=[
                io.Combo.Input("atom_name", display_name="AToM file", options=bridge.model_files("atom"),
                               tooltip="An AToM file (.safetensors) in models/talking_heads, or the one that comes with the "
                                       "pack. Official checkpoints (atom.pt) must go through Import AToM once."),
                io.Combo.Input("precision", options=PRECISIONS, default="auto", advanced=True,
                               tooltip="Number format of the network: auto uses fp32 on a CPU and bf16 on a GPU that supports "
                                       "it. Lips differ by hundredths of a millimetre."),
            ],
            outputs=[atom_output(), io.String.Output("about", display_name="about",
                                                     tooltip="What the file says about itself: size, speech encoder, sampling, "
                                                             "training, licence.")],
            has_intermediate_output=True,
        )

    @classmethod
    def fingerprint_inputs(cls, atom_name: str, precision: str = "auto") -> str:
        return bridge.stamp(bridge.model_path(atom_name))

    @classmethod
    def execute(cls, atom_name: str, precision: str) -> io.NodeOutput:
        atom, text = loaded(atom_name, precision)
        return io.NodeOutput(atom, text, ui=saying.said(text))


class ImportAToM(io.ComfyNode):
    """An official atom.pt to an AToM file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_ImportAToM",
            display_name="Import AToM",
            category="Talking Heads/MoDiTalker",
            description="Converts a checkpoint of MoDiTalker's audio-to-motion network (atom.pt in models/talking_heads) to a "
                        "file that Load AToM lists. Needed only once. Check the licence of the weights.",
            search_aliases=["atom.pt", "moditalker checkpoint", "convert checkpoint", "published weights"],
            inputs=[
                io.Combo.Input("checkpoint", options=[NONE, *bridge.loose_files(CHECKPOINTS)], default=NONE,
                               tooltip="A .pt or .pth file in models/talking_heads; press R after adding one."),
                io.Combo.Input("weights", options=WEIGHTS, default="raw",
                               tooltip="raw: the weights that the official inference uses; ema: their moving average, if the "
                                       "file has one."),
                io.Combo.Input("mean_face", options=[BUILT_IN, *bridge.loose_files(MEAN_FACES)], default=BUILT_IN,
                               tooltip="The face from which the weights measure motion: your BFM_model_front.mat, or its 68 "
                                       "points as .npy, in models/talking_heads. built-in: the pack's own, which the official "
                                       "weights were not trained with."),
                io.Int.Input("heads", display_name="attention heads", default=8, min=1, max=64, advanced=True,
                             tooltip="Number of attention heads, the only size that a checkpoint does not tell; 8 in the "
                                     "official one."),
                io.String.Input("name", display_name="file name", default="atom",
                                tooltip="Name of the new file in models/talking_heads. An existing file of that name is "
                                        "replaced."),
                io.Boolean.Input("half", display_name="half precision", default=False, advanced=True,
                                 tooltip="Store 16-bit numbers: half the size, almost no difference."),
            ],
            outputs=[atom_output(), io.String.Output("file", display_name="file",
                                                     tooltip="Name of the new file, as Load AToM lists it.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str, mean_face: str = BUILT_IN, **others: object) -> tuple[str, ...]:
        return tuple(bridge.stamp(bridge.model_path(name)) for name in (checkpoint, mean_face) if name not in (NONE, BUILT_IN))

    @classmethod
    def execute(cls, checkpoint: str, weights: str, mean_face: str, heads: int, name: str, half: bool) -> io.NodeOutput:
        path = imported(checkpoint, weights=weights, mean_face=mean_face, heads=heads, name=name, half=half)
        atom, text = loaded(path.name, "auto")
        return io.NodeOutput(atom, path.name, ui=saying.model_saved(path, text))


class GenerateMotion(io.ComfyNode):
    """TH_ATOM, TH_SPEECH and a portrait's TH_LANDMARKS to TH_LANDMARKS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_GenerateMotion",
            display_name="Generate Motion",
            category="Talking Heads/MoDiTalker",
            description="Generates motion from speech and one face: 68 points in 3D for every frame, for speech of any length. "
                        "Shows the moving face while sampling. The same seed gives the same motion.",
            search_aliases=["audio to motion", "speech to landmarks", "lip sync", "atom", "talking landmarks"],
            inputs=[
                sockets.Atom.Input("atom", display_name="AToM", tooltip="The network (Load AToM)."),
                sockets.Speech.Input("speech", tooltip="Encoded speech, from the encoder that the weights were trained with."),
                sockets.Landmarks.Input("portrait", tooltip="The face that speaks (Portrait Landmarks); for a video, its first "
                                                            "frame is used. Canonical landmarks; landmarks in pixels are first "
                                                            "turned to face forward."),
                *_sampling_inputs(),
            ],
            outputs=[sockets.Landmarks.Output("motion", display_name="motion",
                                              tooltip="Canonical landmarks, one set per frame, as long as the speech.")],
        )

    @classmethod
    def validate_inputs(cls, steps: Value = AUTO, guidance: Value = AUTO, clip: Value = AUTO, eta: Value = AUTO,
                        overlap: Value = AUTO) -> bool | str:
        return check(SAMPLING, steps, guidance, clip, eta, overlap)

    @classmethod
    def execute(cls, atom: sockets.LoadedAToM, speech: Speech, portrait: LandmarkTrack, seed: int, steps: Value, sampler: str,
                guidance: Value, silence_gate: bool, clip: Value, eta: Value, overlap: Value) -> io.NodeOutput:
        from ..moditalker_core.atom.generation import SamplingSettings, generate_motion

        settings = SamplingSettings(
            sampler=None if sampler == OWN else sampler, steps=STEPS.read_whole(steps), guidance=GUIDANCE.read(guidance),
            clip=CLIP.read(clip), eta=ETA.read(eta), seed=seed, overlap=OVERLAP.read_whole(overlap), gate=silence_gate,
            batch=1 if mm.is_device_cpu(mm.get_torch_device()) else _AT_ONCE)
        report = bridge.NodeReport()
        return io.NodeOutput(generate_motion(bridge.on_device(atom), speech, canonical(portrait), settings, report))


class AlignMotion(io.ComfyNode):
    """Canonical TH_LANDMARKS and a head pose to TH_LANDMARKS in pixels."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_AlignMotion",
            display_name="Align Motion to Pose",
            category="Talking Heads/MoDiTalker",
            description="Puts motion on a head: the head of a video, which turns and nods as recorded, or of a portrait, which "
                        "stays still. Canonical landmarks become pixels of that image.",
            search_aliases=["pose transfer", "landmarks to pixels", "head pose", "project landmarks"],
            inputs=[
                sockets.Landmarks.Input("motion", tooltip="Canonical landmarks (Generate Motion)."),
                io.Int.Input("start_frame", default=0, min=0, max=10_000_000,
                             tooltip="The video frame whose pose goes with the first frame of the motion. If the video is "
                                     "shorter, its poses are repeated ping-pong."),
                sockets.FaceTrack.Input("face_track", optional=True, tooltip="The head of a video (Track Face)."),
                sockets.Pose.Input("pose", optional=True, tooltip="The head pose of a video, instead of a face track."),
                sockets.Landmarks.Input("portrait", optional=True,
                                        tooltip="Landmarks of a portrait in pixels (Portrait Landmarks), instead of a face "
                                                "track: the head stays still."),
                sockets.Landmarks.Input("canonical", optional=True,
                                        tooltip="Canonical landmarks of the same portrait: a mouth at rest then matches the "
                                                "portrait's mouth exactly. Only with a portrait."),
            ],
            outputs=[sockets.Landmarks.Output("landmarks", display_name="landmarks",
                                              tooltip="Landmarks in pixels, at the frame rate of the motion.")],
        )

    @classmethod
    def execute(cls, motion: LandmarkTrack, start_frame: int, face_track: FaceTrack | None = None, pose: PoseTrack | None = None,
                portrait: LandmarkTrack | None = None, canonical: LandmarkTrack | None = None) -> io.NodeOutput:
        from ..moditalker_core.alignment import onto_portrait, onto_pose

        given = {"face_track": face_track, "pose": pose, "portrait": portrait}
        connected = [name for name, value in given.items() if value is not None]
        if len(connected) != 1:
            raise TalkingHeadsError("Align Motion to Pose needs one of: a face track, a pose, a portrait",
                                    " and ".join(connected) or "none", "Connect exactly one of them")
        if portrait is not None:
            return io.NodeOutput(onto_portrait(motion, portrait, canonical=canonical))
        head = face_track if pose is None else pose
        assert head is not None  # one of the three is connected
        return io.NodeOutput(onto_pose(motion, head, start=start_frame))


def atom_output() -> io.Output:
    return sockets.Atom.Output("atom", display_name="atom", tooltip="The network, for Generate Motion.")


def _sampling_inputs() -> list:
    return [
        io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                     tooltip="Speech can be spoken in many ways; the seed picks one. The same seed gives the same motion."),
        STEPS.input("Number of sampling steps. 10 to 20 are enough for dpm++ and unipc; ddim usually takes 50.", STORED),
        io.Combo.Input("sampler", options=SAMPLERS, default=OWN,
                       tooltip="ddim: as in the official code; ddim0: DDIM with eta 0, no fresh noise; dpm++ and unipc: good "
                               "with few steps."),
        GUIDANCE.input("How strongly the lips follow the speech: 1 as trained, above 1 exaggerated, 0 ignores the speech.",
                       STORED),
        io.Boolean.Input("silence_gate", default=True,
                         tooltip="Close the mouth where nobody speaks: in silence, noise and music without a voice, and in "
                                 "pauses of 0.6 s or longer."),
        CLIP.input("Limit on how far a predicted point may be from the initial face, in centimetres; 0: no limit.", STORED,
                   advanced=True),
        eta_input(),
        OVERLAP.input("Frames that neighbouring windows share, at most half a window.", "a third of a window, at most 32",
                      advanced=True),
    ]


def eta_input() -> io.Input:
    return ETA.input("Fraction of fresh noise added in every step of ddim.", STORED, advanced=True)


def canonical(portrait: LandmarkTrack) -> LandmarkTrack:
    """Landmarks of a portrait, facing forward; those in pixels are turned first."""
    if portrait.space == "canonical":
        return portrait
    from ..media_core.face.pose.canonical import canonical_portrait

    assert portrait.image_size is not None  # landmarks in pixels have one
    return canonical_portrait(portrait.points[0, :, :2].numpy(), portrait.image_size)


def loaded(name: str, precision: str) -> tuple[sockets.LoadedAToM, str]:
    """An AToM file with its patcher, and what it says of itself."""
    from ..moditalker_core.atom.checkpoints import load_atom

    path = bridge.model_path(name)
    atom = load_atom(path, dtype=bridge.number_format(precision))
    return bridge.wrapped_atom(atom, path.stem), f"{path.name}\n{about(atom)}"


def about(atom: AToM) -> str:
    """An AToM in a few lines."""
    config, size = atom.config, sum(p.numel() for p in atom.denoiser.parameters())
    clip = "" if config.clip is None else f", clipped at {config.clip:g} cm"
    made = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in config.training.items()) or "not stated"
    return (f"{size / 1e6:.1f} million weights, windows of {config.denoiser.seq_len} frames at {config.fps:g} fps\n"
            f"speech encoder {config.speech.encoder}, layer {config.speech.layer}\n"
            f"sampling: {config.sampler}, {config.steps} steps, guidance {config.guidance:g}{clip}\n"
            f"training: {made}\nlicence: {config.licence or 'not stated'}")


def imported(checkpoint: str, *, weights: str, mean_face: str, heads: int, name: str, half: bool) -> Path:
    """Writes the AToM file and returns its path."""
    from ..moditalker_core.atom.official import import_atom
    from ..moditalker_core.bfm import read_key_mean_shape

    if checkpoint == NONE:
        raise FileFormatError("Import AToM needs a checkpoint", "none is chosen",
                              "Put atom.pt into models/talking_heads, press R and choose it")
    mean = None if mean_face == BUILT_IN else read_key_mean_shape(bridge.model_path(mean_face))
    return import_atom(bridge.model_path(checkpoint), bridge.new_model_path(file_stem(name)), weights=weights,
                       key_mean_shape=mean, heads=heads, half=half,
                       licence="as the published checkpoint's; it carries none of its own")


NODES = (LoadAToM, ImportAToM, GenerateMotion, AlignMotion)
