"""A module's state: gathered by name, loaded by name, and the hooks around both."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from samara.autograd import no_grad
from samara.errors import ArgumentError, SamaraError, ShapeError
from samara.nn import _tree
from samara.nn.parameter import Buffer, Parameter, UninitializedParameter
from samara.tensor import Tensor, asarray

if TYPE_CHECKING:
    from samara.nn.module import Module

__all__ = ["LoadReport", "load", "save", "tensors"]

_EXTRA = "_extra_state"


class LoadReport(NamedTuple):
    """What `load_state_dict` did not find and did not use."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def _parts(module: Module) -> Iterator[tuple[str, Module]]:
    """Every module below as (prefix of its names, module), parents before children."""
    for path, part in module.named_modules(remove_duplicate=False):
        yield f"{path}." if path else "", part


def _own(part: Module) -> dict[str, Tensor]:
    """A module's own parameters, then its own persistent buffers."""
    persistent = part.__dict__.get("_persistence") or {}
    parameters, buffers = {}, {}
    for name, value in _tree.members(part):
        if isinstance(value, Parameter):
            parameters[name] = value
        elif isinstance(value, Tensor) and persistent.get(
            name, isinstance(value, Buffer) and value.persistent
        ):
            buffers[name] = value
    return parameters | buffers


def tensors(module: Module) -> dict[str, Tensor]:
    """Every parameter and persistent buffer by name; shared ones under each of their names."""
    module._require_values()
    return {
        prefix + name: value
        for prefix, part in _parts(module)
        for name, value in _own(part).items()
    }


def _writes_own(part: Module, method: str) -> bool:
    from samara.nn.module import Module

    return getattr(type(part), method) is not getattr(Module, method)


# --- gathering ------------------------------------------------------------------------------------


def save(
    module: Module, destination: OrderedDict[str, Any] | None, prefix: str, keep_vars: bool
) -> OrderedDict[str, Any]:
    """What `Module.state_dict` returns."""
    module._require_values()
    state: OrderedDict[str, Any] = OrderedDict() if destination is None else destination
    unfinished: list[tuple[str, Module]] = []
    for place, part in _parts(module):
        while unfinished and not place.startswith(unfinished[-1][0]):
            state = _finish(state, prefix, *unfinished.pop())
        for pre_hook in list((part._state_dict_pre_hooks or {}).values()):
            pre_hook(part, prefix + place, keep_vars)
        for name, value in _own(part).items():
            state[prefix + place + name] = value if keep_vars else value.detach()
        if _writes_own(part, "get_extra_state"):
            state[prefix + place + _EXTRA] = part.get_extra_state()
        if part._state_dict_hooks:
            unfinished.append((place, part))
    while unfinished:
        state = _finish(state, prefix, *unfinished.pop())
    return state


def _finish(
    state: OrderedDict[str, Any], prefix: str, place: str, part: Module
) -> OrderedDict[str, Any]:
    """Runs the hooks of a module whose names, and those below it, are all there."""
    for hook, replaces in list((part._state_dict_hooks or {}).values()):
        changed = hook(part, state, prefix + place, {"version": 1})
        if changed is None:
            continue
        if not replaces:
            raise _returned("state_dict", changed)
        state = changed
    return state


def _returned(place: str, value: Any) -> ArgumentError:
    return ArgumentError(
        f"{place}: a hook returned {type(value).__name__}. Expected None: post hooks change what "
        "they are given in place. Fix: drop the return."
    )


# --- loading --------------------------------------------------------------------------------------


class _Problems:
    """What does not fit, in the lists that hooks see."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.misshapen: list[str] = []
        self.messages: list[str] = []

    def error(self, module: Module) -> SamaraError:
        lines = [f"load_state_dict: the state does not fit {type(module).__name__}."]
        for title, names in (
            ("Missing", self.missing),
            ("Unexpected", self.unexpected),
            ("Wrong shape", self.misshapen),
            ("From hooks", self.messages),
        ):
            if names:
                lines.append(f"  {title} ({len(names)}): {', '.join(names)}")
        lines.append(
            "Expected the names and shapes of this model. Fix: load it into the model that saved "
            "it, or use strict=False to skip missing and unexpected names."
        )
        only_shapes = self.misshapen and not (self.missing or self.unexpected or self.messages)
        return (ShapeError if only_shapes else ArgumentError)("\n".join(lines))


def load(
    module: Module, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
) -> LoadReport:
    """What `Module.load_state_dict` does."""
    if not isinstance(state_dict, Mapping):
        raise ArgumentError(
            f"load_state_dict: received {type(state_dict).__name__}. Expected a mapping from "
            "names to tensors. Fix: model.state_dict() of a model of the same shape."
        )
    found = _Problems()
    raw: OrderedDict[str, Any] = OrderedDict(state_dict)
    parts = list(_parts(module))
    for prefix, part in parts:
        for hook, with_module in list((part._load_state_dict_pre_hooks or {}).values()):
            front = (part,) if with_module else ()
            hook(*front, raw, prefix, {}, strict, found.missing, found.unexpected, found.messages)
    extra = {prefix + _EXTRA: p for prefix, p in parts if _writes_own(p, "set_extra_state")}
    given = {name: _as_tensor(name, value) for name, value in raw.items() if name not in extra}
    _shape_from(module, given)
    own = tensors(module)
    absent = [name for name in own if name not in given]
    found.missing += [*absent, *(name for name in extra if name not in raw)]
    found.unexpected += [name for name in given if name not in own]
    found.misshapen += [
        f"{name}: {tuple(given[name].shape)} given, {tuple(value.shape)} in the model"
        for name, value in own.items()
        if name in given and tuple(given[name].shape) != tuple(value.shape)
    ]
    nothing = bool(own) and len(absent) == len(own)
    listeners = [
        (part, hook)
        for _, part in reversed(parts)
        for hook in (part._load_state_dict_post_hooks or {}).values()
    ]
    unused = strict and bool(found.missing or found.unexpected)
    if found.misshapen or found.messages or nothing or (unused and not listeners):
        raise found.error(module)
    written = {name: value for name, value in own.items() if name in given}
    before = {name: _copy(value, assign) for name, value in written.items()} if listeners else {}
    _write(written, given, assign)
    for name, part in extra.items():
        if name in raw:
            part.set_extra_state(raw[name])
    report = LoadReport(found.missing, found.unexpected)
    for part, hook in listeners:  # they may take names off the report
        changed = hook(part, report)
        if changed is not None:
            raise _returned("load_state_dict", changed)
    if strict and (found.missing or found.unexpected):
        _write(written, before, assign)
        raise found.error(module)
    return report


def _copy(value: Tensor, assign: bool) -> Tensor:
    return value.detach() if assign else value.detach().clone()


def _write(own: Mapping[str, Tensor], given: Mapping[str, Tensor], assign: bool) -> None:
    with no_grad():
        for name, value in own.items():
            if name not in given:
                continue
            if assign:
                value.data = given[name].detach()
            else:
                value.detach().copy_(given[name])


def _shape_from(module: Module, given: dict[str, Tensor]) -> None:
    """Let a layer without an input size take it from the weights it is about to load."""
    for prefix, part in _parts(module):
        for name, value in list((part.__dict__.get("_pending") or {}).items()):
            if isinstance(value, UninitializedParameter) and prefix + name in given:
                part._adopt_shape(name, tuple(given[prefix + name].shape))


def _as_tensor(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    try:
        return asarray(value)
    except (SamaraError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"load_state_dict: {name!r} is {type(value).__name__}. Expected a tensor or an array. "
            "Fix: pass the values of a state_dict."
        ) from error
