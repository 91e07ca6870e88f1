"""Faces found and their landmarks placed."""
