"""A picture's own pixels carried by the face's 478-point mesh: see `carrier.py`."""
