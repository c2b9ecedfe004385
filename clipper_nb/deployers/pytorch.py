"""Deploys a model of PyTorch."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipper_nb.cluster.deploy_options import DeployOptions, with_options
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.deployers.frameworks.framework_version import FrameworkModel, deploy_framework_model
from clipper_nb.deployers.frameworks.libraries import import_framework
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.frameworks import pytorch as loader

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.connection import ClipperConnection

__all__ = ["create_endpoint", "deploy_pytorch_model"]


@with_options(DeployOptions, timeout_s=60.0)
def deploy_pytorch_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    func: Callable[[Any, Any], Any] | None,
    pytorch_model: Any,
    base_image: str = "default",
    labels: Sequence[str] | None = None,
    registry: str | None = None,
    num_replicas: int | None = None,
    batch_size: int = -1,
    pkgs_to_install: Sequence[str] | None = None,
    *,
    sample_inputs: Sequence[Any] | None = None,
    setup: Callable[[], Any] | None = None,
    **options: Unpack[DeployOptions],
) -> VersionHandle:
    """Deploy a model of PyTorch with a function around it as a version of a model, and make that version current.

    Of a module PyTorch saves the state dict; its structure is pickled, and classes of the notebook travel with it. Of a
    program of ``torch.export`` or a script it saves all. Each replica loads it on the processor, in evaluation mode.

    Parameters
    ----------
    func : callable, optional
        ``func(model, inputs)`` takes the model as *model*, and a list of inputs as that of
        :func:`clipper_nb.deployers.python.deploy_python_closure` does, and returns one output per input, in order.
        ``None`` returns what the model returns for a tensor with a row per input.
    pytorch_model : torch.nn.Module, torch.export.ExportedProgram or torch.jit.ScriptModule
    base_image : str
        For Docker: an image with the notebook's Python minor version to build upon.
    pkgs_to_install : list of str, optional
        pip requirements, besides or instead of those that are found: PyTorch, and what the classes of the model need.
    sample_inputs : list or data frame, optional
        Inputs that the function answers here with the model that is passed, and each replica with the one that it
        loaded, before it serves. A replica with different answers is rejected; numbers may differ by a millionth.
    **options : DeployOptions
        Those of every deployer.

    Raises
    ------
    DeploymentError
        PyTorch is not installed here; the message says what to install.
    InvalidRequestError
        The model is something else, or an argument is wrong; the message says what to pass.
    SerializationError
        The function cannot be pickled, or PyTorch cannot save the model.
    PredictionError
        The function raises on the samples in the notebook.
    ParityError
        A replica's answers to the samples differ; the message says where.
    ModelImportError, ModelLoadError, ReplicaStartError, StartTimeoutError
        A replica could not load it. Nothing is left of the deploy and the old version keeps serving.
    ExistsError
        The model has that version already.

    Examples
    --------
    >>> def classify(model, inputs):
    ...     with torch.inference_mode():
    ...         return model(torch.tensor(np.stack(inputs))).argmax(1)
    >>> deploy_pytorch_model(conn, "digits", 1, "floats", classify, net)
    <Version digits:1: floats, current, 1 replica>
    """
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, packages=pkgs_to_install, **options,
    )  # fmt: skip
    torch = import_framework("torch", extra="pytorch", what="models of PyTorch")
    model = _describe(torch, pytorch_model)
    if func is None:
        _check_takes_batches(torch, pytorch_model)
    return deploy_framework_model(clipper_conn, new, model, func or loader.predict_rows, sample_inputs, setup)


create_endpoint = endpoint(
    deploy_pytorch_model,
    what="a model of PyTorch of the same name",
    example="""
>>> create_endpoint(conn, "digits", "floats", classify, net, slo_micros=100_000)
>>> conn.predict("digits", pixels).output
""",
)


def _describe(torch: Any, model: Any) -> FrameworkModel:
    """Return how the model is saved; raise ``InvalidRequestError`` unless it is one of PyTorch."""
    if isinstance(model, torch.export.ExportedProgram):
        return FrameworkModel(
            framework="pytorch",
            model=model.module(),
            save=lambda folder: torch.export.save(model, folder / loader.EXPORTED_FILE),
            modules=["torch"],
            facts={"format": "exported"},
        )
    if isinstance(model, torch.jit.ScriptModule):
        return FrameworkModel(
            framework="pytorch",
            model=_in_evaluation_mode(model),
            save=lambda folder: _save_script(torch, model, folder),
            modules=["torch"],
            facts={"format": "script"},
        )
    if not isinstance(model, torch.nn.Module):
        raise InvalidRequestError(
            "pytorch_model must be a torch.nn.Module, a torch.export.ExportedProgram or a torch.jit.ScriptModule, not "
            f"{_name(model)}. A state dict alone has no module: load it into one."
        )
    return FrameworkModel(
        framework="pytorch",
        model=_in_evaluation_mode(model),
        save=lambda folder: _save_state(torch, model, folder),
        modules=["torch"],
        facts={"format": "state_dict"},
        travelling={loader.MODULE_FILE: _without_tensors(torch, model)},
    )


def _in_evaluation_mode(model: Any) -> Any:
    """Return the model as replicas have it; the user's own, which may be in training, is left as it is."""
    return copy.deepcopy(model).eval() if any(part.training for part in model.modules()) else model


def _save_state(torch: Any, module: Any, folder: Path) -> None:
    state = {name: tensor.detach().cpu() for name, tensor in loader.stored_tensors(module)}
    torch.save(state, folder / loader.STATE_FILE)


def _save_script(torch: Any, script: Any, folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of scripts; the caller has chosen one
        torch.jit.save(script, str(folder / loader.SCRIPT_FILE))


def _without_tensors(torch: Any, module: Any) -> Any:
    """Return a copy of *module* on the processor, whose parameters and kept buffers are empty.

    Raises
    ------
    InvalidRequestError
        A parameter has no shape yet, or the module cannot be copied.
    """
    if any(torch.nn.parameter.is_lazy(tensor) for _, tensor in loader.stored_tensors(module)):
        raise InvalidRequestError("The module has lazy layers without parameters yet; call it once, then deploy it.")
    if any(torch.nn.utils.parametrize.is_parametrized(part) for part in module.modules()):
        raise InvalidRequestError(
            "The module has parametrizations (weight_norm, for example), and PyTorch does not pickle such modules. "
            "Remove them, which keeps the values: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight'). "
            "Or export it: torch.export.export(model, example_inputs)."
        )
    memo: dict[int, Any] = {}
    for _, tensor in loader.stored_tensors(module):
        empty = torch.empty(0, dtype=tensor.dtype)
        if isinstance(tensor, torch.nn.Parameter):
            empty = torch.nn.Parameter(empty, requires_grad=tensor.requires_grad)
        memo[id(tensor)] = empty
    try:
        return copy.deepcopy(module, memo).cpu()
    except (RuntimeError, TypeError, NotImplementedError) as exc:
        raise InvalidRequestError(
            f"This {type(module).__name__} cannot be copied: {type(exc).__name__}: {exc} Export it, and deploy the "
            "program: torch.export.export(model, example_inputs)."
        ) from exc


def _check_takes_batches(torch: Any, model: Any) -> None:
    """Raise if an exported program takes only batches of the one size that it was exported with."""
    if not isinstance(model, torch.export.ExportedProgram):
        return
    names = model.graph_signature.user_inputs
    found = [node.meta.get("val") for node in model.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(found) != 1 or not isinstance(found[0], torch.Tensor):
        raise InvalidRequestError(
            f"The exported program takes {len(found)} inputs; pass a function that makes them: func(model, inputs)."
        )
    shape = found[0].shape
    if not shape or isinstance(shape[0], int):
        raise InvalidRequestError(
            f"The exported program takes inputs of shape {list(shape)} alone, and batches have any size. Export it "
            "with dynamic_shapes={'x': {0: torch.export.Dim('batch')}}, with the name of its argument for x, and an "
            "example of two rows (PyTorch fixes a size of 1), or pass a function that calls it for each input."
        )


def _name(model: Any) -> str:
    return f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
