"""How an avatar is trained."""
