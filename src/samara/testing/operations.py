"""Checks that every operation passes: each takes a record and raises CheckError where it fails.

`opcheck(function)` runs them all; it is for operations of this package and of others alike.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import samara
from samara import _core
from samara.autograd import grad
from samara.dtypes import ALL, COMPLEX, FLOAT, INTEGER, DType, to_numpy_dtype
from samara.errors import DTypeError, GradientError, SamaraError
from samara.ops.record import Record, Sample
from samara.tensor import Tensor, asarray, from_numpy, tensor
from samara.testing.compare import Array, CheckError, check_values, to_numpy
from samara.testing.differentiate import gradcheck
from samara.testing.layouts import broadcast_layout, layouts
from samara.testing.samples import Arguments, cast, is_data, widened

__all__ = [
    "CHECKS",
    "check_device",
    "check_dtypes",
    "check_errors",
    "check_gradients",
    "check_in_place",
    "check_layouts",
    "check_names",
    "check_reference",
    "check_signature",
    "check_threads",
    "opcheck",
]

HALF = (_core.float16, _core.bfloat16)
# Above the size at which kernels share their work among threads.
PARALLEL_ELEMENTS = 300_000
# Operations whose values depend on how the input lies in memory.
MEMORY_ORDER = ("as_strided",)


class Problems:
    """Collects what failed, so that one run names every sample that does."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.found: list[str] = []

    def run(self, what: str, check: Callable[..., Any], *args: Any) -> Any:
        """check(*args), with anything it raises noted under `what`."""
        try:
            return check(*args)
        except Exception as error:
            self.found.append(f"{what}: {type(error).__name__}: {error}")
            return None

    def note(self, what: str) -> None:
        """Adds a problem."""
        self.found.append(what)

    def close(self) -> None:
        """Raises CheckError when there were any."""
        if self.found:
            lines = [f"  {line}" for line in self.found[:12]]
            more = len(self.found) - len(lines)
            rest = [f"  and {more} more"] if more > 0 else []
            raise CheckError(
                "\n".join([f"{self.record.name}: {len(self.found)} failures", *lines, *rest])
            )


# --- calls ---------------------------------------------------------------------------------------


def _samples(record: Record) -> list[Sample]:
    """The record's samples and, for a pointwise operation, sizes and shapes nobody has to write."""
    samples = list(record.samples(np.random.default_rng(0)))
    if record.pointwise and samples:
        samples += _shaped(samples)
    return samples


def _shaped(samples: Sequence[Sample]) -> list[Sample]:
    """One sample's values as 0-d, empty, one element, longer than a vector, and broadcasting."""
    like = next(s for s in samples if any(a.size for a in Arguments.of(s).arrays()))
    arguments = Arguments.of(like)
    count = len(arguments.arrays())
    shapes: list[list[tuple[int, ...]]] = [
        [shape] * count for shape in ((), (0,), (2, 0, 3), (1,), (67,), (2, 3, 5))
    ]
    if count > 1:
        shapes += [[(3, 1)] + [(4,)] * (count - 1), [()] + [(2, 3)] * (count - 1)]
        shapes += [[(2, 3)] + [()] * (count - 1), [(0, 3)] + [(1,)] * (count - 1)]
    made = []
    for chosen in shapes:
        arrays = [np.resize(a, s) for a, s in zip(arguments.arrays(), chosen, strict=True)]
        call = arguments.with_arrays(arrays)
        made.append(Sample(*call.args, **call.kwargs))
    return made


def _given(record: Record, sample: Sample, dtype: DType) -> Arguments:
    return Arguments.of(sample).map(lambda a: cast(a, dtype) if is_data(record, a) else a)


def _arguments(record: Record, sample: Sample, dtype: DType) -> Arguments:
    arguments = _given(record, sample, dtype)
    if record.domain is None:
        return arguments
    first, *rest = arguments.arrays()
    return arguments.with_arrays([record.domain(first), *rest])


def _writes(record: Record) -> bool:
    """Whether the operation exists in place only."""
    return record.name.endswith("_")


def _usual_dtype(record: Record) -> DType:
    """The dtype for checks that need only one."""
    for dtype in (_core.float32, _core.float64, _core.int64):
        if dtype in record.dtypes:
            return dtype
    return record.dtypes[0]


def _outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _reference(record: Record) -> Callable[..., Any]:
    if record.ref is None:
        raise CheckError(
            f"{record.name}: the record has no reference. Expected ref=, a NumPy function. "
            "Fix: write one that shares nothing with the kernel."
        )
    return record.ref


def _invariant(record: Record, outputs: list[Any]) -> list[Any]:
    """What the record compares of its outputs."""
    return outputs if record.invariant is None else _outputs(record.invariant(*outputs))


def _same_bits(a: Array, b: Array) -> bool:
    """Equal dtype, shape and bits, where a NaN is a NaN."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind in "fcV":
        left, right = widened(a), widened(b)
        parts = ("real", "imag") if left.dtype.kind == "c" else ("real",)
        return all(
            np.array_equal(x, y, equal_nan=True)
            and np.array_equal(np.signbit(x)[~np.isnan(x)], np.signbit(y)[~np.isnan(y)])
            for x, y in ((getattr(left, p), getattr(right, p)) for p in parts)
        )
    return bool(np.array_equal(a, b))


def _expect_same(result: Any, expected: Any, what: str) -> None:
    for position, (a, b) in enumerate(zip(_outputs(result), _outputs(expected), strict=True)):
        left, right = to_numpy(a), to_numpy(b)
        if not _same_bits(left, right):
            raise CheckError(
                f"output {position} {what} is {_brief(left)}, otherwise {_brief(right)}. Expected "
                "the same bits. Fix: make the kernel read its inputs by their strides."
            )


def _brief(array: Array) -> str:
    text = np.array2string(array, threshold=12, edgeitems=3, max_line_width=10_000)
    return f"{array.dtype}{list(array.shape)} {text}"


# --- values --------------------------------------------------------------------------------------


def check_reference(record: Record) -> None:
    """Every dtype of the record gives the reference's values, in a dtype of the expected kind."""
    problems = Problems(record)
    samples = _samples(record)
    if not samples:
        problems.note("there are no samples")
    for sample in samples:
        moved = any(is_data(record, a) for a in Arguments.of(sample).arrays())
        for dtype in record.dtypes if moved else (_usual_dtype(record),):
            problems.run(f"{dtype.name} {sample}", _compare, record, sample, dtype)
    problems.close()


def _compare(record: Record, sample: Sample, dtype: DType) -> None:
    arguments = _arguments(record, sample, dtype)
    result = _invariant(record, _outputs(arguments.tensors().call(record.function)))
    wide = arguments.map(widened)
    reference = _reference(record)
    outputs = [np.asarray(y) for y in _outputs(wide.reference(reference))]
    expected = [np.asarray(y) for y in _invariant(record, outputs)]
    if len(result) != len(expected):
        raise CheckError(f"{len(result)} outputs, the reference gives {len(expected)}")
    scales: list[Any] = [None] * len(expected)
    if record.condition == "sum":
        magnitudes = Arguments.of(sample).map(
            lambda a: np.abs(widened(cast(a, dtype))) if is_data(record, a) else widened(a)
        )
        larger = _outputs(magnitudes.reference(reference))
        with np.errstate(all="ignore"):
            scales = [np.fmax(np.abs(m), np.abs(y)) for m, y in zip(larger, expected, strict=True)]
    elif record.condition == "max":
        scales = [_largest(y) for y in expected]
    bound = record.ulp
    if record.pointwise and dtype in HALF:
        # Computed in float32 and rounded once.
        bound = min(bound, 0.5 + bound * 2.0**-10)
    moved = any(is_data(record, a) for a in Arguments.of(sample).arrays())
    for y, wanted, scale in zip(result, expected, scales, strict=True):
        if moved and "dtype" not in sample.kwargs:
            _check_kind(y, wanted, dtype)
        check_values(y, wanted, ulp=bound, scale=scale, place=record.name)


def _largest(values: Array) -> Array:
    """The largest finite magnitude, in the shape of `values`."""
    magnitudes = np.abs(values[np.isfinite(values)])
    return np.full(values.shape, magnitudes.max(initial=0.0))


def _check_kind(result: Tensor, expected: Array, dtype: DType) -> None:
    """A float gives a float of the same width, and so on; integers may be widened by sums."""
    kinds = {"b": (_core.bool,), "i": INTEGER, "u": INTEGER, "f": FLOAT, "c": COMPLEX}
    allowed = kinds[expected.dtype.kind]
    if dtype in FLOAT and allowed is FLOAT:
        allowed = (dtype,)
    if dtype in COMPLEX and allowed in (FLOAT, COMPLEX):
        narrow = dtype is _core.complex64
        real = _core.float32 if narrow else _core.float64
        allowed = (real,) if allowed is FLOAT else (dtype,)
    if dtype in INTEGER and allowed is FLOAT:
        allowed = (_core.default_dtype(),)
    if result.dtype not in allowed:
        names = ", ".join(one.name for one in allowed)
        raise CheckError(f"the result has dtype {result.dtype.name}. Expected {names}.")


def check_layouts(record: Record) -> None:
    """Transposed, sliced, reversed, shifted and broadcast inputs give what contiguous ones give."""
    if _writes(record) or record.name in MEMORY_ORDER:
        return
    problems = Problems(record)
    dtype = _usual_dtype(record)
    for sample in _samples(record):
        problems.run(f"{dtype.name} {sample}", _compare_layouts, record, sample, dtype)
    problems.close()


def _compare_layouts(record: Record, sample: Sample, dtype: DType) -> None:
    plain = _arguments(record, sample, dtype).map(lambda a: np.array(a, order="C"))
    arrays = plain.arrays()
    expected = plain.tensors().call(record.function)
    names = dict.fromkeys(name for a in arrays for name, _ in layouts(a))
    for name in names:
        views = [dict(layouts(a)).get(name, a) for a in arrays]
        _compare_views(record, plain, views, expected, f"from a {name} input")
    spread = [broadcast_layout(a) for a in arrays]
    copies = plain.with_arrays([np.array(a) for a in spread])
    try:
        other = copies.tensors().call(record.function)
    except SamaraError:
        return  # repeated values may be none that this operation takes
    _compare_views(record, plain, spread, other, "from an expanded input")


def _compare_views(
    record: Record, plain: Arguments, views: list[Array], expected: Any, what: str
) -> None:
    before = [np.array(view) for view in views]
    result = plain.with_arrays([from_numpy(view) for view in views]).call(record.function)
    for view, old in zip(views, before, strict=True):
        if not _same_bits(np.array(view), old):
            raise CheckError(f"an argument was changed {what}. Expected it untouched.")
    if record.pointwise:
        _expect_same(result, expected, what)
        return
    for a, b in zip(_outputs(result), _outputs(expected), strict=True):
        values = widened(to_numpy(b))
        scale = np.abs(values).max(initial=0.0) if values.dtype.kind in "fc" else None
        check_values(a, values, ulp=2 * record.ulp, scale=scale, place=what)


def check_dtypes(record: Record) -> None:
    """Dtypes that the record does not list raise DTypeError and say what is expected."""
    problems = Problems(record)
    samples = [s for s in _samples(record) if any(a.size for a in Arguments.of(s).arrays())]
    samples = [s for s in samples if any(is_data(record, a) for a in Arguments.of(s).arrays())]
    for dtype in ALL:
        if dtype in record.dtypes or not samples:
            continue
        arguments = _arguments(record, samples[0], dtype).tensors()
        problems.run(dtype.name, _expect_error, record, arguments, DTypeError, "")
    problems.close()


def check_errors(record: Record) -> None:
    """The record's error samples raise what they say, in words that say what to do."""
    problems = Problems(record)
    errors = record.errors()
    if not errors:
        problems.note("there are no error samples")
    dtype = _usual_dtype(record)
    for sample in errors:
        arguments = _given(record, sample, dtype).tensors()
        problems.run(
            repr(sample),
            _expect_error,
            record,
            arguments,
            sample.error,
            sample.match,
        )
    problems.close()


def _expect_error(record: Record, call: Arguments, kind: type[Exception], match: str) -> None:
    try:
        call.call(record.function)
    except SamaraError as error:
        text = str(error)
        if not isinstance(error, kind):
            raise CheckError(
                f"{type(error).__name__} was raised ({text}). Expected {kind.__name__}."
            ) from error
        if not re.search(match, text):
            raise CheckError(f"the message is {text!r}. Expected it to match {match!r}.") from error
        if not re.search(r"^[^:]+: .+Expected .+Fix: .+", text, re.DOTALL):
            raise CheckError(
                f"the message is {text!r}. Expected '<place>: <what>. Expected <...>. Fix: <...>.'"
            ) from error
        return
    raise CheckError(f"nothing was raised. Expected {kind.__name__}.")


# --- gradients -----------------------------------------------------------------------------------


def check_gradients(record: Record) -> None:
    """Both gradient rules agree with finite differences, to second order."""
    problems = Problems(record)
    for dtype in (_core.float64, _core.complex128):
        if dtype not in record.dtypes:
            continue
        seen = 0
        for sample in _samples(record):
            what = f"{dtype.name} {sample}"
            seen += problems.run(what, _differentiate, record, sample, dtype) or 0
        wanted = record.differentiable and _gives_floats(record, dtype)
        if wanted and not problems.found and seen == 0:
            problems.note(f"no {dtype.name} sample has an output at which the operation is smooth")
    problems.close()


def _gives_floats(record: Record, dtype: DType) -> bool:
    arguments = _arguments(record, record.samples(np.random.default_rng(0))[0], dtype)
    result = arguments.tensors().call(record.function)
    return any(y.dtype in FLOAT + COMPLEX for y in _outputs(result))


def _differentiate(record: Record, sample: Sample, dtype: DType) -> int:
    """How many elements of the outputs were checked."""
    arguments = _arguments(record, sample, dtype)
    arrays = arguments.arrays()

    def function(*inputs: Tensor) -> Any:
        places: list[Any] = [asarray(a) for a in arrays]
        for i, x in zip(moving, inputs, strict=True):
            places[i] = x if i or record.domain is None else record.domain(x)
        return _invariant(record, _outputs(arguments.with_arrays(places).call(record.function)))

    moving = list(range(len(arrays)))
    like = to_numpy_dtype(dtype)
    moving = [i for i in moving if arrays[i].dtype == like and _moves(record, arguments, i)]
    if not moving:
        return 0
    point = [arrays[i] for i in moving]
    if not record.differentiable:
        result = _outputs(function(*(tensor(x, requires_grad=True) for x in point)))
        if any(y.requires_grad for y in result):
            raise CheckError("the result requires grad. Expected none: there is no rule.")
        return 0
    if not any(y.dtype in FLOAT + COMPLEX for y in _outputs(function(*map(tensor, point)))):
        return 0
    return gradcheck(function, point, place=record.name).outputs


def _moves(record: Record, arguments: Arguments, position: int) -> bool:
    """False where the operation refuses an argument that requires grad, e.g. class weights."""
    inputs = [tensor(a) for a in arguments.arrays()]
    inputs[position].requires_grad = True
    try:
        arguments.with_arrays(inputs).call(record.function)
    except GradientError:
        return False
    return True


# --- forms of the call ---------------------------------------------------------------------------


def check_in_place(record: Record) -> None:
    """The form name_ writes what the plain form returns, into its first argument alone."""
    if record.in_place is None:
        return
    problems = Problems(record)
    dtype, written = _usual_dtype(record), 0
    for sample in _samples(record):
        written += problems.run(repr(sample), _write, record, sample, dtype) or 0
    if not problems.found and written == 0:
        problems.note("no sample has a result that fits into its first argument")
    problems.close()


def _write(record: Record, sample: Sample, dtype: DType) -> bool:
    assert record.in_place is not None
    arguments = _arguments(record, sample, dtype)
    arrays = arguments.arrays()
    expected = arguments.tensors().call(record.function)
    if not sample.args or arguments.args[0] is not arrays[0]:
        return False
    if expected.shape != arrays[0].shape or expected.dtype is not dtype:
        return False
    inputs: list[Any] = [tensor(a) for a in arrays]
    view = dict(layouts(arrays[0])).get("sliced")
    targets = [inputs[0]] if view is None else [inputs[0], from_numpy(view)]
    for target in targets:
        version = target._version
        result = arguments.with_arrays([target, *inputs[1:]]).call(record.in_place)
        _expect_same(result, expected, "of the in-place form")
        if result is not target:
            raise CheckError("the in-place form returned another tensor. Expected its target.")
        if target._version <= version:
            raise CheckError("the version did not change. Expected the write to be counted.")
    if view is not None and view.base is not None and view.base.dtype.kind == "f":
        gaps = view.base.size - view.size
        if int(np.isnan(view.base).sum()) - int(np.isnan(view).sum()) != gaps:
            raise CheckError("the in-place form wrote outside its target.")
    return True


def check_names(record: Record) -> None:
    """The function, its aliases and its methods exist, are one, and give the same."""
    problems = Problems(record)
    for name in (record.name, *record.aliases):
        if _public(name) is not record.function:
            problems.note(f"samara.{name} is not the record's function")
    method = record.dim_form or record.function
    for name in record.methods:
        if getattr(Tensor, name, None) is None:
            problems.note(f"Tensor.{name} does not exist")
            continue
        for sample in _samples(record)[:4]:
            problems.run(f"Tensor.{name} {sample}", _as_method, record, sample, name, method)
    problems.close()


def _public(name: str) -> Any:
    """samara.name, or None; names may have dots."""
    found: Any = samara
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _as_method(record: Record, sample: Sample, name: str, method: Callable[..., Any]) -> None:
    call = _arguments(record, sample, _usual_dtype(record)).tensors()
    if not call.args or not isinstance(call.args[0], Tensor):
        return
    bound = getattr(call.args[0], name)
    result = bound(*call.args[1:], **call.kwargs)
    _expect_same(result, method(*call.args, **call.kwargs), "of the method")


def check_signature(record: Record) -> None:
    """inspect.signature shows the parameters that the record declares, and their defaults."""
    problems = Problems(record)
    inside = record.signature[record.signature.index("(") + 1 : record.signature.rindex(")")]
    declared = [part.split(":")[0].split("=")[0].strip(" *") for part in _split(inside)]
    declared = [name for name in declared if name]
    parameters = inspect.signature(record.function).parameters
    if list(parameters) != declared:
        problems.note(f"inspect shows {list(parameters)}, the record declares {declared}")
    for name, parameter in parameters.items():
        if parameter.annotation is inspect.Parameter.empty:
            problems.note(f"parameter {name} has no annotation")
    if not (inspect.getdoc(record.function) or "").strip():
        problems.note("there is no docstring")
    problems.close()


def _split(text: str) -> list[str]:
    """Parts between commas outside parentheses."""
    return re.split(r",(?![^()]*\))", text)


# --- devices and threads -------------------------------------------------------------------------


def check_device(record: Record, device: str = "null") -> None:
    """Another device gives the CPU's bits; `device` must have been registered."""
    problems = Problems(record)
    dtype = _usual_dtype(record)
    for sample in _samples(record):
        problems.run(repr(sample), _compare_device, record, sample, dtype, device)
    problems.close()


def _compare_device(record: Record, sample: Sample, dtype: DType, device: str) -> None:
    arguments = _arguments(record, sample, dtype)
    if not arguments.arrays():
        return
    result = _outputs(arguments.tensors(device).call(record.function))
    for y in result:
        if str(y.device) != device:
            raise CheckError(f"a result is on '{y.device}'. Expected '{device}'.")
    _expect_same(result, _outputs(arguments.tensors().call(record.function)), f"on '{device}'")


def check_threads(record: Record) -> None:
    """One and two threads give the same bits, forward and backward, on inputs large enough."""
    if _writes(record):
        return
    problems = Problems(record)
    dtype = _usual_dtype(record)
    for sample in _samples(record)[:3]:
        problems.run(repr(sample), _compare_threads, record, sample, dtype)
    problems.close()


def _compare_threads(record: Record, sample: Sample, dtype: DType) -> None:
    large = _enlarged(record, _arguments(record, sample, dtype))
    if large is None:
        return
    count = _core.thread_count()
    try:
        results = []
        for threads in (1, 2):
            _core.set_thread_count(threads)
            results.append(_forward_and_backward(record, large))
    finally:
        _core.set_thread_count(count)
    _expect_same(results[1], results[0], "with 2 threads")


def _forward_and_backward(record: Record, arguments: Arguments) -> list[Tensor]:
    inputs = [tensor(a) for a in arguments.arrays()]
    leaves = [
        x
        for i, x in enumerate(inputs)
        if x.dtype in FLOAT and record.differentiable and _moves(record, arguments, i)
    ]
    for x in leaves:
        x.requires_grad = True
    outputs = _invariant(record, _outputs(arguments.with_arrays(inputs).call(record.function)))
    roots = [y for y in outputs if y.requires_grad]
    if not roots:
        return outputs
    rng = np.random.default_rng(1)
    weights = [tensor(rng.normal(size=y.shape).astype(to_numpy_dtype(y.dtype))) for y in roots]
    gradients = grad(roots, leaves, weights, allow_unused=True)
    return outputs + [g for g in gradients if g is not None]


def _enlarged(record: Record, arguments: Arguments) -> Arguments | None:
    """The call with arrays repeated along their first axis, where that is still a call."""
    arrays = arguments.arrays()
    if not arrays or not arrays[0].ndim or not all(a.size for a in arrays):
        return None
    before = _output_sizes(record, arguments)
    for chosen in ([0], range(len(arrays))):
        try:
            after = _output_sizes(record, _repeated(arguments, chosen, 2))
        except (SamaraError, ValueError):
            continue
        if len(after) > len(before) or sum(after) > 2 * sum(before) + 2:
            continue  # grows faster than its input, or into ever more tensors
        times = -(-PARALLEL_ELEMENTS // arrays[0].size)
        return _repeated(arguments, chosen, times)
    return None


def _repeated(arguments: Arguments, chosen: Sequence[int], times: int) -> Arguments:
    arrays = [
        np.tile(a, (times,) + (1,) * (a.ndim - 1)) if i in chosen and a.ndim else a
        for i, a in enumerate(arguments.arrays())
    ]
    return arguments.with_arrays(arrays)


def _output_sizes(record: Record, arguments: Arguments) -> list[int]:
    return [y.numel() for y in _outputs(arguments.tensors().call(record.function))]


# --- all of it -----------------------------------------------------------------------------------

CHECKS: dict[str, Callable[[Record], None]] = {
    "reference": check_reference,
    "layouts": check_layouts,
    "dtypes": check_dtypes,
    "errors": check_errors,
    "gradients": check_gradients,
    "in_place": check_in_place,
    "names": check_names,
    "signature": check_signature,
    "threads": check_threads,
}


def opcheck(function: Callable[..., Any]) -> None:
    """Runs every check on an operation made with `operation` or `composite`.

    Raises CheckError with what failed; see CHECKS for the parts.

    >>> opcheck(samara.softmax)
    """
    record = getattr(function, "record", None)
    if not isinstance(record, Record):
        raise DTypeError(
            f"opcheck: a {type(function).__name__} without a record was given. Expected a function "
            "made with samara.ops.record.operation or composite. Fix: declare it with one of them."
        )
    for check in CHECKS.values():
        check(record)
