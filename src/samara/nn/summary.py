"""What a model is made of: paths, output shapes, parameter counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from samara.autograd import no_grad
from samara.nn.module import Module
from samara.nn.parameter import Parameter
from samara.tensor import Tensor

__all__ = ["ModelSummary", "SummaryRow", "summary"]


@dataclass(frozen=True)
class SummaryRow:
    """One module: its path, class, output shape, and the parameters that are its own."""

    path: str
    kind: str
    output_shape: Any
    parameters: int


@dataclass(frozen=True)
class ModelSummary:
    """Rows in order of definition; a parameter used twice counts once, where it comes first."""

    rows: list[SummaryRow]
    total_parameters: int
    trainable_parameters: int

    def __str__(self) -> str:
        cells = [("module", "output shape", "parameters")] + [
            (
                f"{row.path or 'model'} ({row.kind})",
                _shape_text(row.output_shape),
                f"{row.parameters:,}" if row.parameters else "-",
            )
            for row in self.rows
        ]
        widths = [max(len(row[column]) for row in cells) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in cells]
        lines.insert(1, "-" * len(lines[0]))
        lines.append(lines[1])
        frozen = self.total_parameters - self.trainable_parameters
        lines.append(
            f"parameters: {self.total_parameters:,}" + (f" ({frozen:,} frozen)" * (frozen > 0))
        )
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__


def summary(model: Module, *args: Any, **kwargs: Any) -> ModelSummary:
    """Run the model once, without gradients, and list its modules.

    `args` are what the model is called with; without any, output shapes stay unknown. The model is
    in `eval()` mode during the call and as before after it.

    >>> import samara
    >>> from samara import nn
    >>> print(summary(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), samara.ones(2, 3)))
    module              output shape  parameters
    --------------------------------------------
    model (Sequential)  (2, 4)                 -
    0 (Linear)          (2, 4)                16
    1 (ReLU)            (2, 4)                 -
    --------------------------------------------
    parameters: 16
    """
    shapes = _output_shapes(model, args, kwargs) if args or kwargs else {}
    seen: set[int] = set()
    rows, total, trainable = [], 0, 0
    # Asked first: it fills the parameters, and says so when one has no shape yet.
    list(model.parameters())
    for path, module in model.named_modules():
        fresh = {id(p): p for p in _own_parameters(module) if id(p) not in seen}
        seen.update(fresh)
        own = list(fresh.values())
        count = sum(p.numel() for p in own)
        total += count
        trainable += sum(p.numel() for p in own if p.requires_grad)
        rows.append(SummaryRow(path, type(module).__name__, shapes.get(id(module)), count))
    return ModelSummary(rows, total, trainable)


def _own_parameters(module: Module) -> Iterator[Parameter]:
    for _, parameter in module.named_parameters(recurse=False):
        yield parameter


def _output_shapes(model: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[int, Any]:
    shapes: dict[int, Any] = {}

    def note(module: Module, _: Any, output: Any) -> None:
        shapes[id(module)] = _shape_of(output)

    modes = {module: module.training for module in model.modules()}
    with ExitStack() as stack:
        for module in modes:
            stack.enter_context(module.register_forward_hook(note))
        try:
            model.eval()
            with no_grad():
                model(*args, **kwargs)
        finally:
            for module, mode in modes.items():
                module.training = mode
    return shapes


def _shape_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, (list, tuple)):
        return [_shape_of(element) for element in value]
    if isinstance(value, dict):
        return {name: _shape_of(element) for name, element in value.items()}
    return None


def _shape_text(shape: Any) -> str:
    if shape is None:
        return "?"
    if isinstance(shape, list):
        return ", ".join(_shape_text(element) for element in shape)
    if isinstance(shape, dict):
        return ", ".join(f"{name}: {_shape_text(element)}" for name, element in shape.items())
    return str(shape)
