"""Choices that the cores check and that menus and the command line offer. Imports nothing, so that showing them costs nothing."""
from __future__ import annotations

POLICIES = ("error", "hold", "interpolate", "skip")  # what to do with frames that show no face
ORDERS = ("largest", "left")  # how several faces of a frame are counted
TRACKERS = ("people", "rendered")  # which networks find faces: those that learnt from real people, or from rendered ones
MEASURED_BY = (*TRACKERS, "landmarks", "exact")  # what a track's points come from: also core's FACE_LANDMARKS, a subject's truth
REGIONS = ("all", "mouth", "upper")  # parts of the face that an edit of motion touches
VOICE_ENGINES = ("auto", "espeak", "formant")  # of the synthetic subject
VIDEO_FILES = ("mp4", "webm", "mov")  # kinds of video file that are written (media_core/video_formats.py)
LABEL = "AI-generated"  # the usual words of a label in the frames
PLY_SCALES = ("log", "softplus")  # what the scales in a PLY file of Gaussians are before: exp, or softplus
