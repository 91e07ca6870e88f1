"""Faces in pictures and films: landmarks, pose, action units, masks. Import from the modules; nothing heavy is loaded here."""
