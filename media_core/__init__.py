"""What both methods read: audio, video, motion tracks, metrics, the synthetic subject. Imports nothing of the layers above."""
