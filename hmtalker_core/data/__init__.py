"""The dataset an avatar learns from."""
