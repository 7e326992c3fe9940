"""One record per operation: everything that is known about it, in one place.

`operation` wraps a native operation (registered in csrc/ops), `composite` a Python function written
with other operations. From the records come the functions of the namespace, the tensor methods and
their in-place forms, the tests (tests/ops/test_ops.py runs over every record), the type stubs and
the documentation.
"""

from __future__ import annotations

import functools
import inspect
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

import samara._core as _core
from samara._core import DType, Operation, Tensor
from samara.dtypes import ALL, COMPLEX, FLOAT, INTEGER, NUMERIC, REAL
from samara.errors import ArgumentError, SamaraError
from samara.ops.adapt import adapted
from samara.ops.arguments import wrong_argument

__all__ = [
    "ALL",
    "COMPLEX",
    "FLOAT",
    "INTEGER",
    "METHODS",
    "NUMERIC",
    "PLAIN",
    "REAL",
    "RECORDS",
    "ErrorSample",
    "Function",
    "Record",
    "Sample",
    "composite",
    "operation",
    "plain",
    "signature_of",
    "understanding",
]

Function = Callable[..., Any]
R = TypeVar("R")


class Sample:
    """Arguments of one call: NumPy arrays stand at tensor positions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        """The call's arguments, arrays as dtype and shape."""

        def show(value: Any) -> str:
            if isinstance(value, np.ndarray):
                return f"{value.dtype}{list(value.shape)}"
            return repr(value)

        parts = [show(value) for value in self.args]
        parts += [f"{name}={show(value)}" for name, value in self.kwargs.items()]
        return f"({', '.join(parts)})"


class ErrorSample(Sample):
    """Arguments that must raise `error` with a message that matches the pattern `match`."""

    def __init__(self, error: type[Exception], match: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.error = error
        self.match = match


@dataclass
class Record:
    """What is known about one operation; see `operation` for the fields."""

    name: str
    family: str  # the file in samara/ops that holds the record
    signature: str
    doc: str
    function: Function
    native: str | None
    ref: Function | None
    grad: Function | None
    dtypes: tuple[DType, ...]
    onnx: str | None
    ulp: float
    condition: str | None
    samples: Callable[[np.random.Generator], Sequence[Sample]]
    errors: Callable[[], Sequence[ErrorSample]]
    methods: tuple[str, ...]
    aliases: tuple[str, ...]
    in_place: Function | None
    dim_form: Function | None
    pointwise: bool
    differentiable: bool
    # Outputs -> what does not depend on choices that are free, such as the signs of eigenvectors;
    # the tests look at this. Written for tensors and NumPy arrays alike.
    invariant: Function | None = None
    # Any matrix -> one that the operation takes, such as a symmetric one; the samples and the
    # directions of the gradient checks go through it. Written for both as well.
    domain: Function | None = None


RECORDS: dict[str, Record] = {}
# Public functions without a record, e.g. those whose results are no tensors.
PLAIN: dict[str, Function] = {}
# Tensor methods and properties beyond those that the records name.
METHODS: dict[str, Any] = {}


def _family(*functions: Function | None) -> str:
    """The file that declares a record, told by the functions written in it."""
    for function in functions:
        module = getattr(function, "__module__", None) or ""
        if module.startswith("samara.ops.") and module != __name__:
            return module.rpartition(".")[2]
    return "user"


def _default_methods(name: str) -> tuple[str, ...]:
    """A tensor has no namespaces, so "linalg.eigh" is no method unless the record says so."""
    return () if "." in name else (name,)


def _no_samples(_: np.random.Generator) -> Sequence[Sample]:
    return ()


def _no_errors() -> Sequence[ErrorSample]:
    return ()


def _add(record: Record) -> None:
    if record.name in RECORDS:
        raise ArgumentError(
            f"operation: '{record.name}' is declared twice. Expected each name once. "
            "Fix: choose another name."
        )
    RECORDS[record.name] = record


def _output_type(name: str, outputs: object) -> object:
    if outputs is None:
        return None
    if outputs is list:
        return tuple
    if isinstance(outputs, tuple):
        return namedtuple(name, list(outputs))
    return outputs


def operation(
    signature: str,
    *,
    doc: str,
    native: str | None = None,
    ref: Function | None = None,
    grad: Function | None = None,
    dtypes: Iterable[DType] = FLOAT,
    onnx: str | None = None,
    ulp: float = 1,
    condition: str | None = None,
    samples: Callable[[np.random.Generator], Sequence[Sample]] = _no_samples,
    errors: Callable[[], Sequence[ErrorSample]] = _no_errors,
    methods: tuple[str, ...] | None = None,
    aliases: tuple[str, ...] = (),
    in_place: bool = False,
    dim_form: Function | None = None,
    other_form: Function | None = None,
    outputs: object = None,
    pointwise: bool = False,
    invariant: Function | None = None,
    domain: Function | None = None,
) -> Callable[..., Tensor]:
    """Declares an operation that has a native implementation and returns it as a function.

    signature  e.g. "softmax(x, axis: int = -1)"; a parameter without a type is a tensor
    native     the name in csrc/ops; the operation's own name by default
    ref        the same in NumPy, on float64: the oracle of the tests
    grad       rule(g, *tensors, output, **others) -> gradients, in ordinary operations
    ulp        bound of the error against `ref` in units of the result dtype's last place
    condition  "sum": the bound is relative to the sum of magnitudes instead of the result;
               "max": to the largest result
    methods    names installed on Tensor (its own name by default)
    dim_form   who answers when the call says `dim=`, and as the method
    other_form who is asked when the arguments do not fit the signature; NotImplemented says no
    outputs    None: one tensor; names: a named tuple; list: a tuple of tensors
    invariant  outputs -> what does not depend on free choices, for the tests
    domain     any first argument -> one that the operation takes, for the tests

    The result's type is that of the usual case, one tensor out; with `outputs` the name it is given
    is declared a Function.

    A name that ends in _ declares an operation that exists in place only; one with a dot, such as
    "linalg.eigh", an operation of the namespace before it.
    """
    name = signature[: signature.index("(")]
    output_type = _output_type(name, outputs)
    native_name = native or name

    def make(**extra: Any) -> Operation:
        return Operation(
            signature, native_name, output_type=output_type, rule=grad, doc=doc, **extra
        )

    def other(*args: Any, **kwargs: Any) -> Any:
        made = NotImplemented if other_form is None else other_form(*args, **kwargs)
        if made is not NotImplemented or not kwargs:
            return made
        return adapted(name, parameters, function, args, kwargs)

    function = make(dim_form=dim_form, other_form=other, in_place=name.endswith("_"))
    parameters = {parameter[0] for parameter in function.parameters}
    record = Record(
        name=name,
        family=_family(grad, samples, ref),
        signature=signature,
        doc=doc,
        function=function,
        native=native_name,
        ref=ref,
        grad=grad,
        dtypes=tuple(dtypes),
        onnx=onnx,
        ulp=ulp,
        condition=condition,
        samples=samples,
        errors=errors,
        methods=_default_methods(name) if methods is None else methods,
        aliases=aliases,
        in_place=(
            make(in_place=True, name=f"{name}_", other_form=_writing(other)) if in_place else None
        ),
        dim_form=dim_form,
        pointwise=pointwise,
        differentiable=function.differentiable,
        invariant=invariant,
        domain=domain,
    )
    function.record = record
    _add(record)
    if grad is not None:
        _core.set_operator_rule(native_name, grad)
    return function


def _writing(form: Function) -> Function:
    """Another form of an operation, in place."""

    def write(*args: Any, **kwargs: Any) -> Any:
        made = form(*args, **kwargs)
        return made if made is NotImplemented else _write(args[0], made)

    return write


def readable(x: Any) -> Any:
    """A copy of a tensor in a graph that is about to be written: backward may read what it was."""
    recorded = isinstance(x, _core.Tensor) and x.requires_grad and _core.grad_enabled()
    return _clone(x) if recorded else x


def understanding(function: Callable[..., R]) -> Callable[..., R]:
    """A function without a record that knows PyTorch's arguments, such as `generator=`, and says
    which argument is of a wrong type.
    """
    name, known = function.__name__, inspect.signature(function).parameters.keys()
    tensors = [k for k, kind in inspect.get_annotations(function).items() if kind == "Tensor"]
    declared = f"{name}({', '.join(k for k in tensors if k != 'return')})"

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (AttributeError, TypeError) as error:
            if isinstance(error, SamaraError):
                raise
            if kwargs and not kwargs.keys() <= known:
                made = adapted(name, known, function, args, kwargs)
                if made is not NotImplemented:
                    return made
            wrong = wrong_argument(declared, function, args, kwargs)
            if wrong is None:
                raise
            raise wrong from error

    return call


def plain(*methods: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Makes a function without a record public, also as the given methods."""

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        call = understanding(function)
        PLAIN[function.__name__] = call
        METHODS.update(dict.fromkeys(methods, call))
        return call

    return decorate


# PyTorch's spelling of parameters, for functions written in Python.
_SPELLINGS = (
    ("dim", "axis"),
    ("keepdim", "keepdims"),
    ("dims", "axis"),
    ("dims", "axes"),
    ("dim", "axes"),
    ("rcond", "rtol"),
    ("shifts", "shift"),
    ("reps", "repetitions"),
    ("dims", "repetitions"),
    ("end", "stop"),
    ("steps", "num"),
    ("split_size", "size"),
    ("split_size_or_sections", "size"),
    ("indices_or_sections", "parts"),
    ("train", "training"),
    ("diagonal", "k"),
    ("size", "shape"),
)
_write = _core.Operation("copy_(x, value)", "copy", in_place=True)
_clone = _core.Operation("clone(x)", "clone")


def composite(
    signature: str,
    *,
    doc: str,
    ref: Function | None = None,
    dtypes: Iterable[DType] = FLOAT,
    onnx: str | None = None,
    ulp: float = 4,
    condition: str | None = None,
    samples: Callable[[np.random.Generator], Sequence[Sample]] = _no_samples,
    errors: Callable[[], Sequence[ErrorSample]] = _no_errors,
    methods: tuple[str, ...] | None = None,
    aliases: tuple[str, ...] = (),
    in_place: bool = False,
    dim_form: Function | None = None,
    other_form: Function | None = None,
    differentiable: bool = True,
    invariant: Function | None = None,
    domain: Function | None = None,
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Declares an operation written in Python with others; the decorated function runs.

    The fields are those of `operation`. The in-place form computes and then copies.
    """
    name = signature[: signature.index("(")]

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        parameters = inspect.signature(function).parameters
        known, names = list(parameters), parameters.keys()
        free = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        spellings = {k: v for k, v in reversed(_SPELLINGS) if v in known and k not in known}
        for position, others in enumerate((("input", "self", "x1"), ("other", "x2"))):
            if position < len(known):
                spellings.update({k: known[position] for k in others if k not in known})

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            given = kwargs
            if kwargs:
                if dim_form is not None and ("dim" in kwargs or "keepdim" in kwargs):
                    return dim_form(*args, **kwargs)
                kwargs = {spellings.get(key, key): value for key, value in kwargs.items()}
                if not free and not kwargs.keys() <= names:
                    made = adapted(name, names, call, args, kwargs)
                    if made is not NotImplemented:
                        return made
            try:
                return function(*args, **kwargs)
            except (AttributeError, TypeError) as error:
                if other_form is not None:
                    made = other_form(*args, **given)
                    if made is not NotImplemented:
                        return made
                wrong = wrong_argument(signature, function, args, kwargs)
                if isinstance(error, SamaraError) or wrong is None:
                    raise
                raise wrong from error

        call.__name__, call.__qualname__ = name.rpartition(".")[2], name
        call.__module__ = "samara"
        call.__doc__ = doc
        record = Record(
            name=name,
            family=_family(function),
            signature=signature,
            doc=doc,
            function=call,
            native=None,
            ref=ref,
            grad=None,
            dtypes=tuple(dtypes),
            onnx=onnx,
            ulp=ulp,
            condition=condition,
            samples=samples,
            errors=errors,
            methods=_default_methods(name) if methods is None else methods,
            aliases=aliases,
            in_place=_in_place_form(call, name) if in_place else None,
            dim_form=dim_form,
            pointwise=False,
            differentiable=differentiable,
            invariant=invariant,
            domain=domain,
        )
        vars(call)["record"] = record
        _add(record)
        return call

    return decorate


def _in_place_form(function: Function, name: str) -> Function:
    def write(x: Any, *args: Any, **kwargs: Any) -> Any:
        return _write(x, function(readable(x), *args, **kwargs))

    write.__name__ = write.__qualname__ = f"{name}_"
    write.__module__ = "samara"
    write.__doc__ = f"samara.{name} that writes its result into x."
    return write


_ANNOTATIONS = {
    "Tensor": "Tensor",
    "Tensor[]": "Sequence[Tensor]",
    "bool": "bool",
    "int": "int",
    "float": "float",
    "number": "complex",
    "ints": "int | Sequence[int]",
    "ints|str": "int | Sequence[int] | str",
    "dtype": "DType",
    "device": "Device | str",
    "str": "str",
}


def signature_of(function: Operation) -> inspect.Signature:
    """The signature of a native operation, as inspect shows it."""
    parameters = []
    for name, kind, optional, keyword_only, default in function.parameters:
        annotation = _ANNOTATIONS[kind] + (" | None" if optional else "")
        place = inspect.Parameter.KEYWORD_ONLY if keyword_only else None
        parameters.append(
            inspect.Parameter(
                name,
                place or inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty if default is ... else default,
                annotation=annotation,
            )
        )
    return inspect.Signature(parameters)
