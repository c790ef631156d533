"""States of trainings: what is written is read again; what does not fit is refused in one line."""

import pytest
import torch

from facekit.compute.states import States, below, differences, load_optimizer, optimizer_tensors
from facekit.errors import DataError

OURS = States("ours-1", "ours train", "run", "state.safetensors")


def test_what_is_written_is_read_again(tmp_path):
    x = torch.arange(6.0).reshape(2, 3).T  # not contiguous
    OURS.write(tmp_path / "state", {"step": 3}, {"a/x": x, "b": torch.tensor(1)})
    header, tensors = OURS.read(tmp_path / "state")
    assert header == {"format": "ours-1", "step": 3}
    assert torch.equal(below(tensors, "a")["x"], x)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("no state")
    with pytest.raises(DataError, match="text: not a state of `ours train`"):
        OURS.read(tmp_path / "text")
    States("ours-0", "ours train", "run", "*").write(tmp_path / "old", {}, {"x": torch.ones(1)})
    with pytest.raises(DataError, match=r"format ours-0, this version reads ours-1; .* begin anew"):
        OURS.read(tmp_path / "old")


def test_a_state_of_other_settings_is_refused_with_what_differs(tmp_path):
    changes = differences({"lr": 1, "gone": 0}, {"lr": 2, "new": 5}, {"new": 5})
    assert changes == ["gone was 0, is None", "lr was 1, is 2"]
    with pytest.raises(DataError, match=r"lr was 1, is 2\. Give the same"):
        OURS.check_same(tmp_path, changes)
    OURS.check_same(tmp_path, [])
    with (
        pytest.raises(DataError, match=r"does not fit this run \(size\)"),
        OURS.fitting(tmp_path),
    ):
        raise RuntimeError("size")


@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_an_optimizer_goes_on_as_the_one_that_was_kept(name, tmp_path):
    def made():
        torch.manual_seed(0)
        weights = [torch.nn.Parameter(torch.randn(4, 3, 2, 2)), torch.nn.Parameter(torch.ones([]))]
        weights[0].data = weights[0].data.to(memory_format=torch.channels_last)
        return weights, getattr(torch.optim, name)(weights, lr=0.1)

    def step(weights, optimizer):
        optimizer.zero_grad()
        (weights[0].square().sum() * weights[1]).backward()
        optimizer.step()

    weights, optimizer = made()
    step(weights, optimizer)
    OURS.write(tmp_path / "state", {}, optimizer_tensors(optimizer, "optimizer"))
    others, other = made()
    with torch.no_grad():
        for a, b in zip(others, weights, strict=True):
            a.copy_(b)
    load_optimizer(other, OURS.read(tmp_path / "state")[1], "optimizer")
    for one in other.state[others[0]].values():
        if one.ndim:
            assert one.is_contiguous(memory_format=torch.channels_last)
    step(weights, optimizer)
    step(others, other)
    assert all(torch.equal(a, b) for a, b in zip(weights, others, strict=True))
