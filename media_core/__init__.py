"""What both methods read: sound, film, motion tracks, metrics, the synthetic subject. Imports nothing of the layers above."""
