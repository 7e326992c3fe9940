"""What all optimizers share: groups, names, state, and the refusal of broken gradients."""

from __future__ import annotations

import copy
import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import samara
from samara.autograd import enable_grad
from samara.errors import ArgumentError, NumericsError, ShapeError, UnsupportedError
from samara.lookup import choose
from samara.optim._stepper import Stepper, make_stepper
from samara.tensor import Tensor, asarray

__all__ = ["Optimizer", "StateReport"]

Settings = dict[str, Any]


#: The range of shares that may be the whole.
UP_TO_ONE = (0.0, 1.0 + 1e-12)

_KERNEL_NAMES = {"decoupled_weight_decay": "decoupled", "initial_accumulator_value": "initial"}


class StateReport(NamedTuple):
    """Parameters that a loaded state says nothing about, and entries without a parameter."""

    missing_keys: list[str]
    unexpected_keys: list[str]


# PyTorch's choices between ways to the same numbers, and those of a GPU's or a graph's.
_IDLE_SWITCHES = ("foreach", "fused")
_ABSENT_SWITCHES = ("capturable", "differentiable")


def _with_pytorchs_switches(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that knows PyTorch's switches: kernels are fused already, others not there."""

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in _ABSENT_SWITCHES:
            if kwargs.pop(name, False):
                raise UnsupportedError(
                    f"{type(self).__name__}: {name}=True is not there. Expected False. Fix: leave "
                    "it out."
                )
        init(self, *args, **{k: v for k, v in kwargs.items() if k not in _IDLE_SWITCHES})

    return wrapped


class ParamGroup(dict[str, Any]):
    """The settings of one group; a change is noticed, so a step need not read them all."""

    changed = True

    def __setitem__(self, name: str, value: Any) -> None:
        self.changed = True
        super().__setitem__(name, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several settings."""
        self.changed = True
        super().update(*args, **kwargs)

    def __ior__(self, other: Any) -> ParamGroup:  # type: ignore[override, misc]  # dict's has overloads
        self.update(other)
        return self


class Optimizer:
    """Base of the optimizers.

    `params` is a model, an iterable of parameters, of (name, parameter) pairs, or of groups: dicts
    with "params" and the settings that differ. State is kept under the parameter's name.

    A step with a non-finite gradient is never applied: parameters and state stay as they are, and
    NumericsError names the parameter (`nonfinite="raise"`), or the step is left out and counted in
    `skipped_steps` (`nonfinite="skip"`). Raises ArgumentError for lr <= 0, no parameters, or one
    given twice.

    A subclass may be written as for PyTorch: `step` changes the parameters under `no_grad`, and
    `self.state[parameter]` is a dict for what it keeps.

    >>> import samara
    >>> w = samara.tensor([1.0], requires_grad=True)
    >>> optimizer = samara.optim.SGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.item()
    0.0
    """

    #: The native kernel's name; None where the equation in Python is all there is.
    kernel: ClassVar[str | None] = None
    #: The tensors kept per parameter, in the kernel's order.
    state_names: ClassVar[tuple[str, ...]]
    #: Written as PyTorch's are: `step` does everything, with `self.state[parameter]`.
    _writes_step: ClassVar[bool] = False
    #: low <= value < high of the settings that may not be just any number from 0.
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    #: Whether the number of steps is part of the state.
    counts_steps: ClassVar[bool] = True

    def __init__(self, params: Any, defaults: Settings, nonfinite: str = "raise") -> None:
        choose(f"{self._title}: nonfinite", nonfinite, {"raise": 0, "skip": 0})
        self.defaults = defaults
        self.nonfinite = nonfinite
        self.skipped_steps = 0
        self.param_groups: list[ParamGroup] = []
        self._steppers: list[Stepper] = []
        self._names: list[list[str]] = []
        self._known: set[int] = set()
        self._kept: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        groups = _as_groups(self._title, params)
        if not any(entries for _, entries in groups):
            raise ArgumentError(
                f"{self._title}: received no parameters. Expected at least one. Fix: pass "
                "model.parameters(); check that the model has layers, and that an iterator was "
                "not used up before."
            )
        _give_names(groups, taken=set())
        for settings, entries in groups:
            self._add(settings, entries)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._writes_step = not hasattr(cls, "state_names")
        if "__init__" in cls.__dict__:
            type.__setattr__(cls, "__init__", _with_pytorchs_switches(cls.__dict__["__init__"]))

    # --- written by each optimizer ----------------------------------------------------------------

    def settings(self, group: Mapping[str, Any]) -> dict[str, float]:
        """The group's settings as the numbers the kernel takes; checks them."""
        return self._numbers(group, self.defaults)

    def _numbers(self, group: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
        """These settings of the group; checks them against `ranges`."""
        numbers = {}
        for name in names:
            value = group[name]
            if name == "betas":
                if not isinstance(value, (tuple, list)) or len(value) != 2:
                    raise ArgumentError(
                        f"{self._title}: betas is {value!r}. Expected two numbers. "
                        "Fix: betas=(0.9, 0.999)."
                    )
                numbers["beta1"] = check_range(self._title, "betas[0]", value[0], 0.0, 1.0)
                numbers["beta2"] = check_range(self._title, "betas[1]", value[1], 0.0, 1.0)
            else:
                limits = self.ranges.get(name, (0.0, math.inf))
                short = _KERNEL_NAMES.get(name, name)
                numbers[short] = check_range(self._title, name, value, *limits)
        return numbers

    @staticmethod
    def reference_update(
        param: Tensor, grad: Tensor, state: dict[str, Tensor], step: int, **settings: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The equation: (parameter, gradient, state) -> (parameter, state), nothing in place."""
        raise NotImplementedError

    @staticmethod
    def state_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the state `name` of a parameter of that shape."""
        return shape

    # --- stepping ---------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; the others and their state stay untouched.

        `closure` computes the loss and its gradients first, and its result is returned. Raises
        NumericsError for a non-finite gradient.
        """
        result = None
        if closure is not None:
            with enable_grad():
                result = closure()
        for group in self.param_groups:
            if group.changed:
                self._configure()
                break
        steppers = self._steppers
        if len(steppers) == 1:
            broken = steppers[0].step()
            if broken >= 0:
                self._refuse(0, broken)
            return result
        for index, stepper in enumerate(self._steppers):
            broken = stepper.first_nonfinite()
            if broken >= 0:
                self._refuse(index, broken)
                return result
        for stepper in self._steppers:
            stepper.apply()
        return result

    def _configure(self) -> None:
        for group, stepper in zip(self.param_groups, self._steppers, strict=True):
            if group.changed:
                stepper.configure(**self.settings(group))
                group.changed = False

    def _refuse(self, group: int, index: int) -> None:
        if self.nonfinite == "skip":
            self.skipped_steps += 1
            return
        name = self._names[group][index]
        gradient = self.param_groups[group]["params"][index].grad.detach()
        bad = gradient.numel() - int(samara.isfinite(gradient).sum().item())
        raise NumericsError(
            f"{self._title}.step: the gradient of {name!r} {tuple(gradient.shape)} holds {bad} "
            f"non-finite of {gradient.numel()} values. Expected finite gradients; no parameter was "
            "changed. Fix: lower lr, clip gradients, look for log(0), 0/0 or overflow in the loss; "
            'nonfinite="skip" leaves such steps out.'
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients (or set them to zero)."""
        for stepper in self._steppers:
            stepper.zero_grad(set_to_none)

    # --- groups -----------------------------------------------------------------------------------

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Take on further parameters, with settings of their own.

        Raises ArgumentError for a parameter that is here already and for an unknown setting.
        """
        groups = _as_groups(self._title, [param_group])
        _give_names(groups, taken={name for names in self._names for name in names})
        for settings, entries in groups:
            if not entries:
                raise ArgumentError(
                    f"{self._title}.add_param_group: received no parameters. Expected at least "
                    'one. Fix: {"params": layer.parameters()}.'
                )
            self._add(settings, entries)

    def _add(self, settings: Settings, entries: list[_Entry]) -> None:
        for name in settings:
            # Schedulers keep these beside the settings.
            if name not in ("initial_lr", "max_lr", "min_lr"):
                choose(f"{self._title}: the group's setting", name, self.defaults)
        parameters = [entry.tensor for entry in entries]
        for entry in entries:
            self._check_parameter(entry)
        group = ParamGroup({"params": parameters, **self.defaults, **settings})
        if "lr" in group:
            _check_lr(self._title, group["lr"])
        numbers = {} if self._writes_step else self.settings(group)
        self._known.update(id(p) for p in parameters)
        self.param_groups.append(group)
        self._names.append([entry.name for entry in entries])
        stepper = make_stepper(self, parameters)
        stepper.configure(**numbers)
        group.changed = False
        self._steppers.append(stepper)

    def _check_parameter(self, entry: _Entry) -> None:
        tensor = entry.tensor
        if not tensor.dtype.is_floating_point:
            raise ArgumentError(
                f"{self._title}: parameter {entry.name!r} has dtype {tensor.dtype}. Expected a "
                "floating-point dtype. Fix: leave it out, or make it a float tensor."
            )
        if not tensor.is_leaf:
            raise ArgumentError(
                f"{self._title}: parameter {entry.name!r} is the result of a computation, so no "
                "gradient is kept for it. Expected a leaf. Fix: nn.Parameter(value.detach())."
            )
        if id(tensor) in self._known:
            raise ArgumentError(
                f"{self._title}: parameter {entry.name!r} {tuple(tensor.shape)} was given twice, "
                "so it would be updated twice. Expected each parameter once. Fix: remove it from "
                "one of the groups."
            )
        self._known.add(id(tensor))

    # --- state ------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[Any, dict[str, Any]]:
        """The state by parameter name: live tensors, empty before the first step."""
        if self._writes_step:
            return self._kept
        found: dict[str, dict[str, Any]] = {}
        for names, stepper in zip(self._names, self._steppers, strict=True):
            for index, name in enumerate(names):
                entry = self._entry_state(stepper, index)
                if entry:
                    found[name] = entry
        return found

    def _entry_state(self, stepper: Stepper, index: int) -> dict[str, Any]:
        steps, tensors = stepper.get_state(index)
        if steps == 0:
            return {}
        entry: dict[str, Any] = {"step": steps} if self.counts_steps else {}
        for name, tensor in zip(self.state_names, tensors, strict=False):
            if tensor is not None:
                entry[name] = tensor
        return entry

    def state_dict(self) -> dict[str, Any]:
        """{"state": {name: {...}}, "param_groups": [{settings, "params": [names]}]}.

        PyTorch's layout, with names where PyTorch has positions. The tensors are the live ones.
        """
        groups = []
        for group, names in zip(self.param_groups, self._names, strict=True):
            plain = {name: value for name, value in group.items() if name != "params"}
            groups.append({**plain, "params": list(names)})
        state = self.state
        if self._writes_step:
            state = {name: dict(state[p]) for name, p in self._named() if p in state}
        return {"state": state, "param_groups": groups}

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for names, group in zip(self._names, self.param_groups, strict=True):
            yield from zip(names, group["params"], strict=True)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> StateReport:
        """Take over state and settings: by name, or by position from a state without names.

        With `strict=False` parameters without an entry start fresh, and the report names them.
        Raises ArgumentError when names do not match, ShapeError for state of another shape.
        Nothing is changed when an error is raised.
        """
        loaded, groups, missing, unexpected = self._match_state(state_dict)
        if strict and (missing or unexpected):
            raise ArgumentError(
                f"{self._title}.load_state_dict: the state does not fit. Missing "
                f"({len(missing)}): {', '.join(missing) or 'none'}. Unexpected "
                f"({len(unexpected)}): {', '.join(unexpected) or 'none'}. Expected the parameters "
                "of this optimizer. Fix: load it into the optimizer of the same model, or "
                "strict=False to start fresh where an entry is missing."
            )
        writes: list[tuple[Stepper, int, int, list[Tensor | None]]] = []
        if self._writes_step:
            self._kept.clear()
            for name, parameter in self._named():
                self._kept[parameter].update(copy.deepcopy(dict(loaded.get(name) or {})))
            loaded = {}
        for names, group, stepper in zip(
            self._names, self.param_groups, self._steppers, strict=True
        ):
            for index, name in enumerate(names):
                entry = loaded.get(name)
                if entry is not None:
                    writes.append((stepper, index, *self._read_entry(name, entry, group, index)))
        for target, source in zip(self.param_groups, groups, strict=False):
            target.update({k: v for k, v in source.items() if k not in ("params", "param_names")})
        for stepper, index, steps, tensors in writes:
            stepper.set_state(index, steps, tensors)
        return StateReport(missing, unexpected)

    def _match_state(
        self, state_dict: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[Any], list[str], list[str]]:
        try:
            groups = list(state_dict["param_groups"])
            given = dict(state_dict["state"])
            listed = [list(group.get("param_names", group["params"])) for group in groups]
            keys = [list(group["params"]) for group in groups]
        except (KeyError, TypeError, AttributeError) as error:
            raise ArgumentError(
                f"{self._title}.load_state_dict: received {type(state_dict).__name__} without the "
                'layout of a state. Expected {"state": ..., "param_groups": [...]}. '
                "Fix: pass optimizer.state_dict()."
            ) from error
        own = [name for names in self._names for name in names]
        flat = [pair for a, b in zip(listed, keys, strict=True) for pair in zip(a, b, strict=False)]
        by_name = {str(name): given.get(key) for name, key in flat}
        if not set(own) & set(by_name) and len(flat) == len(own):
            # Positions, such as PyTorch's: the order decides.
            by_name = {name: given.get(key) for name, (_, key) in zip(own, flat, strict=True)}
        missing = [name for name in own if name not in by_name]
        unexpected = [name for name in by_name if name not in set(own)]
        return by_name, groups, missing, unexpected

    def _read_entry(
        self, name: str, entry: Mapping[str, Any], group: ParamGroup, index: int
    ) -> tuple[int, list[Tensor | None]]:
        parameter = group["params"][index]
        tensors: list[Tensor | None] = []
        for state_name in self.state_names:
            value = entry.get(state_name)
            if value is None:
                tensors.append(None)
                continue
            tensor = value if isinstance(value, Tensor) else asarray(value)
            expected = self.state_shape(state_name, tuple(parameter.shape))
            if tuple(tensor.shape) != expected:
                raise ShapeError(
                    f"{self._title}.load_state_dict: {state_name!r} of {name!r} has shape "
                    f"{tuple(tensor.shape)}. Expected {expected}, for a parameter of shape "
                    f"{tuple(parameter.shape)}. Fix: load the state that was saved with this model."
                )
            tensors.append(tensor)
        steps = entry.get("step")
        number = 1 if steps is None else int(steps.item() if hasattr(steps, "item") else steps)
        return number, tensors

    # --- showing ----------------------------------------------------------------------------------

    @property
    def _title(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = [f"{self._title} ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {index}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


class _Entry:
    """A parameter on its way into a group."""

    def __init__(self, name: str | None, tensor: Tensor) -> None:
        self.given = name
        self.name = name or ""
        self.tensor = tensor


def _as_groups(title: str, params: Any) -> list[tuple[Settings, list[_Entry]]]:
    """The groups in whatever form they were given."""
    if isinstance(params, Tensor):
        raise ArgumentError(
            f"{title}: received a single tensor. Expected an iterable of parameters. "
            f"Fix: {title}([tensor], ...)."
        )
    if not hasattr(params, "named_parameters") and not isinstance(params, Iterable):
        raise ArgumentError(
            f"{title}: received {type(params).__name__}. Expected a model or its parameters. "
            f"Fix: {title}(model.parameters(), lr=0.01)."
        )
    given = params if hasattr(params, "named_parameters") else list(params)
    if isinstance(given, list) and given and all(isinstance(item, Mapping) for item in given):
        groups = []
        for item in given:
            if "params" not in item:
                raise ArgumentError(
                    f'{title}: a group has no "params"; it has {", ".join(map(repr, item))}. '
                    'Expected {"params": parameters, ...}. Fix: add the parameters.'
                )
            settings = {k: v for k, v in item.items() if k != "params"}
            groups.append((settings, list(_entries(title, item["params"]))))
        return groups
    return [({}, list(_entries(title, given)))]


def _entries(title: str, params: Any) -> Iterator[_Entry]:
    if isinstance(params, Tensor):
        params = [params]
    elif hasattr(params, "named_parameters"):
        params = params.named_parameters()
    for item in params:
        name, tensor = item if isinstance(item, tuple) and len(item) == 2 else (None, item)
        if not isinstance(tensor, Tensor) or not (name is None or isinstance(name, str)):
            raise ArgumentError(
                f"{title}: received {type(item).__name__} among the parameters. Expected tensors, "
                "(name, tensor) pairs, or groups. Fix: pass model.parameters()."
            )
        yield _Entry(name, tensor)


def _give_names(groups: list[tuple[Settings, list[_Entry]]], taken: set[str]) -> None:
    """Names as given, else the parameters' paths in their model, else positions."""
    entries = [entry for _, group in groups for entry in group]
    paths = [getattr(getattr(entry.tensor, "_place", None), "path", None) for entry in entries]
    names = [entry.given or path for entry, path in zip(entries, paths, strict=True)]
    usable = len({*names, *taken}) == len(names) + len(taken) and None not in names
    for index, entry in enumerate(entries):
        path = names[index]
        if usable and path is not None:
            entry.name = path
        elif entry.given is None or entry.given in taken:
            entry.name = str(len(taken))
        taken.add(entry.name)


def _check_lr(title: str, lr: Any) -> None:
    if not math.isfinite(float(lr)) or float(lr) <= 0:
        raise ArgumentError(
            f"{title}: lr is {float(lr)}. Expected a finite lr > 0. "
            "Fix: lr=1e-3 is a usual start for Adam, lr=1e-2 for SGD."
        )


def kept(state: dict[str, Tensor], name: str, like: Tensor, start: float = 0.0) -> Tensor:
    """A state tensor, or at the first step one of `like`'s shape that holds `start`."""
    found = state.get(name)
    if found is not None:
        return found
    fresh: Tensor = samara.full_like(like, start)
    return fresh


def descent(
    param: Tensor, grad: Tensor, settings: Mapping[str, float], decoupled: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The parameter and the gradient to go down, with weight decay in one of the two."""
    g = -grad if settings["maximize"] else grad
    if decoupled:
        return param * (1 - settings["lr"] * settings["weight_decay"]), g
    return param, g + settings["weight_decay"] * param


def check_range(title: str, name: str, value: Any, low: float, high: float = math.inf) -> float:
    """A setting as a float, low <= value < high; raises ArgumentError otherwise."""
    number = float(value)
    if not (math.isfinite(number) and low <= number < high):
        limit = f"{low} <= {name}" + ("" if high == math.inf else f" < {high}")
        raise ArgumentError(
            f"{title}: {name} is {value}. Expected {limit}. Fix: choose a value in this range."
        )
    return number
