"""Draws workflows/*.jpg, the template browser's images, from the workflows' own results: `python tests/make_thumbnails.py`.

The page asks for .jpg whatever the image is: these are animated WebP, which browsers tell by its content.
"""
from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pack import ROOT, make_host
from pages.catalogue import PAGES, Page
from PIL import Image, ImageChops, ImageDraw

SIDE, FPS, SECONDS, QUALITY = 320, 12.5, 2.4, 60  # px, frames per second, s, of WebP
LARGEST = 250_000  # bytes
SHORT = "talking_heads_demo_speech_short.wav"
# Changes that keep the run short; the results are those of the workflow.
QUICK = {"avatar_speech_to_video": {"1": {"audio": SHORT}}, "speech_to_motion": {"2": {"audio": SHORT}},
         "train_avatar": {"1": {"seconds": 12.0}, "3": {"steps": 0.05}, "4": {"seconds": 2.4}},
         "photo_to_avatar": {"2": {"seconds": 12.0}, "4": {"steps": 0.05}}}
Frames = Sequence[Image.Image]


def videos(page: Page, base: Path) -> list[Frames]:
    """Runs the workflow; the frames of each video that it saves."""
    from talking_heads.media_core.video import read_frames

    host = make_host(base)
    prompt, _ = host.load(str(ROOT / "workflows" / "api" / f"{page.name}.json"))
    for node_id, inputs in QUICK.get(page.name, {}).items():
        prompt[node_id]["inputs"] |= inputs
    extra(page, prompt)
    result = host.run(prompt)
    if result.status != "success":
        raise SystemExit(f"{page.title}: {result.error}")
    return [thinned(list(read_frames(path))) for path in sorted((base / "output").rglob("*.mp4"))]


def extra(page: Page, prompt: dict) -> None:
    """Nodes that save what a thumbnail shows besides the workflow's own result; their files come first."""
    def save(name: str, video: list) -> dict:
        return {"class_type": "SaveVideo", "inputs": {"video": video, "filename_prefix": name, "format": "auto", "codec": "auto"}}

    def joined(images: list) -> dict:
        return {"class_type": "CreateVideo", "inputs": {"images": images, "fps": 25.0}}

    if page.name == "portrait_edited_motion_to_video":
        prompt["89"] = {"class_type": "MoDiTalker_AlignMotion", "inputs": {"motion": ["10", 0], "start_frame": 0,
                                                                           "portrait": ["6", 1], "canonical": ["6", 0]}}
        prompt["90"] = {"class_type": "TalkingHead_PreviewLandmarks",
                        "inputs": {"size": 512, "start_frame": 0, "frame_count": 0, "dots": False, "landmarks": ["89", 0]}}
        prompt |= {"91": joined(["90", 0]), "92": save("a_landmarks", ["91", 0])}
    elif page.name == "speech_to_motion":
        prompt["90"] = {"class_type": "TalkingHead_PreviewLandmarks", "inputs": {**prompt["9"]["inputs"]}}
        del prompt["90"]["inputs"]["images"]
        prompt |= {"91": joined(["90", 0]), "92": save("a_landmarks", ["91", 0])}
    elif page.name == "video_to_avatar":
        prompt["92"] = save("a_video", ["1", 0])
    elif page.name == "train_avatar":
        prompt |= {"91": joined(["1", 1]), "92": save("a_subject", ["91", 0])}


def thinned(frames: Sequence[np.ndarray]) -> Frames:
    """At most SECONDS of a video of 25 frames per second."""
    chosen = [frames[i] for i in range(0, min(len(frames), round(SECONDS * 25)), round(25 / FPS))]
    return [Image.fromarray(frame).convert("RGB") for frame in chosen]


def fitted(frame: Image.Image, width: int, height: int, zoom: float = 1.0) -> Image.Image:
    """The middle of a frame."""
    scale = zoom * max(width / frame.width, height / frame.height)
    frame = frame.resize((round(frame.width * scale), round(frame.height * scale)), Image.Resampling.LANCZOS)
    left, top = (frame.width - width) // 2, (frame.height - height) // 2
    return frame.crop((left, top, left + width, top + height))


def beside(parts: Sequence[Image.Image], zoom: float = 1.0) -> Image.Image:
    """Parts next to each other, a line between."""
    width = (SIDE - 4 * (len(parts) - 1)) // len(parts)
    image = Image.new("RGB", (SIDE, SIDE), "white")
    for i, part in enumerate(parts):
        image.paste(fitted(part, width, SIDE, zoom), (i * (width + 4), 0))
    return image


def inset(face: Image.Image, small: Image.Image) -> Image.Image:
    """The portrait that the face was made from, in a corner."""
    image, card = fitted(face, SIDE, SIDE), fitted(small, 84, 84)
    ImageDraw.Draw(image).rectangle((SIDE - 98, SIDE - 98, SIDE - 9, SIDE - 9), fill="white")
    image.paste(card, (SIDE - 95, SIDE - 95))
    return image


def lit(landmarks: Image.Image, face: Image.Image) -> Image.Image:
    """Landmarks over a dimmed face."""
    dimmed = Image.blend(Image.new("RGB", landmarks.size), face.resize(landmarks.size), 0.4)
    return ImageChops.lighter(landmarks, dimmed)


def form(frame: Image.Image) -> Image.Image:
    """A player and a form, as the page shows an app."""
    image = Image.new("RGB", (SIDE, SIDE), "#202124")
    image.paste(fitted(frame, 208, 208), (10, 56))
    draw = ImageDraw.Draw(image)
    for row in range(4):
        draw.rounded_rectangle((230, 58 + 40 * row, 278, 64 + 40 * row), 3, fill="#9aa0a6")
        draw.rounded_rectangle((230, 70 + 40 * row, 310, 86 + 40 * row), 4, fill="#3c4043")
    draw.rounded_rectangle((230, 236, 310, 264), 6, fill="#2f8ff0")
    draw.polygon([(262, 243), (262, 257), (276, 250)], fill="white")
    return image


def drawn(page: Page, found: Sequence[Frames]) -> Frames:
    """The frames of a workflow's thumbnail."""
    last = found[-1]
    portrait = Image.open(ROOT / "demo" / "demo_portrait.jpg").convert("RGB")
    ways: dict[str, Callable[[int], Image.Image]] = {
        "portrait_to_talking_video": lambda i: inset(last[i], portrait),
        "portrait_edited_motion_to_video": lambda i: beside([found[0][i], last[i]], 1.15),
        "speech_to_motion": lambda i: fitted(lit(found[0][i], last[i]), SIDE, SIDE, 1.25),
        "video_to_avatar": lambda i: beside([found[0][i], last[i]], 1.15),
        "train_avatar": lambda i: beside([found[0][i % len(found[0])], last[i]], 1.15),
        "photo_to_avatar": lambda i: inset(last[i], portrait),
        "audio_batch": lambda i: beside([frames[i % len(frames)] for frames in found], 1.1),
    }
    draw = ways.get(page.name, lambda i: fitted(last[i], SIDE, SIDE))
    count = len(last) if page.name == "train_avatar" else min(len(found[0]), len(last))  # its subject is shown in a few images
    return [draw(i) for i in range(count)]


COMPOSED = {"train_moditalker": ("5 Speech to motion", "2 Talking portrait"),
            "finetune_atom": ("3 Video to avatar", "5 Speech to motion")}


def composed(titles: Sequence[str]) -> Frames:
    """Of a training: what goes in or comes out, from the images of the templates that show it."""
    shown = [Image.open(ROOT / "workflows" / f"{title}.jpg") for title in titles]
    frames = []
    for i in range(min(round(SECONDS * FPS), *(image.n_frames for image in shown))):
        for image in shown:
            image.seek(i)
        frames.append(beside([image.convert("RGB") for image in shown], 1.1))
    return frames


def write(path: Path, frames: Frames) -> None:
    """An animation below LARGEST, forth and back so that it does not jump."""
    loop = [*frames, *frames[-2:0:-1]]
    for quality in (QUALITY, 45, 30):
        loop[0].save(path, "WEBP", save_all=True, append_images=loop[1:], duration=round(1000 / FPS), loop=0, quality=quality,
                     method=6)
        if path.stat().st_size < LARGEST:
            break
    print(f"{path.name}: {len(loop)} frames, {path.stat().st_size} bytes")


def main(titles: Sequence[str]) -> None:
    for page in PAGES:
        if titles and page.title not in titles:
            continue
        if page.name in COMPOSED:
            frames = composed(COMPOSED[page.name])
        else:
            with tempfile.TemporaryDirectory() as base:
                frames = drawn(page, videos(page, Path(base)))
        write(ROOT / "workflows" / f"{page.title}.jpg", frames)
        if page.app:
            write(ROOT / "workflows" / f"{page.title}.app.jpg", [form(frame) for frame in frames])


if __name__ == "__main__":
    main(sys.argv[1:])
