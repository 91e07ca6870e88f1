"""Faces in images and videos: landmarks, pose, action units, masks. Import from the modules; nothing heavy is loaded here."""
