"""MToV: 68-point motion becomes video (spec/moditalker.md 3-6). Read autoencoder.py, denoiser.py, diffusion.py, generation.py."""
