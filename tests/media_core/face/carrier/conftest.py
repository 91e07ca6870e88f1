"""NASA's portrait, small, with its mesh; and a carrier of it."""
import numpy as np
import pytest
from talking_heads.media_core.face.carrier.carrier import Carrier
from talking_heads.media_core.face.trackers import still_landmarks


@pytest.fixture(scope="session")
def portrait():
    """uint8 [221, 213, 3], odd on both sides, and its mesh [478, 3] px."""
    from skimage import data

    image = np.ascontiguousarray(data.astronaut()[:221, 117:330])
    return image, np.asarray(still_landmarks("people", image).mesh, np.float64)


@pytest.fixture(scope="session")
def carrier(portrait):
    return Carrier(*portrait)


@pytest.fixture(scope="session")
def opened():
    """[68, 3] units: the mouth opens by 10."""
    move = np.zeros((68, 3))
    move[4:13, 1] = [3, 6, 9, 10, 10, 10, 9, 6, 3]
    move[54:60, 1] = move[64:68, 1] = 10
    move[[48, 54, 60, 64], 1] = 3
    return move
