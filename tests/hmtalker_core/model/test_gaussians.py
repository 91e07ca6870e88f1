"""The Gaussian field: creation, activations, offsets, optimiser groups."""
from __future__ import annotations

import pytest
import torch
from talking_heads.hmtalker_core.model.gaussians import GaussianField, mean_squared_neighbour_distance
from talking_heads.media_core.errors import TalkingHeadsError


@pytest.fixture
def field():
    torch.manual_seed(0)
    return GaussianField.create(torch.rand(30, 3) * 0.2, torch.rand(30, 3))


def test_neighbour_distance_in_chunks_and_for_few_points():
    points = torch.rand(50, 3)
    whole = mean_squared_neighbour_distance(points)
    brute = torch.cdist(points, points).square().fill_diagonal_(torch.inf).topk(3, largest=False).values.mean(-1)
    torch.testing.assert_close(whole, brute, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(mean_squared_neighbour_distance(points, chunk=7), whole)
    assert mean_squared_neighbour_distance(points[:1]).tolist() == [0.0]
    torch.testing.assert_close(mean_squared_neighbour_distance(torch.tensor([[0.0, 0, 0], [2, 0, 0]])), torch.tensor([4.0, 4.0]))


def test_coincident_points_have_a_size():
    field = GaussianField.create(torch.zeros(5, 3), torch.zeros(5, 3))
    assert torch.isfinite(field.scaling).all() and (field.scales > 0).all()


def test_activations(field):
    assert field.sh.shape == (30, 9, 3) and field.sh_degree == 2 and field.active_sh_degree == 0 and len(field) == 30
    torch.testing.assert_close(field.opacities, torch.full((30,), 0.1))
    torch.testing.assert_close(field.quats.norm(dim=-1), torch.ones(30))
    for _ in range(4):
        field.grow_sh_degree()
    assert field.active_sh_degree == 2


def test_no_offsets_is_the_field_itself(field):
    plain, moved = field.deformed(), field.deformed(torch.zeros(2, 30, 3), torch.zeros(2, 30, 4), torch.zeros(2, 30, 3))
    assert moved["means"].shape == (2, 30, 3) and moved["opacities"].shape == (30,)
    for name, value in plain.items():
        torch.testing.assert_close(moved[name], value.expand_as(moved[name]))


def test_offsets_act_on_raw_parameters(field):
    moved = field.deformed(torch.ones(30, 3), torch.tensor([[0.0, 1, 0, 0]]), torch.full((30, 3), 0.5))
    torch.testing.assert_close(moved["means"], field.xyz + 1)
    torch.testing.assert_close(moved["quats"][0], torch.tensor([0.5, 0.5, 0, 0]).sqrt())
    torch.testing.assert_close(moved["scales"], torch.nn.functional.softplus(field.scaling + 0.5))


def test_groups_hold_every_parameter_and_scale_only_positions(field):
    groups = {group["name"]: group for group in field.adam_groups(0.5)}
    assert {id(g["params"][0]) for g in groups.values()} == {id(p) for p in field.parameters()}
    assert groups["xyz"]["lr"] == pytest.approx(0.8e-4) and groups["opacity"]["lr"] == 0.05


def test_state_dict_round_trip(field):
    again = GaussianField.empty(30)
    again.load_state_dict(field.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(field.parameters(), again.parameters()))


@pytest.mark.parametrize("points, colors", [(torch.zeros(0, 3), torch.zeros(0, 3)), (torch.zeros(4, 3), torch.zeros(5, 3)),
                                            (torch.zeros(4, 2), torch.zeros(4, 2))])
def test_bad_points_are_refused(points, colors):
    with pytest.raises(TalkingHeadsError, match="colours"):
        GaussianField.create(points, colors)
