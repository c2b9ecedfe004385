"""A model of PyTorch: a module with its state dict, an exported program, or a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.model_functions.number_rows import stack_rows

STATE_FILE = "state_dict.pt"
EXPORTED_FILE = "model.pt2"
SCRIPT_FILE = "model.pt"
MODULE_FILE = "framework_model.pkl"
"""The module without its tensors, pickled beside the folder of the model."""


def load(folder: Path, facts: Mapping[str, Any], load_pickled: Callable[[str], Any]) -> Any:
    """Return the model on the processor; a module or script is in evaluation mode."""
    import torch

    if facts["format"] == "exported":
        return torch.export.load(folder / EXPORTED_FILE).module()
    if facts["format"] == "script":
        return torch.jit.load(folder / SCRIPT_FILE, map_location="cpu").eval()
    module = load_pickled(MODULE_FILE)()
    state = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    for name, tensor in stored_tensors(module):
        tensor.data = state[name]  # also where the module has the same tensor under another name
    return module.eval()


def stored_tensors(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and tensor of each parameter and each buffer of a module that is in its state dict."""
    for prefix, part in module.named_modules():
        kept_out = part._non_persistent_buffers_set
        found = [*part._parameters.items(), *(each for each in part._buffers.items() if each[0] not in kept_out)]
        for name, tensor in found:
            if tensor is not None:
                yield f"{prefix}.{name}" if prefix else name, tensor


def predict_rows(model: Any, inputs: Sequence[Any]) -> Any:
    """Return what the model returns for a tensor with a row per input: what is deployed without a function."""
    import torch

    with torch.inference_mode():
        return model(torch.from_numpy(stack_rows(inputs)))
