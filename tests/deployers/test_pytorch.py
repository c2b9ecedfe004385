"""What of PyTorch travels, and what is refused with what to do instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clipper_nb.deployers import pytorch as deployer
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.frameworks import pytorch as loader

pytestmark = pytest.mark.slow  # PyTorch is imported


def describe(model: Any) -> Any:
    import torch

    return deployer._describe(torch, model)


def saved_and_loaded(model: Any, folder: Path) -> Any:
    described = describe(model)
    described.save(folder)
    return loader.load(folder, described.facts, lambda name: lambda: described.travelling[name])


def test_skeleton_has_no_weights_and_loads_all_of_them(tmp_path: Path) -> None:
    """Tied parameters stay one, buffers that are not kept travel, and the user's module is left as it is."""
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 3))
    net[2].weight = net[0].weight
    net[0].register_buffer("mask", torch.ones(3), persistent=False)
    rows = torch.randn(5, 3)
    net(rows)
    skeleton = describe(net).travelling[loader.MODULE_FILE]
    assert all(tensor.numel() == 0 for _, tensor in loader.stored_tensors(skeleton))
    loaded = saved_and_loaded(net, tmp_path)
    assert loaded[2].weight is loaded[0].weight
    assert loaded[0].mask.tolist() == [1.0, 1.0, 1.0]
    assert net.training
    assert not loaded.training
    assert torch.equal(loaded(rows), net.eval()(rows))


def test_what_is_no_module_is_refused() -> None:
    import torch

    with pytest.raises(InvalidRequestError, match=r"not OrderedDict\. A state dict alone has no module"):
        describe(torch.nn.Linear(1, 1).state_dict())
    with pytest.raises(InvalidRequestError, match="not the class Linear"):
        describe(torch.nn.Linear)
    with pytest.raises(InvalidRequestError, match="call it once"):
        describe(torch.nn.LazyLinear(2))
    with pytest.raises(InvalidRequestError, match="remove_parametrizations"):
        describe(torch.nn.Sequential(torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2))))


def test_exported_program_of_one_size_needs_a_function() -> None:
    import torch

    net = torch.nn.Linear(3, 1).eval()
    for example in (torch.ones(1, 3), torch.ones(4, 3)):
        with pytest.raises(InvalidRequestError, match=r"takes inputs of shape \[\d, 3\] alone.*dynamic_shapes"):
            deployer._check_takes_batches(torch, torch.export.export(net, (example,)))
    free = torch.export.export(net, (torch.ones(4, 3),), dynamic_shapes={"input": {0: torch.export.Dim("batch")}})
    deployer._check_takes_batches(torch, free)
