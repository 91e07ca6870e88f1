"""The data set an avatar learns from."""
