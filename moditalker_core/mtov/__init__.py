"""MToV: 68-point motion becomes video (docs/moditalker.md). Read autoencoder.py, denoiser.py, diffusion.py, generation.py."""
