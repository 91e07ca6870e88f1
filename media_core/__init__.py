"""What both methods use: audio, video, motion tracks, metrics, the synthetic subject. Imports nothing from the layers above."""
