"""Module: a layer, a model, or anything in between."""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import samara
import samara._core as _core
from samara.autograd import no_grad
from samara.dtypes import DType
from samara.errors import ArgumentError, SamaraError, UnsupportedError
from samara.nn import _pending, _state, _tree
from samara.nn._state import LoadReport
from samara.nn.hooks import BackwardHooks, RemovableHandle
from samara.nn.parameter import Buffer, Initializer, Parameter, UninitializedParameter
from samara.tensor import Tensor

__all__ = ["LoadReport", "Module"]

M = TypeVar("M", bound="Module")


class Module:
    """Base of all layers and models: subclass it, set layers as attributes, write `forward`.

    Parameters and sub-modules are found in attributes and in lists, tuples and dicts set as
    attributes, nested as deep as you like; `self.layers = [Linear(4, 4)]` gives
    `layers.0.weight`. Names and behaviour follow PyTorch's `torch.nn.Module`.

    A parameter's initial values are a function of the seed and of the parameter's name in its
    model, so adding a layer leaves the values of all others as they were.

    >>> import samara
    >>> from samara import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layers = [nn.Linear(3, 8), nn.Linear(8, 1)]
    ...     def forward(self, x):
    ...         return self.layers[1](self.layers[0](x).relu())
    >>> net = Net()
    >>> [name for name, _ in net.named_parameters()]
    ['layers.0.weight', 'layers.0.bias', 'layers.1.weight', 'layers.1.bias']
    >>> net(samara.ones(5, 3)).shape
    (5, 1)
    """

    # Defaults on the class, so that a subclass may set attributes before super().__init__().
    training: bool = True
    _serial: int = 0
    _settled: bool = False  # all own parameters have their values
    _ready: bool = False  # settled, and no hooks: __call__ is forward
    _forward_hooks: dict[int, tuple[Callable[..., Any], bool, bool]] | None = None
    _forward_pre_hooks: dict[int, tuple[Callable[..., Any], bool]] | None = None
    _backward_hooks: dict[int, Callable[..., Any]] | None = None
    _backward_pre_hooks: dict[int, Callable[..., Any]] | None = None
    _state_dict_hooks: dict[int, tuple[Callable[..., Any], bool]] | None = None
    _state_dict_pre_hooks: dict[int, Callable[..., Any]] | None = None
    _load_state_dict_pre_hooks: dict[int, tuple[Callable[..., Any], bool]] | None = None
    _load_state_dict_post_hooks: dict[int, Callable[..., Any]] | None = None

    def __init__(self) -> None:
        attributes = self.__dict__
        attributes.setdefault("training", True)
        attributes["_serial"] = next(_pending.serials)
        attributes["_era"] = _pending.current_era()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; subclasses write this."""
        raise NotImplementedError(
            f'{type(self).__name__}: forward is missing. Expected a method "forward(self, x)". '
            "Fix: define it in the class."
        )

    # --- calling ----------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, and the hooks when there are any."""
        try:
            if self._ready:
                return self.forward(*args, **kwargs)
            return self._first_call(args, kwargs)
        except SamaraError as error:
            self._locate(error)
            raise

    def _first_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._settled:
            self._infer_sizes(*args, **kwargs)
            self._settle()
        backward = self._backward_hooks or self._backward_pre_hooks
        if self._forward_hooks or self._forward_pre_hooks or backward:
            return self._call_with_hooks(args, kwargs)
        if self._settled:
            self.__dict__["_ready"] = True
        return self.forward(*args, **kwargs)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for pre_hook, with_kwargs in list((self._forward_pre_hooks or {}).values()):
            if with_kwargs:
                changed = pre_hook(self, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
            else:
                changed = pre_hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        hooks = list((self._forward_hooks or {}).values())
        called = 0
        output = None
        backward = None
        if self._backward_hooks or self._backward_pre_hooks:
            backward = BackwardHooks(
                self, self._backward_pre_hooks or {}, self._backward_hooks or {}
            )
            args = backward.inputs(args)
        try:
            output = self.forward(*args, **kwargs)
            for hook, with_kwargs, _ in hooks:
                called += 1
                changed = (
                    hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
                )
                if changed is not None:
                    output = changed
        except Exception:
            for hook, with_kwargs, always in hooks[called:]:
                if always:
                    _ = (
                        hook(self, args, kwargs, output)
                        if with_kwargs
                        else hook(self, args, output)
                    )
            raise
        return output if backward is None else backward.outputs(output)

    def _locate(self, error: SamaraError) -> None:
        """Name the module that an error comes from; each caller on the way out adds its part."""
        origin, text = error._origin or (self, str(error))
        error._origin = (origin, text)
        path = next((name for name, module in self.named_modules() if module is origin), "")
        place = f"model.{path}" if path else "model"
        error.args = (f"{place} ({type(origin).__name__}): {text}", *error.args[1:])

    def _infer_sizes(self, *args: Any, **kwargs: Any) -> None:
        """Give shapes to uninitialized parameters from the first input; lazy layers write this."""

    def _settle(self) -> None:
        """Fill all parameters of the model that this module belongs to."""
        _pending.settle(self, Module.__call__.__code__, Module)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; what it returns replaces the output."""
        return self._add_hook(
            self._hooks("_forward_hooks"), (hook, with_kwargs, always_call), prepend
        )

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward; what it returns replaces the arguments."""
        return self._add_hook(self._hooks("_forward_pre_hooks"), (hook, with_kwargs), prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when both are known in backward.

        grad_input has one entry per positional argument, None where there is no gradient; what the
        hook returns replaces it.
        """
        return self._add_hook(self._hooks("_backward_hooks"), hook, prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` before; what it returns replaces grad_output."""
        return self._add_hook(self._hooks("_backward_pre_hooks"), hook, prepend)

    def _add_hook(self, hooks: dict[int, Any], entry: Any, prepend: bool) -> RemovableHandle:
        handle = RemovableHandle(hooks)
        later = dict(hooks) if prepend else {}
        if prepend:
            hooks.clear()
        hooks[handle.id] = entry
        hooks.update(later)
        self.__dict__["_ready"] = False
        return handle

    # --- attributes -------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
            return
        if isinstance(value, Buffer):
            self.register_buffer(name, value, value.persistent)
            return
        attributes = self.__dict__
        if isinstance(value, Tensor):
            self._check_not_parameter(name, value)
        pending = attributes.get("_pending")
        if pending:
            pending.pop(name, None)
        if isinstance(value, (Module, list, tuple, dict)):
            _pending.link(self, value)
        object.__setattr__(self, name, value)

    def _check_not_parameter(self, name: str, value: Any) -> None:
        pending = self.__dict__.get("_pending") or {}
        if isinstance(pending.get(name, self.__dict__.get(name)), Parameter):
            raise ArgumentError(
                f"{type(self).__name__}.{name}: a plain tensor of shape {tuple(value.shape)} was "
                "assigned where a parameter is. Expected nn.Parameter or None. Fix: "
                f"nn.Parameter(value), or copy the values with .{name}.data.copy_(value)."
            )

    def __getattr__(self, name: str) -> Any:
        # Reached only when ordinary lookup fails: parameters without values, and entries.
        attributes = self.__dict__
        pending = attributes.get("_pending")
        if pending and name in pending:
            return self._read_pending(name, pending[name])
        entries = attributes.get("_entries")
        if entries and name in entries:
            return entries[name]
        close = difflib.get_close_matches(name, list(attributes) + list(entries or ()), 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}.{hint}")

    def _read_pending(self, name: str, parameter: Parameter) -> Parameter:
        builder = _pending.outermost_constructor(Module)
        if builder is not None and self._serial >= builder._serial:
            return _pending.read_early(self, name, parameter)
        self._settle()
        return parameter

    def __delattr__(self, name: str) -> None:
        attributes = self.__dict__
        for table in ("_pending", "_entries", "_persistence"):
            if name in (attributes.get(table) or ()):
                del attributes[table][name]
                if table != "_persistence":
                    return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*object.__dir__(self), *(self.__dict__.get("_pending") or ())}
        return sorted(names | set(self.__dict__.get("_entries") or ()))

    def __getstate__(self) -> dict[str, Any]:
        if any(not module._settled for module in self.modules()):
            self._settle()
        dropped = ("_parent", "_era", "_serial", "_ready", "_plan")
        return {name: value for name, value in self.__dict__.items() if name not in dropped}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["_serial"] = next(_pending.serials)
        for _, value in _tree.members(self):
            if isinstance(value, Module):
                _pending.link(self, value)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set a parameter under a name; None reserves the name."""
        self._check_name(name)
        attributes = self.__dict__
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentError(
                f"register_parameter({name!r}): received {type(param).__name__}. Expected "
                "nn.Parameter or None. Fix: nn.Parameter(value)."
            )
        if param is None or (self._settled and param._initializer is None):
            (attributes.get("_pending") or {}).pop(name, None)
            attributes[name] = param
            return
        attributes.pop(name, None)  # or it would hide the pending one
        param._held = True
        attributes.setdefault("_pending", {})[name] = param
        attributes["_settled"] = attributes["_ready"] = False

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set a tensor that belongs to the state but does not train."""
        self._check_name(name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentError(
                f"register_buffer({name!r}): received {type(tensor).__name__}. Expected a Tensor "
                "or None. Fix: asarray(value)."
            )
        self.__dict__.setdefault("_persistence", {})[name] = persistent
        self.__dict__[name] = tensor

    def register_module(self, name: str, module: Module | None) -> None:
        """Set a sub-module under a name."""
        self.add_module(name, module)

    def add_module(self, name: str, module: Module | None) -> None:
        """Set a sub-module under a name."""
        self._check_name(name)
        if module is not None and not isinstance(module, Module):
            raise ArgumentError(
                f"add_module({name!r}): received {type(module).__name__}. Expected a Module or "
                "None. Fix: pass an instance of nn.Module."
            )
        setattr(self, name, module)

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(
                f"{type(self).__name__}: received the name {name!r}. Expected a non-empty string "
                'without ".". Fix: choose another name.'
            )
        if name in _tree.INTERNAL or callable(getattr(Module, name, None)):
            raise ArgumentError(
                f"{type(self).__name__}: the name {name!r} is reserved for nn.Module itself. "
                "Expected a name that Module does not use. Fix: choose another name."
            )

    def _holds(self, name: str) -> bool:
        """Whether a parameter of that name is there, without giving it its values."""
        attributes = self.__dict__
        return name in (attributes.get("_pending") or ()) or attributes.get(name) is not None

    def _initialize(self, name: str, initializer: Initializer) -> None:
        """Fill one of our parameters: when the model is first used, or at once after that."""
        parameter = (self.__dict__.get("_pending") or {}).get(name)
        if parameter is not None:
            parameter._initializer, parameter._preview = initializer, None
        elif self.__dict__.get(name) is not None:
            _pending.initialize(self.__dict__[name], initializer, None, Module)

    @property
    def _modules(self) -> Mapping[str, Module]:
        """The modules directly below by name, to read."""
        return MappingProxyType({k: v for k, v in _tree.members(self) if isinstance(v, Module)})

    @property
    def _parameters(self) -> Mapping[str, Parameter]:
        """This module's own parameters by name, to read."""
        return MappingProxyType(dict(self.named_parameters(recurse=False)))

    @property
    def _buffers(self) -> Mapping[str, Tensor]:
        """This module's own buffers by name, to read."""
        return MappingProxyType(dict(self.named_buffers(recurse=False)))

    # --- walking ----------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, each once, as (name, module)."""
        seen: set[int] = set()
        for name, value in _tree.members(self):
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules directly below."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below, as (path, module); one that is used twice comes once."""
        seen = set() if memo is None else memo
        yield from self._walk(seen, (), prefix, remove_duplicate)

    def _walk(
        self, seen: set[Module], above: tuple[Module, ...], prefix: str, once: bool
    ) -> Iterator[tuple[str, Module]]:
        if self in seen if once else any(self is module for module in above):
            return
        seen.add(self)
        yield prefix, self
        for name, value in _tree.members(self):
            if isinstance(value, Module):
                path = f"{prefix}.{name}" if prefix else name
                yield from value._walk(seen, (*above, self), path, once)

    def modules(self) -> Iterator[Module]:
        """This module and all below, each once."""
        for _, module in self.named_modules():
            yield module

    def _named_tensors(
        self, kind: type, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any, Module, str]]:
        seen: set[int] = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else iter([(prefix, self)])
        )
        for path, module in modules:
            table = module.__dict__.get("_persistence") or {}
            for name, value in _tree.members(module):
                if kind is Parameter:
                    wanted = isinstance(value, Parameter)
                else:
                    wanted = isinstance(value, Tensor) and (
                        name in table or isinstance(value, Buffer)
                    )
                if wanted and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value, module, name

    def _require_values(self, recurse: bool = True) -> None:
        modules = list(self.modules()) if recurse else [self]
        if all(module._settled for module in modules):
            return
        self._settle()
        for module in modules:
            if not module._settled:
                for name, value in (module.__dict__.get("_pending") or {}).items():
                    if isinstance(value, UninitializedParameter):
                        path = next(p for p, m in self.named_modules() if m is module)
                        full = f"{path}.{name}" if path else name
                        raise ArgumentError(
                            f"{type(self).__name__}.parameters(): {full!r} "
                            f"({type(module).__name__}) has no shape before the first batch. "
                            "Expected a model that has seen data. Fix: call the model once, "
                            "model(x), or give the input size."
                        )

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters as (name, parameter); a shared one comes once, under its first name."""
        self._require_values(recurse)
        for name, value, _, _ in self._named_tensors(Parameter, prefix, recurse, remove_duplicate):
            yield name, value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once.

        Raises ArgumentError for a layer whose input size is not known yet.
        """
        # The check runs now, not at the first next().
        return (p for _, p in [*self.named_parameters(recurse=recurse)])

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers as (name, tensor)."""
        for name, value, _, _ in self._named_tensors(Buffer, prefix, recurse, remove_duplicate):
            yield name, value

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "layers.0"."""
        if not target:
            return self
        for name, module in self.named_modules(remove_duplicate=False):
            if name == target:
                return module
        raise self._unknown_path(target, [n for n, _ in self.named_modules(remove_duplicate=False)])

    def set_submodule(self, target: str, module: Module) -> None:
        """Put another module at a path such as "layers.0"."""
        if not isinstance(module, Module):
            raise ArgumentError(
                f"set_submodule({target!r}): received {type(module).__name__}. Expected a Module. "
                "Fix: pass an instance of nn.Module."
            )
        self.get_submodule(target)
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        entries = parent.__dict__.get("_entries")
        if entries and name in entries:
            entries[name] = module
            _pending.link(parent, module)
        else:
            setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "layers.0.weight"."""
        found = dict(self.named_parameters(remove_duplicate=False))
        if target not in found:
            raise self._unknown_path(target, list(found))
        return found[target]

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as "norm.running_mean"."""
        found = dict(self.named_buffers(remove_duplicate=False))
        if target not in found:
            raise self._unknown_path(target, list(found))
        return found[target]

    def _unknown_path(self, target: str, known: list[str]) -> AttributeError:
        close = difflib.get_close_matches(target, known, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return AttributeError(f"{type(self).__name__!r} has nothing at {target!r}.{hint}")

    # --- acting on all of it ----------------------------------------------------------------------

    def apply(self: M, fn: Callable[[Module], object]) -> M:
        """Call `fn` on every module below and then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self: M, mode: bool = True) -> M:
        """Switch training behaviour (dropout) on or off."""
        if not isinstance(mode, bool):
            raise ArgumentError(
                f"train: mode is {mode!r}. Expected True or False. Fix: model.train() or "
                "model.eval()."
            )
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Switch training behaviour off."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Freeze or unfreeze all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients (or set them to zero)."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = samara.zeros_like(parameter.grad.detach())

    def _apply(self: M, fn: Callable[[Tensor], Tensor]) -> M:
        """Replace the values of every parameter, its gradient, and every buffer by `fn(value)`."""
        with no_grad():
            for parameter in self.parameters():
                gradient = parameter.grad
                parameter.grad = None  # it must fit the values at every moment
                parameter.data = fn(parameter.detach())
                if gradient is not None:
                    parameter.grad = fn(gradient.detach())
            for name, value, module, own in list(
                self._named_tensors(Buffer, "", True, remove_duplicate=False)
            ):
                del name
                if own in module.__dict__:
                    module.__dict__[own] = fn(value)
                else:
                    value.data = fn(value.detach())
        return self

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Move to a device and cast floating-point values: `to(device)`, `to(dtype)`, or both."""
        device = kwargs.get("device")
        dtype = kwargs.get("dtype")
        for value in args:
            if isinstance(value, Tensor):
                device, dtype = value.device, value.dtype
            elif isinstance(value, DType):
                dtype = value
            else:
                device = value
        if dtype is not None and not _is_float(dtype):
            raise ArgumentError(
                f"Module.to: dtype is {dtype}. Expected a floating-point or complex dtype. "
                "Fix: samara.float32."
            )

        def move(tensor: Tensor) -> Tensor:
            if dtype is not None and _is_float(tensor.dtype):
                tensor = tensor.to(dtype)
            return tensor.to(device) if device is not None else tensor

        return self._apply(move)

    def float(self: M) -> M:
        """Cast floating-point values to float32."""
        return self.to(_core.float32)

    def double(self: M) -> M:
        """Cast floating-point values to float64."""
        return self.to(_core.float64)

    def half(self: M) -> M:
        """Cast floating-point values to float16."""
        return self.to(_core.float16)

    def bfloat16(self: M) -> M:
        """Cast floating-point values to bfloat16."""
        return self.to(_core.bfloat16)

    def type(self: M, dst_type: DType) -> M:
        """Cast all parameters and buffers to a dtype, integers too."""
        return self._apply(lambda tensor: tensor.to(dst_type))

    def to_empty(self: M, *, device: Any, recurse: bool = True) -> M:
        """Move to a device without the values."""
        del recurse
        return self._apply(lambda tensor: samara.empty_like(tensor, device=device))

    def share_memory(self: M) -> M:
        """Nothing to do: threads share memory, and forked processes copy it."""
        return self

    def cuda(self: M, device: Any = None) -> M:
        """Move to a GPU. Raises DeviceError where there is none."""
        return self.to(
            "cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device
        )

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Raises UnsupportedError: there is no compiler of models."""
        raise UnsupportedError(
            f"{type(self).__name__}.compile: there is no compiler of models. Expected a model that "
            "is called as it is. Fix: leave the call out; the operations are compiled already."
        )

    def cpu(self: M) -> M:
        """Move to the CPU."""
        return self.to("cpu")

    # --- state ------------------------------------------------------------------------------------

    def state_dict(
        self,
        destination: OrderedDict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> OrderedDict[str, Any]:
        """All parameters and persistent buffers by name; the values share the model's memory.

        A module that writes `get_extra_state` adds what that returns, as `_extra_state`.
        """
        return _state.save(self, destination, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> LoadReport:
        """Copy values by name; one error lists everything that is missing, unexpected or misshapen.

        With `strict=False` missing and unexpected names are returned instead of raised; nothing in
        common, or a wrong shape, is an error all the same. `assign=True` takes the given dtype and
        memory instead of copying into ours. Nothing is changed when an error is raised.
        """
        return _state.load(self, state_dict, strict, assign)

    def get_extra_state(self) -> Any:
        """State beside tensors, kept as `_extra_state`; subclasses write this and the next."""
        raise NotImplementedError(
            f"{type(self).__name__}.get_extra_state is missing. Expected a method that returns the "
            "state. Fix: write it together with set_extra_state."
        )

    def set_extra_state(self, state: Any) -> None:
        """Take over what `get_extra_state` returned; subclasses write this."""
        raise NotImplementedError(
            f"{type(self).__name__}.set_extra_state is missing. Expected a method that takes the "
            "state. Fix: write it together with get_extra_state."
        )

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` reads the module."""
        return self._add_hook(self._hooks("_state_dict_pre_hooks"), hook, False)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after it; it edits state_dict."""
        return self._add_hook(self._hooks("_state_dict_hooks"), (hook, False), False)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The post hook of PyTorch's older code; what it returns replaces the state."""
        return self._add_hook(self._hooks("_state_dict_hooks"), (hook, True), False)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)` before loading; it edits a copy of what was given.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        """The same without the module in front."""
        return self._add_hook(self._hooks("_load_state_dict_pre_hooks"), (hook, with_module), False)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, report)` after loading; it may take names off the report."""
        return self._add_hook(self._hooks("_load_state_dict_post_hooks"), hook, False)

    def _hooks(self, name: str) -> dict[int, Any]:
        hooks = self.__dict__.get(name)
        if hooks is None:
            hooks = self.__dict__[name] = {}
        found: dict[int, Any] = hooks
        return found

    # --- showing ----------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The arguments shown in `repr`; subclasses write this."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = []
        for name, child in self._shown():
            text = repr(child) if isinstance(child, Module) else _callable_name(child)
            lines.append(f"({name}): " + text.replace("\n", "\n  "))
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        head = [extra] if extra else []
        return f"{type(self).__name__}(\n  " + "\n  ".join([*head, *lines]) + "\n)"

    def _shown(self) -> Iterator[tuple[str, Any]]:
        for name, value in _tree.members(self):
            if isinstance(value, Module):
                yield name, value

    def summary(self, *args: Any, **kwargs: Any) -> Any:
        """A table of the modules, their output shapes and parameter counts: see `nn.summary`."""
        from samara.nn.summary import summary

        return summary(self, *args, **kwargs)


def _is_float(dtype: Any) -> bool:
    return bool(dtype.is_floating_point or dtype.is_complex)


def _callable_name(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or repr(function)
    return name.rpartition(".")[2] if "<lambda>" not in name else "<lambda>"
