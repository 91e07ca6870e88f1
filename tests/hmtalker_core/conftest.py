"""One tiny data set and one tiny avatar for all tests of this folder."""
import pytest
import torch


@pytest.fixture(scope="session")
def tiny_config():
    from talking_heads.hmtalker_core.training.config import BranchConfig, TrainConfig

    return TrainConfig(
        preset="tiny", init="silhouette", fuse_steps=4, warmup_steps=4, speech_prior=True, align_batch=3, hair_every=2,
        attention_every=3, pose_track=12, torso_components=3, save_every=1000,
        face=BranchConfig(steps=14, static=5, points=700, max_points=800, densify_every=4, densify_from=4, grad_threshold=1e-6),
        mouth=BranchConfig(steps=8, static=3, points=40, max_points=60, densify_every=3, densify_from=3, grad_threshold=1e-6))


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory):
    from talking_heads.media_core.subject import export_dataset

    return export_dataset(tmp_path_factory.mktemp("subject") / "data", 1.3, 5, size=64, engine="formant")


@pytest.fixture(scope="session")
def tiny_avatar_path(tiny_dataset, tiny_config, tmp_path_factory):
    from talking_heads.hmtalker_core.training.train_avatar import train_avatar

    torch.manual_seed(123)  # must not matter
    path = tmp_path_factory.mktemp("avatar") / "tiny.safetensors"
    train_avatar(tiny_dataset, path, preset=tiny_config)
    return path


@pytest.fixture
def tiny_avatar(tiny_avatar_path):
    from talking_heads.hmtalker_core.checkpoints import load_avatar

    return load_avatar(tiny_avatar_path)
