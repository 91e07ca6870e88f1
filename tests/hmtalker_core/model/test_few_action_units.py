"""A data set that knows only some action units: it trains, its avatar moves by those, and the others move nothing."""
import json
import shutil

import numpy as np
import pytest
import torch
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.motion import AU_NAMES, LOWER_INDEX, ExpressionTrack
from talking_heads.media_core.progress import silent
from talking_heads.media_core.speech import encode_speech

KNOWN = ("AU01", "AU10", "AU12", "AU23", "AU25", "AU26", "AU45")
TRUST = [0.8 if name in KNOWN else 0.2 for name in AU_NAMES]
BLINK = AU_NAMES.index("AU45")


def doubted(dataset, folder, trust):
    """The same data set by a tracker that can only be trusted so far."""
    shutil.copytree(dataset, folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf8"))
    manifest |= {"au_reliability": trust, "au_source": "built-in landmarks"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def path(tiny_dataset, tiny_config, tmp_path_factory):
    root = tmp_path_factory.mktemp("few")
    out = root / "few.safetensors"
    train_avatar(doubted(tiny_dataset, root / "data", TRUST), out, preset=tiny_config)
    return out


@pytest.fixture
def avatar(path):
    return load_avatar(path)


@pytest.fixture(scope="module")
def speech():
    wave = np.sin(np.arange(16000) / 16000 * 2 * np.pi * 300) * np.linspace(0, 0.3, 16000)
    return encode_speech(Sound(wave[None].astype(np.float32), 16000))


def test_a_training_says_which_units_it_leaves_out(tiny_dataset, tmp_path, caplog):
    from talking_heads.hmtalker_core.data.dataset import AvatarDataset
    from talking_heads.hmtalker_core.training import train_avatar as avatar_training
    from talking_heads.hmtalker_core.training.batches import open_clip

    avatar_training._tell_left_out(open_clip(AvatarDataset.open(doubted(tiny_dataset, tmp_path / "data", TRUST)), "mel",
                                      torch.device("cpu"), silent))
    assert [r.getMessage() for r in caplog.records] == [
        "Action units not trained on, since unreliable or unknown in this dataset: "
        + " ".join(name for name in AU_NAMES if name not in KNOWN) + " (measured by built-in landmarks)"]
    caplog.clear()
    avatar_training._tell_left_out(open_clip(AvatarDataset.open(tiny_dataset), "mel", torch.device("cpu"), silent))
    assert not caplog.records


def expression(**units):
    au = torch.full((25, 17), torch.nan)
    for name, value in units.items():
        au[:, AU_NAMES.index(name)] = value
    return ExpressionTrack(au, 25.0, "test")


def test_the_avatar_records_what_it_learnt_from(avatar):
    assert avatar.config["au_source"] == "built-in landmarks" and avatar.config["au_reliability"] == TRUST
    assert [name for name, known in zip(AU_NAMES, avatar.au_known) if known] == list(KNOWN)
    assert avatar.config["quality"]["head_psnr"] > 5
    trust = avatar.au_reliability
    assert [trust[AU_NAMES.index(name)] for name in ("AU01", "AU04")] == [0.8, 0.0]


def test_its_motion_says_which_units_mean_nothing(avatar, speech):
    shown = avatar.drive(speech).expression
    assert set(shown.unreliable) == set(AU_NAMES) - set(KNOWN)
    doubtful = [AU_NAMES.index(name) for name in shown.unreliable]
    assert not shown.au[:, doubtful].any() and torch.isfinite(shown.au).all()


def test_blinks_are_still_fed(avatar, speech):
    blink = avatar.drive(speech, expression=expression(AU45=2.0))
    none = avatar.drive(speech, blinks="none")
    assert (blink.au[:, BLINK] == 2).all() and not none.au[:, BLINK].any()
    moved = [avatar.offsets(motion, 0, 4)[0][0] for motion in (blink, none)]
    assert float((moved[0] - moved[1]).abs().max()) > 0


@pytest.mark.parametrize("name", sorted(set(AU_NAMES) - set(KNOWN)))
def test_a_unit_it_never_learnt_moves_nothing(avatar, speech, name):
    plain, fed = avatar.drive(speech), avatar.drive(speech, expression=expression(**{name: 5.0}))
    assert torch.equal(plain.codes, fed.codes) and torch.equal(plain.au, fed.au)


def test_a_known_lower_unit_acts_without_the_unknown_ones(avatar, speech):
    plain, fed = avatar.drive(speech), avatar.drive(speech, expression=expression(AU26=4.0))
    assert (fed.au[:, AU_NAMES.index("AU26")] == 4).all() and not torch.equal(plain.codes, fed.codes)
    unknown = [unit for unit in LOWER_INDEX if AU_NAMES[unit] not in KNOWN]
    assert not fed.au[:, unknown].any()


def test_a_trusted_data_set_gives_an_avatar_without_doubt(tiny_avatar):
    assert tiny_avatar.au_reliability is None and all(tiny_avatar.au_known)
    assert tiny_avatar.config["au_reliability"] is None


def test_an_unfinished_run_notices_other_trust(tiny_dataset, tiny_config, tmp_path):
    from talking_heads.media_core.errors import Cancelled

    def stop(done, total, info, preview):
        if done == 3:
            raise Cancelled

    out = tmp_path / "a.safetensors"
    with pytest.raises(Cancelled):
        train_avatar(tiny_dataset, out, preset=tiny_config, report=stop)
    with pytest.raises(TalkingHeadsError, match="trust in action units"):
        train_avatar(doubted(tiny_dataset, tmp_path / "data", TRUST), out, preset=tiny_config)
