"""Faces in pictures: where they are, how they are turned, what they express, what belongs to them. See landmarks.py first."""
