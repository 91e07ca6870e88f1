"""The shipped workflows: what they are called in the page, their notes, and where their nodes stand."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .layout import Plan


@dataclass(frozen=True)
class App:
    """A form: the widgets it shows, from the top, as (node id, widget, label or "" for its usual one), and the nodes whose
    results it shows."""

    inputs: Sequence[tuple[str, str, str]]
    outputs: Sequence[str]


@dataclass(frozen=True)
class Page:
    """A workflow in the page.

    Attributes:
        name: of the API form, `workflows/api/<name>.json`.
        title: of the page form, `workflows/<title>.json`, which is what the template browser shows.
        note: Markdown; bold instead of code, which Nodes 2.0 draws unreadably.
    """

    name: str
    title: str
    note: str
    plan: Plan
    app: App | None = None


_OWN = "**choose file to upload** on"
_SYNTHETIC = "The demo face is synthetic: a warped NASA portrait (Eileen Collins, public domain). She never said these words."



def _train_moditalker() -> Page:
    """Where training of MoDiTalker begins."""
    return Page("train_moditalker", "9 Train MoDiTalker", """\
## Train MoDiTalker: speech to motion, motion to video

Press **Run**: many hours without a GPU; try it with a **training length** of 0.01. You can stop at any time: running it again
continues. **Load AToM** and **Load MToV** load the results.

- **Your own videos:** on **People to learn from** set **source** to videos, and name their folder. Film people only with their
  consent.
- **Only fine-tune:** name an MToV on **Train MToV: diffusion**; AToM has template 10.
- **With a GPU:** image size 256 and the preset **standard** everywhere. The memory is planned before training starts.""",
                Plan([["1"], ["note", "2"], ["3"], ["4"], ["5"]],
                     {"Dataset": ["1"], "Motion": ["2"], "Training": [*"345"]}, gutter=56))


def _finetune_atom() -> Page:
    """AToM learns how a user moves the lips."""
    return Page("finetune_atom", "10 Fine-tune AToM", """\
## Lips learn from your own videos

Press **Run** to see it with the demo video. For your own:

1. Put videos into a folder inside ComfyUI's **input** folder, and name it on **Videos of you talking**: one person facing the
   camera, with audio; two minutes are enough. Film people only with their consent.
2. Name the dataset and the file, and run. The demo AToM adapts to your lips and voice in some minutes on a CPU; **Synthetic
   people** keep what it knew before.

Then open template **2 Talking portrait** and choose the file on **Load AToM**.

Leave **training length** at 1: more steps learn two minutes by heart. You can stop: running it again continues.""",
                Plan([["1"], ["2"], ["note", "3"]], {"Recording": ["1"], "Dataset": ["2"], "Training": ["3"]},
                     widths=(1, 1, 1.3), width=1300),
                App([("1", "videos", "folder of videos of you talking"), ("1", "name", "dataset name"),
                     ("3", "name", "AToM name"), ("3", "steps", "")], ["3"]))


PAGES = (
    Page("avatar_speech_to_video", "1 Talking avatar", f"""\
## An avatar speaks

Press **Run**. The video appears on **Save Video** and is written to **output/talking_heads**.

- **Your own speech:** {_OWN} **Speech**.
- **Your own avatar:** make one with the template **3 Video to avatar**, then choose it on **Load Avatar**.

{_SYNTHETIC}""",
         Plan([["note", "1", "3"], ["2", "4"], ["5"], ["6"]],
              {"Input": [*"13"], "Motion": [*"24"], "Video": [*"56"]}, widths=(1, 1, 1, 1.2), width=1560),
         App([("1", "audio", "speech"), ("3", "avatar_name", "avatar"), ("4", "lip_gain", ""), ("4", "blinks", ""),
              ("4", "seed", "")], ["6"])),
    Page("portrait_to_talking_video", "2 Talking portrait", f"""\
## A portrait speaks

Press **Run**. The nodes show the moving face, then the frames; the video appears on **Save Video**.

- **Your own portrait:** {_OWN} **Portrait**: a photo or a painting of any size. Use images of people only with their consent.
- **Your own speech:** {_OWN} **Speech**. It may be of any length.
- **Head movement and blinks:** **life** on **Motion to Video (file)**; 0 moves the mouth alone.

{_SYNTHETIC}""",
         Plan([["note", "1", "2"], ["6", "7", "3"], ["8"], ["10"], ["11"]],
              {"Input": [*"12"], "Landmarks": [*"6"], "Speech": [*"73"], "Motion": [*"8"],
               "Video": ["10", "11"]}, widths=(1, 1, 1, 1, 1.25), gutter=56),
         App([("1", "image", "portrait"), ("2", "audio", "speech"), ("8", "seed", "seed of the motion"),
              ("10", "life", "head movement and blinks"), ("10", "seed", "seed of the head movement")], ["11"])),
    Page("video_to_avatar", "3 Video to avatar", """\
## A video of you becomes your avatar

Press **Run** to see it with the demo video. For your own avatar:

1. **Choose file to upload** on **Video of you talking**: one person facing the camera for half a minute to a few minutes, with
   audio, a fixed camera and even light. Film people only with their consent.
2. Name the dataset and the avatar; set the dataset's **size** to 512 and the **training length** to 1.
3. Run, and read the **Quality report**. Record again what it criticises.

The preset **demo** takes minutes; **standard** needs a GPU. You can stop at any time: running it again continues.""",
         Plan([["note", "1", "5"], ["2"], ["4"], ["6", "7", "3"], ["8", "9"]],
              {"Input": [*"15"], "Dataset": [*"2"], "Training": [*"4"], "Motion": [*"67"], "Report": [*"3"], "Video": [*"89"]},
              widths=(1, 1.05, 1.15, 1, 0.95), gutter=56),
         App([("1", "file", "video of you talking"), ("2", "name", "dataset name"), ("4", "name", "avatar name"),
              ("4", "preset", ""), ("4", "steps", ""), ("5", "audio", "what the avatar says")], ["9", "3"])),
    Page("portrait_edited_motion_to_video", "4 Edit the motion", f"""\
## Edit the motion

Press **Run**. Then draw on **Edit Motion**, press its **Play**, and run again: the video moves as you drew.

- **Your own portrait and speech:** {_OWN} **Portrait** and **Speech**.
- Frames are held in memory: for minutes of speech use **Motion to Video (file)**.

{_SYNTHETIC}""",
         Plan([["note", "1", "2"], ["6", "7", "3"], ["8", "9", "10"], ["11"], ["12", "14"], ["15"]],
              {"Input": [*"12"], "Landmarks": [*"6"], "Speech": [*"73"], "Motion": ["8", "9", "10", "11"],
               "Video": ["12", "14", "15"]}, widths=(1.2, 0.95, 1, 1.9, 1, 1.05), gutter=38)),
    Page("speech_to_motion", "5 Speech to motion", f"""\
## Speech moves a portrait's landmarks

Press **Run**. **Generate Motion** shows the face while sampling; the video of the landmarks appears on **Save Video**.

- **Your own portrait and speech:** {_OWN} **Portrait** and **Speech**.
- **More or less mouth movement:** the factor of **Scale Mouth**.
- **A moving head:** give **Align Motion to Pose** the face track of a video instead of the portrait.

{_SYNTHETIC}""",
         Plan([["note", "1", "2"], ["4", "5", "3"], ["6", "7", "8"], ["9", "10"], ["11"]],
              {"Input": [*"12"], "Landmarks": [*"4"], "Speech": [*"53"], "Motion": [*"678"], "Video": ["9", "10", "11"]},
              widths=(1, 1, 1, 1, 1.2), gutter=56)),
    Page("train_avatar", "6 Train an avatar", """\
## Train a synthetic avatar

Press **Run**. An avatar of a synthetic subject is trained, and speaks new sentences.

- **Your own recording:** template **3 Video to avatar**.
- For a good one set **training length** to 1; it can be stopped and continued.""",
         Plan([["note", "4"], ["1"], ["2", "5"], ["3"], ["6", "7"], ["8"]],
              {"Recording": [*"1"], "New speech": [*"4"], "Dataset": [*"2"], "Speech": [*"5"], "Training": [*"3"],
               "Video": [*"678"]},
              widths=(1, 1, 1, 1.1, 1, 1.2), gutter=56)),
    Page("audio_batch", "7 Audio batch", """\
## Many recordings, one video each

Press **Run**. Every recording of the folder is spoken by the avatar; each video is written to **output/talking_heads**.

- **Your own recordings:** put them into a folder inside ComfyUI's **input** folder and choose it on **Load Audio Batch**.
- **Your own avatar:** choose it on **Load Avatar**.""",
         Plan([["note", "1", "3"], ["2", "4"], ["5"], ["6"]],
              {"Input": [*"13"], "Motion": [*"24"], "Video": [*"56"]}, widths=(1, 1, 1, 1.2), width=1560),
         App([("1", "folder", "folder of recordings"), ("1", "pattern", ""), ("3", "avatar_name", "avatar"),
              ("4", "lip_gain", "")], ["6"])),
    Page("photo_to_avatar", "8 Photo to avatar", f"""\
## One photo becomes an avatar

Press **Run** to see it with the demo portrait; with another one:

1. {_OWN} **Portrait**: one face seen from the front, with hair and shoulders. Use images of people only with their consent.
2. Name the recording and the avatar, and run. The photo is rigged and reads sentences; an avatar learns from that, and says your
   **Speech**.

Some seven minutes of a quiet CPU. Real voices move the lips less: **lip_gain** makes up for it. You can stop at any time:
running it again continues.

{_SYNTHETIC}""",
         Plan([["note", "1"], ["2"], ["3", "5", "6"], ["4"], ["7", "8"], ["9"]],
              {"Input": [*"1"], "Recording": [*"2"], "Dataset": [*"3"], "New speech": [*"56"], "Training": [*"4"],
               "Video": [*"789"]},
              widths=(1, 1, 1, 1.1, 1, 1.2), gutter=56),
         App([("1", "image", "portrait"), ("2", "name", "dataset name"), ("4", "name", "avatar name"), ("4", "steps", ""),
              ("5", "audio", "what the avatar says"), ("7", "lip_gain", "")], ["9", "3"])),
    _train_moditalker(),
    _finetune_atom(),
    Page("expression_transfer", "11 Expression transfer", f"""\
## Your face moves the avatar's

Press **Run**: the avatar speaks and moves as the driving video does.

- **Your own video:** {_OWN} **Driving video**: one person facing the camera, with audio. Film people only with their consent.
- **Your own avatar:** make one with template **3**, then choose it on **Load Avatar**.
- **Stronger or calmer:** **scale factor** on **Upper face**, **amount** on **Head Pose**.

{_SYNTHETIC}""",
         Plan([["note", "1", "2"], ["3", "4"], ["6", "7", "5", "8"], ["9"], ["10"]],
              {"Input": [*"12"], "Landmarks": [*"34"], "Motion": [*"5678"], "Video": ["9", "10"]},
              widths=(1, 1, 1, 1, 1.2), gutter=56)),
    Page("avatar_player", "12 Avatar in 3D", f"""\
## The avatar speaks in 3D

Press **Run**. Then play it on **Preview Avatar in 3D**, and drag the image to turn the head. The browser draws it: no video is
needed to see your avatar. **Save Video** has one all the same.

- **Your own speech:** {_OWN} **Speech**.
- **Your own avatar:** make one with template **3 Video to avatar**, then choose it on **Load Avatar**.
- **Turned far**, the edges of hair and shoulders show streaks: the recording saw the head from the front.
- **To send it:** the command **talking-heads export** writes one HTML page with the avatar and its speech.

{_SYNTHETIC}""",
         Plan([["note", "1", "3"], ["2", "4"], ["5"], ["6", "7"]],
              {"Input": [*"13"], "Motion": [*"24"], "Video": [*"567"]}, widths=(1, 1, 2, 0.9))),
)
BY_NAME = {page.name: page for page in PAGES}
