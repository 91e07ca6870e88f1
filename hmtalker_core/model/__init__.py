"""The avatar's networks, Gaussians and camera."""
