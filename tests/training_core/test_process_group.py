"""What processes exchange, around an accelerator that only looks at what it is given."""
from __future__ import annotations

import torch
from talking_heads.training_core.process_group import Distributed


class Elsewhere:
    """An accelerator of two processes on another device than the weights: `meta` stands for a GPU. Both say the same."""

    process_index, num_processes, device = 0, 2, torch.device("meta")

    def reduce(self, values, reduction):
        assert values.device == self.device and reduction == "sum"
        return torch.full(values.shape, 2.0)


def test_what_lies_beside_the_gpus_is_exchanged_over_them():
    """As an avatar that is trained on the CPU, where nothing draws on the GPU."""
    group = Distributed(Elsewhere())
    assert group.total(torch.ones(3)).tolist() == [2.0] * 3 and group.any(True)
    weight, alone = torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.ones(2, 2)
    group.sum_gradients([weight, alone])
    for parameter in (weight, alone):
        assert parameter.grad is not None and parameter.grad.device.type == "cpu"
    assert weight.grad.tolist() == [[2.0] * 2] * 2
