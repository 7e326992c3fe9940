"""Initial values that depend on a parameter's place in its model, not on the order of calls.

A layer allocates its parameters and notes how to fill them. The values are drawn when the model is
first used - called, asked for its parameters, or read - with the key

    fold(seed, "init", root, path)

where `root` tells apart the models made under one seed and `path` is the parameter's name in its
model. Adding a layer therefore changes nobody else's values.

The model is found from below: a module remembers the module it was assigned to, and a module that
only a list holds is found through the calls under way. While a constructor runs the final place is
not known yet. A parameter read there gets a value for good; one that `nn.init` fills there gets
its final value when the model is first used, from the same initialiser.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

import samara
from samara.autograd import no_grad
from samara.nn import _tree
from samara.nn.parameter import Initializer, Parameter, UninitializedParameter
from samara.random import Key
from samara.tensor import Tensor

if TYPE_CHECKING:
    from samara.nn.module import Module

serials = itertools.count(1)


class Era:
    """The time between two calls of `samara.seed`: models made in it are numbered from 0."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.roots = 0
        self.early: Counter[str] = Counter()
        self.drawn: Counter[tuple[str, str]] = Counter()

    def root_token(self) -> str:
        """The name of the next model."""
        token = str(self.roots)
        self.roots += 1
        return token

    def early_token(self, what: str) -> str:
        """A name for something used before its model is complete."""
        self.early[what] += 1
        return f"early.{what}.{self.early[what]}"

    def key_of(self, root: str, path: str) -> Key:
        """The key of a parameter's initial values."""
        return self.key.fold("init").fold(root).fold(path)


class Place(NamedTuple):
    """Where a parameter's values come from."""

    root: str
    path: str


_era: Era | None = None
_era_mark: Any = None


def current_era() -> Era:
    """The era of the latest `samara.seed`."""
    global _era, _era_mark
    mark = samara.random.seed_mark()
    if _era is None or mark is not _era_mark:
        _era, _era_mark = Era(samara.random.seed_key()), mark
    return _era


# --- who is under construction, and who is being called -------------------------------------------


def outermost_constructor(kind: type) -> Any:
    """The module whose `__init__` is the outermost one running now, or None."""
    frame: FrameType | None = sys._getframe(1)
    found = None
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__init__" and code.co_argcount:
            owner = frame.f_locals.get(code.co_varnames[0])
            if isinstance(owner, kind):
                found = owner
        frame = frame.f_back
    return found


def _callers(call_code: Any) -> Iterator[Module]:
    """The modules whose `__call__` is running, outermost first."""
    frame: FrameType | None = sys._getframe(1)
    found: list[Module] = []
    while frame is not None:
        if frame.f_code is call_code:
            found.append(frame.f_locals["self"])
        frame = frame.f_back
    return reversed(found)


def link(parent: Module, value: Any) -> None:
    """Remember which module a sub-module (or those in a list, tuple or dict) was assigned to."""
    if hasattr(value, "named_parameters"):
        known = value.__dict__.get("_parent")
        if value is not parent and (known is None or known() is None):
            value.__dict__["_parent"] = weakref.ref(parent)
    elif isinstance(value, dict):
        for element in value.values():
            link(parent, element)
    elif isinstance(value, (list, tuple)) and not (value and isinstance(value[0], _tree._DATA)):
        for element in value:
            link(parent, element)


def _top(module: Module) -> Module:
    """The last module in the chain of parents."""
    seen = {id(module)}
    while True:
        reference = module.__dict__.get("_parent")
        parent = reference() if reference is not None else None
        if parent is None or id(parent) in seen:
            return module
        seen.add(id(parent))
        module = parent


def find_root(module: Module, call_code: Any) -> Module:
    """The model that a module belongs to; the module itself when it stands alone."""
    tried = set()
    for candidate in (*_callers(call_code), module):
        top = _top(candidate)
        if id(top) not in tried and any(part is module for part in top.modules()):
            return top
        tried.add(id(top))
    return module


# --- filling --------------------------------------------------------------------------------------


def settle(module: Module, call_code: Any, kind: type) -> None:
    """Give their values to all parameters of the model that the module belongs to."""
    root = find_root(module, call_code)
    attributes = root.__dict__
    era = attributes.get("_era") or current_era()
    token = attributes.get("_root_token")
    if token is None and not _has_parameters(root):
        # A loss or an activation alone takes no number away from the models still to be drawn.
        for part in root.modules():
            part.__dict__["_settled"] = True
        return
    if token is None:
        builder = outermost_constructor(kind)
        inside = builder is not None and attributes.get("_serial", 0) >= builder._serial
        token = era.early_token(type(root).__qualname__) if inside else era.root_token()
        attributes["_root_token"] = token
    for path, part in list(root.named_modules()):
        if not part._settled:
            _settle_one(part, path, token, era)


def _has_parameters(root: Module) -> bool:
    return any(
        isinstance(value, Parameter) for part in root.modules() for _, value in _tree.members(part)
    )


def _settle_one(module: Module, path: str, token: str, era: Era) -> None:
    attributes = module.__dict__
    pending: dict[str, Parameter] = attributes.get("_pending") or {}
    waiting = False
    for name, parameter in pending.items():
        if isinstance(parameter, UninitializedParameter):
            waiting = True
        elif parameter._place is None:
            _fill(parameter, era, Place(token, f"{path}.{name}" if path else name))
    if waiting:
        return
    attributes.pop("_pending", None)
    attributes.update(pending)
    attributes["_settled"] = True
    # Those in lists and dicts have values already; from now on they are redrawn by their names.
    for name, value in _tree.members(module):
        if isinstance(value, Parameter) and value._place is None:
            value._place = Place(token, f"{path}.{name}" if path else name)


def _fill(parameter: Parameter, era: Era, place: Place) -> None:
    initializer = parameter._initializer
    if initializer is not None:
        preview = parameter._preview
        # An edit through a reference kept since `nn.init` ran is the user's last word.
        if preview is None or _still_shows(parameter, initializer, preview):
            run(initializer, parameter, era.key_of(*place))
    parameter._initializer = parameter._preview = None
    parameter._place = place


def _still_shows(parameter: Parameter, initializer: Initializer, key: Key) -> bool:
    copy = samara.empty_like(parameter.detach())
    run(initializer, copy, key)
    return bool(copy.numpy().tobytes() == parameter.detach().numpy().tobytes())


def run(initializer: Initializer, tensor: Tensor, key: Key) -> None:
    """Fill the tensor in place, outside of any gradient."""
    with no_grad():
        initializer(tensor.detach(), key)


def read_early(module: Module, name: str, parameter: Parameter) -> Parameter:
    """A parameter read while its model is being constructed: its values are final from now on."""
    if parameter._initializer is not None:
        if parameter._preview is None:
            era = module.__dict__.get("_era") or current_era()
            token = era.early_token(f"{type(module).__qualname__}.{name}")
            run(parameter._initializer, parameter, era.key_of(token, name))
        parameter._initializer = parameter._preview = None
    return parameter


def initialize(tensor: Tensor, initializer: Initializer, key: Key | None, kind: type) -> Tensor:
    """What every function of `nn.init` does with the tensor it is given."""
    if key is not None:
        run(initializer, tensor, key)
        return tensor
    if not isinstance(tensor, Parameter):
        run(initializer, tensor, samara.random.next_key())
        return tensor
    if isinstance(tensor, UninitializedParameter):
        tensor._initializer = initializer
        return tensor
    era = current_era()
    if tensor._place is not None:
        # Drawn anew: by place, and by how often it was drawn since the seed was set.
        place = tensor._place
        era.drawn[place] += 1
        run(initializer, tensor, era.key_of(*place).fold(era.drawn[place]))
        return tensor
    if tensor._held and outermost_constructor(kind) is not None:
        preview = era.key_of(era.early_token("preview"), "")
        run(initializer, tensor, preview)
        tensor._initializer, tensor._preview = initializer, preview
        return tensor
    tensor._initializer = tensor._preview = None
    run(initializer, tensor, samara.random.next_key())
    return tensor
