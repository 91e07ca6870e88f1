"""The networks, and faces to look at: NASA's portrait and a synthetic person."""
import numpy as np
import pytest
from talking_heads.media_core.face.mesh.finder import FaceFinder
from talking_heads.media_core.face.mesh.nets import load_mesh_nets


@pytest.fixture(scope="session")
def nets():
    return load_mesh_nets()


@pytest.fixture(scope="session")
def finder(nets):
    return FaceFinder(nets)


@pytest.fixture(scope="session")
def astronaut():
    from skimage import data

    return data.astronaut()  # uint8 [512, 512, 3]


@pytest.fixture(scope="session")
def person():
    """uint8 [256, 256, 3] of a synthetic person."""
    from talking_heads.media_core.subject import Subject, perform

    subject, spoken = Subject(256, 42), perform(1.0, 4, engine="formant")
    return subject.render(spoken.params[5], subject.pose(spoken.euler[5], spoken.translation[5])).rgb


@pytest.fixture(scope="session")
def couple(astronaut):
    """uint8 [512, 768, 3]: the portrait twice, at the right smaller."""
    import cv2

    out = np.full((512, 768, 3), 40, np.uint8)
    out[:, :448] = astronaut[:, :448]
    out[200:456, 500:756] = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    return out
