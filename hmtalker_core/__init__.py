"""HM-Talker: a personal 3D Gaussian avatar driven by speech. Start reading at `avatar.py`."""
