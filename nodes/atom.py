"""AToM: load or import it, let speech and one face become motion, put the motion on a head."""
from __future__ import annotations

from typing import Any

import comfy.model_management as mm
from comfy_api.latest import io

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.paths import file_stem
from . import bridge, sockets

# moditalker_core, spelled out so that registering the pack imports no model code
OWN = "weights' own"
SAMPLERS = [OWN, "ddim", "ddim0", "dpm++", "unipc"]
WEIGHTS = ["raw", "ema"]
PRECISIONS = ["auto", "fp32", "bf16", "fp16"]
NONE, BUILT_IN = "none", "built-in"
CHECKPOINTS, MEAN_FACES = (".pt", ".pth"), (".mat", ".npy")  # what is read besides our own files
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
                io.Combo.Input("atom_name", options=bridge.model_files("atom"),
                               tooltip="An AToM file (.safetensors) from models/talking_heads, or one shipped with the pack. "
                                       "Published checkpoints (atom.pt) go through Import AToM once."),
                io.Combo.Input("precision", options=PRECISIONS, default="auto", advanced=True,
                               tooltip="Number format of the network: auto takes fp32 on a CPU and bf16 where the graphics card "
                                       "is made for it. Lips differ by hundredths of a millimetre."),
            ],
            outputs=[atom_output(), io.String.Output("about", display_name="about",
                                                     tooltip="What the file says of itself: size, speech encoder, sampling, how "
                                                             "it was trained, licence.")],
        )

    @classmethod
    def fingerprint_inputs(cls, atom_name: str, precision: str = "auto") -> str:
        return bridge.stamp(bridge.model_path(atom_name))

    @classmethod
    def execute(cls, atom_name: str, precision: str) -> io.NodeOutput:
        return io.NodeOutput(*loaded(atom_name, precision))


class ImportAToM(io.ComfyNode):
    """A published atom.pt to an AToM file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_ImportAToM",
            display_name="Import AToM",
            category="Talking Heads/MoDiTalker",
            description="Turns a checkpoint of MoDiTalker's audio-to-motion network (atom.pt in models/talking_heads) into a "
                        "file that Load AToM lists. Needed once. Mind the licence of the weights.",
            search_aliases=["atom.pt", "moditalker checkpoint", "convert checkpoint", "published weights"],
            inputs=[
                io.Combo.Input("checkpoint", options=[NONE, *bridge.loose_files(CHECKPOINTS)], default=NONE,
                               tooltip="A .pt or .pth file in models/talking_heads; press R when you have put one there."),
                io.Combo.Input("weights", options=WEIGHTS, default="raw",
                               tooltip="raw: as published inference uses them; ema: their running average, where the file has "
                                       "it."),
                io.Combo.Input("mean_face", options=[BUILT_IN, *bridge.loose_files(MEAN_FACES)], default=BUILT_IN,
                               tooltip="The face the weights measure motion from: your BFM_model_front.mat, or its 68 points as "
                                       ".npy, in models/talking_heads. built-in: the pack's own, which the published weights do "
                                       "not know."),
                io.Int.Input("heads", default=8, min=1, max=64, advanced=True,
                             tooltip="Attention heads, the one size a checkpoint does not tell; 8 in the published one."),
                io.String.Input("name", default="atom",
                                tooltip="The new file's name in models/talking_heads. A file of that name is replaced."),
                io.Boolean.Input("half", default=False, advanced=True,
                                 tooltip="Store 16-bit numbers: half the size, and hardly a difference."),
            ],
            outputs=[atom_output(), io.String.Output("file", display_name="file",
                                                     tooltip="The new file's name, as Load AToM lists it.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str, mean_face: str = BUILT_IN, **others: Any) -> tuple[str, ...]:
        return tuple(bridge.stamp(bridge.model_path(name)) for name in (checkpoint, mean_face) if name not in (NONE, BUILT_IN))

    @classmethod
    def execute(cls, checkpoint: str, weights: str, mean_face: str, heads: int, name: str, half: bool) -> io.NodeOutput:
        path = imported(checkpoint, weights, mean_face, heads, name, half)
        return io.NodeOutput(loaded(path.name, "auto")[0], path.name)


class GenerateMotion(io.ComfyNode):
    """TH_ATOM, TH_SPEECH and a portrait's TH_LANDMARKS to TH_LANDMARKS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_GenerateMotion",
            display_name="Generate Motion",
            category="Talking Heads/MoDiTalker",
            description="Speech and one face become motion: 68 points in space, frame by frame, for speech of any length. Shows "
                        "the moving face while it samples. The same seed gives the same motion.",
            search_aliases=["audio to motion", "speech to landmarks", "lip sync", "atom", "talking landmarks"],
            inputs=[
                sockets.Atom.Input("atom", tooltip="The network (Load AToM)."),
                sockets.Speech.Input("speech", tooltip="Encoded speech, by the encoder that the weights listen to."),
                sockets.Landmarks.Input("portrait", tooltip="The face that speaks (Portrait Landmarks); of a film, its first "
                                                            "frame. Canonical landmarks; pixels are turned to the front first."),
                *_sampling_inputs(),
            ],
            outputs=[sockets.Landmarks.Output("motion", display_name="motion",
                                              tooltip="Canonical landmarks, one row a film frame, as long as the speech.")],
        )

    @classmethod
    def execute(cls, atom: sockets.LoadedAToM, speech: Any, portrait: Any, seed: int, steps: int, sampler: str, guidance: float,
                silence_gate: bool, clip: float, eta: float, overlap: int) -> io.NodeOutput:
        from ..moditalker_core.atom.generation import SamplingSettings, generate_motion

        settings = SamplingSettings(
            sampler=None if sampler == OWN else sampler, steps=steps or None, guidance=_own(guidance), clip=_own(clip),
            eta=_own(eta), seed=seed, overlap=_own(overlap), gate=silence_gate,
            batch=1 if mm.is_device_cpu(mm.get_torch_device()) else _AT_ONCE)
        report = bridge.NodeReport()
        return io.NodeOutput(generate_motion(bridge.atom_on_device(atom), speech, canonical(portrait), settings, report))


class AlignMotion(io.ComfyNode):
    """Canonical TH_LANDMARKS and a head's place to TH_LANDMARKS in pixels."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_AlignMotion",
            display_name="Align Motion to Pose",
            category="Talking Heads/MoDiTalker",
            description="Puts motion on a head: on a film's, which turns and nods as filmed, or on a portrait's, which keeps "
                        "still. Canonical landmarks become pixels of that picture.",
            search_aliases=["pose transfer", "landmarks to pixels", "head pose", "project landmarks"],
            inputs=[
                sockets.Landmarks.Input("motion", tooltip="Canonical landmarks (Generate Motion)."),
                io.Int.Input("start_frame", default=0, min=0, max=10_000_000,
                             tooltip="Frame of the film's poses that belongs to the first frame of the motion. Where the film is "
                                     "shorter, its poses are played to and fro."),
                sockets.FaceTrack.Input("face_track", optional=True, tooltip="The head of a film (Track Face)."),
                sockets.Pose.Input("pose", optional=True, tooltip="A film's head pose instead."),
                sockets.Landmarks.Input("portrait", optional=True,
                                        tooltip="A portrait's landmarks in pixels instead (Portrait Landmarks): the head keeps "
                                                "still."),
                sockets.Landmarks.Input("canonical", optional=True,
                                        tooltip="The same portrait's canonical landmarks: a mouth at rest then lies on the "
                                                "picture's to the pixel. Only with a portrait."),
            ],
            outputs=[sockets.Landmarks.Output("landmarks", display_name="landmarks",
                                              tooltip="Landmarks in pixels, at the motion's rate.")],
        )

    @classmethod
    def execute(cls, motion: Any, start_frame: int, face_track: Any = None, pose: Any = None, portrait: Any = None,
                canonical: Any = None) -> io.NodeOutput:
        from ..moditalker_core.alignment import onto_portrait, onto_pose

        given = {"face_track": face_track, "pose": pose, "portrait": portrait}
        connected = [name for name, value in given.items() if value is not None]
        if len(connected) != 1:
            raise TalkingHeadsError("Align Motion to Pose needs a face track, a pose or a portrait, one of the three",
                                    " and ".join(connected) or "none", "Connect exactly one of them")
        if portrait is not None:
            return io.NodeOutput(onto_portrait(motion, portrait, canonical=canonical))
        return io.NodeOutput(onto_pose(motion, face_track if pose is None else pose, start=start_frame))


def atom_output() -> Any:
    return sockets.Atom.Output("atom", display_name="atom", tooltip="The network, for Generate Motion.")


def _sampling_inputs() -> list:
    return [
        io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                     tooltip="Which of the many ways to say the same; the same seed gives the same motion."),
        io.Int.Input("steps", default=0, min=0, max=1000,
                     tooltip="Sampling steps; 0 as the weights say. 10 to 20 suffice for dpm++ and unipc, 50 are usual for "
                             "ddim."),
        io.Combo.Input("sampler", options=SAMPLERS, default=OWN,
                       tooltip="ddim: as published; ddim0: without fresh noise; dpm++ and unipc: good with few steps."),
        io.Float.Input("guidance", default=-1.0, min=-1.0, max=20.0, step=0.1,
                       tooltip="How strictly the lips follow the speech: 1 as learnt, more exaggerates, 0 ignores it; below 0 as "
                               "the weights say."),
        io.Boolean.Input("silence_gate", default=True,
                         tooltip="Close the mouth where nobody speaks for 0.3 s or longer."),
        io.Float.Input("clip", default=-1.0, min=-1.0, max=100.0, step=0.1, advanced=True,
                       tooltip="How far a point may be predicted off the initial face, in centimetres; 0: any distance; below 0 "
                               "as the weights say."),
        io.Float.Input("eta", default=-1.0, min=-1.0, max=1.0, step=0.05, advanced=True,
                       tooltip="Share of fresh noise in every step of ddim; below 0 as the weights say."),
        io.Int.Input("overlap", default=-1, min=-1, max=10_000, advanced=True,
                     tooltip="Frames that neighbouring windows share, at most half a window; below 0 a third of a window, at "
                             "most 32."),
    ]


def _own(value: Any) -> Any:
    """None, which leaves it to the weights, for numbers below 0."""
    return None if value < 0 else value


def canonical(portrait: Any) -> Any:
    """A portrait's landmarks from the front; those in pixels are turned there."""
    if portrait.space == "canonical":
        return portrait
    from ..media_core.face.pose.canonical import canonical_portrait

    return canonical_portrait(portrait.points[0, :, :2].numpy(), portrait.image_size)


def loaded(name: str, precision: str) -> tuple[sockets.LoadedAToM, str]:
    """An AToM file with its patcher, and what it says of itself."""
    from ..moditalker_core.atom.checkpoints import load_atom

    path = bridge.model_path(name)
    atom = load_atom(path, dtype=bridge.number_format(precision))
    return bridge.wrapped_atom(atom, path.stem), f"{path.name}\n{about(atom)}"


def about(atom: Any) -> str:
    """An AToM in a few lines."""
    config, size = atom.config, sum(p.numel() for p in atom.denoiser.parameters())
    clip = "" if config.clip is None else f", clipped at {config.clip:g} cm"
    made = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in config.training.items()) or "not told"
    return (f"{size / 1e6:.1f} million weights, windows of {config.denoiser.seq_len} frames at {config.fps:g} frames/s\n"
            f"listens to {config.speech.encoder}, layer {config.speech.layer}\n"
            f"sampling: {config.sampler}, {config.steps} steps, guidance {config.guidance:g}{clip}\n"
            f"training: {made}\nlicence: {config.licence or 'not told'}")


def imported(checkpoint: str, weights: str, mean_face: str, heads: int, name: str, half: bool) -> Any:
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
