"""x[key] and x[key] = value against NumPy, for keys of every kind."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import samara
from samara.errors import ArgumentError, DTypeError, GradientError, ShapeError

DTYPES = ["bool", "uint8", "int16", "int64", "float16", "float32", "float64", "complex64"]


@st.composite
def shapes(draw: Any, least: int = 0) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(0, 4), min_size=least, max_size=4)))


def slices(size: int) -> st.SearchStrategy[slice]:
    bound = st.none() | st.integers(-size - 2, size + 2)
    step = st.none() | st.integers(-3, 3).filter(bool)
    return st.builds(slice, bound, bound, step)


@st.composite
def index_arrays(draw: Any, size: int, common: tuple[int, ...]) -> np.ndarray:
    """Integers for an axis of that size, of a shape that broadcasts to the common one."""
    keep = draw(st.integers(0, len(common)))
    shape = tuple(draw(st.sampled_from([n, 1])) for n in common[len(common) - keep :])
    count = int(np.prod(shape))
    if size == 0:
        return np.zeros(shape if count == 0 else (0,), np.int64)
    values = draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count))
    kind = draw(st.sampled_from([np.int64, np.int32, np.int8]))
    return np.array(values, kind).reshape(shape)


@st.composite
def masks(draw: Any, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape))
    bits = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return np.array(bits, bool).reshape(shape)


@st.composite
def items(draw: Any, shape: tuple[int, ...], common: tuple[int, ...]) -> list[Any]:
    """Items that use up axes of these sizes: ints, slices, arrays, masks, and None between."""
    kinds = ["int", "slice", "slice", "array", "array", "mask", "none"]
    found: list[Any] = []
    axis = 0
    while axis < len(shape):
        size = shape[axis]
        kind = draw(st.sampled_from(kinds))
        if kind == "none":
            found.append(None)
            continue
        if kind == "mask":
            covered = draw(st.integers(1, len(shape) - axis))
            found.append(draw(masks(shape[axis : axis + covered])))
            axis += covered
            continue
        if kind == "int" and size:
            found.append(draw(st.integers(-size, size - 1)))
        elif kind == "array":
            found.append(draw(index_arrays(size, common)))
        else:
            found.append(draw(slices(size)))
        axis += 1
    return found


@st.composite
def keys(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Items for some first axes and, behind an ellipsis, for some last ones."""
    common = draw(st.sampled_from([(), (2,), (3,), (2, 3), (0,)]))
    first = draw(st.integers(0, len(shape)))
    key = draw(items(shape[:first], common))
    if draw(st.booleans()):
        # An ellipsis for no axis at all parts the arrays around it in NumPy; here it does nothing.
        last = draw(st.integers(min(first + 1, len(shape)), len(shape)))
        key += [Ellipsis, *draw(items(shape[last:], common))]
    return tuple(key)


@st.composite
def cases(draw: Any, least: int = 0) -> tuple[tuple[int, ...], Any]:
    shape = draw(shapes(least))
    key = draw(keys(shape))
    return shape, key[0] if len(key) == 1 and draw(st.booleans()) else key


def numbers(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    """Distinct values, so that a wrong place shows."""
    return (np.arange(np.prod(shape)) % 200 + 1).reshape(shape).astype(dtype)


def to_samara(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(to_samara(part) for part in key)
    return samara.asarray(key) if isinstance(key, np.ndarray) else key


@settings(max_examples=400)
@given(cases(), st.sampled_from(DTYPES), st.booleans())
def test_reading_agrees_with_numpy(case: Any, dtype: str, as_tensors: bool) -> None:
    shape, key = case
    x = numbers(shape, dtype)
    try:
        expected = x[key]
    except (IndexError, ValueError):
        with pytest.raises((IndexError, ValueError)):
            samara.asarray(x)[to_samara(key)]
        return
    found = samara.asarray(x)[to_samara(key) if as_tensors else key]
    assert found.shape == np.shape(expected)
    np.testing.assert_array_equal(found.numpy(), expected)


@settings(max_examples=200)
@given(cases(1), st.integers(0, 3))
def test_reading_from_a_strided_view_agrees_with_numpy(case: Any, kind: int) -> None:
    shape, key = case
    big = numbers(tuple(2 * n for n in shape[::-1]))
    x = [
        lambda a: a.T[tuple(slice(None, None, 2) for _ in shape)],
        lambda a: a.T[tuple(slice(n, None) for n in shape)],
        lambda a: a.T[tuple(slice(None, None, -2) for _ in shape)],
        lambda a: a.T[tuple(slice(1, None, 2) for _ in shape)],
    ][kind]
    tensor = samara.asarray(big).permute(*range(len(shape))[::-1])
    steps = [slice(None, None, 2), slice(0), slice(None, None, -2), slice(1, None, 2)][kind]
    view = tensor[tuple(slice(n, None) if kind == 1 else steps for n in shape)]
    try:
        expected = x(big)[key]
    except (IndexError, ValueError):
        return
    np.testing.assert_array_equal(view[to_samara(key)].numpy(), expected)


@settings(max_examples=300)
@given(cases(), st.data(), st.sampled_from(DTYPES))
def test_writing_agrees_with_numpy(case: Any, data: Any, dtype: str) -> None:
    shape, key = case
    x = numbers(shape, dtype)
    try:
        target = np.shape(x[key])
    except (IndexError, ValueError):
        return
    cut = data.draw(st.integers(0, len(target)))
    values_shape = tuple(data.draw(st.sampled_from([n, 1])) for n in target[cut:])
    values = (-numbers(values_shape, "float32")).astype(dtype)
    expected = x.copy()
    expected[key] = values
    tensor = samara.asarray(x.copy())
    tensor[to_samara(key)] = samara.asarray(values)
    np.testing.assert_array_equal(tensor.numpy(), expected)


@settings(max_examples=150)
@given(cases())
def test_gradient_reaches_each_place_as_often_as_it_is_read(case: Any) -> None:
    shape, key = case
    x = numbers(shape, "float64")
    try:
        read = x[key]
    except (IndexError, ValueError):
        return
    weight = numbers(np.shape(read), "float64")
    expected = np.zeros(shape)
    np.add.at(expected, key, weight)
    tensor = samara.asarray(x).requires_grad_()
    (tensor[to_samara(key)] * samara.asarray(weight)).sum().backward()
    found = np.zeros(shape) if tensor.grad is None else tensor.grad.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@settings(max_examples=150)
@given(cases())
def test_gradient_of_a_write(case: Any) -> None:
    """The written value gets the gradient of the place where it remains, x that of the others."""
    shape, key = case
    x = numbers(shape, "float64")
    try:
        read = x[key]
    except (IndexError, ValueError):
        return
    weight = numbers(shape, "float64")
    # Which value remains where: NumPy writes the values' own numbers.
    owner = np.full(shape, -1)
    owner[key] = np.arange(read.size).reshape(read.shape)
    expected_values = np.zeros(read.size)
    remains = owner >= 0
    expected_values[owner[remains]] = weight[remains]

    a = samara.asarray(x).requires_grad_()
    v = samara.asarray(-numbers(read.shape, "float64")).requires_grad_()
    y = a * 1.0
    y[to_samara(key)] = v
    (y * samara.asarray(weight)).sum().backward()
    # A write that leaves nothing of x cuts it off.
    found = np.zeros(shape) if a.grad is None else a.grad.numpy()
    np.testing.assert_array_equal(found, np.where(remains, 0.0, weight))
    if v.grad is not None:
        np.testing.assert_array_equal(v.grad.numpy().ravel(), expected_values)


def test_gradient_of_a_gradient() -> None:
    x = samara.asarray(numbers((4,), "float64")).requires_grad_()
    index = samara.tensor([0, 2, 2])
    (first,) = samara.autograd.grad((x[index] ** 3).sum(), [x], create_graph=True)
    (second,) = samara.autograd.grad(first.sum(), [x])
    values = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(first.detach().numpy(), 3 * values**2 * [1, 0, 2, 0])
    np.testing.assert_allclose(second.numpy(), 6 * values * [1, 0, 2, 0])


def test_a_key_may_hold_lists() -> None:
    x = numbers((3, 4))
    t = samara.asarray(x)
    np.testing.assert_array_equal(t[[0, 2]].numpy(), x[[0, 2]])
    np.testing.assert_array_equal(t[[0, 2], [1, 3]].numpy(), x[[0, 2], [1, 3]])
    np.testing.assert_array_equal(t[:, [True, False, True, False]].numpy(), x[:, [0, 2]])


@pytest.mark.parametrize("key", [True, False, (True, 0), (slice(None), True), (True, [0, 1])])
def test_a_single_truth_value_selects_along_a_new_axis(key: Any) -> None:
    x = numbers((3, 4))
    np.testing.assert_array_equal(samara.asarray(x)[key].numpy(), x[key])


def test_equal_indices_add_up_in_the_order_of_the_indices() -> None:
    rng = np.random.default_rng(0)
    index = rng.integers(0, 50, size=4000)
    values = rng.normal(size=(4000, 3)).astype("float32")
    exact = np.zeros((50, 3))
    np.add.at(exact, index, values.astype("float64"))
    results = []
    for _ in range(3):
        x = samara.zeros(50, 3)
        x.requires_grad_()
        (x[samara.asarray(index)] * samara.asarray(values)).sum().backward()
        results.append(x.grad.numpy())
    # Summed in double precision and rounded once.
    np.testing.assert_array_equal(results[0], exact.astype("float32"))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("count", [5, 300, 30_000])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool", "complex64"])
def test_accumulating_by_a_long_index(count: int, dtype: str) -> None:
    rng = np.random.default_rng(count)
    index = rng.integers(-70, 70, size=count)
    for shape in [(70,), (70, 2), (70, 37)]:
        values = rng.integers(0, 9, size=(count, *shape[1:])).astype(dtype)
        expected = np.zeros(shape, dtype)
        np.add.at(expected, index, values)
        found = samara.index_put(
            samara.zeros(shape, dtype=getattr(samara, dtype)),
            (0,),
            [samara.asarray(index)],
            samara.asarray(values),
            accumulate=True,
        )
        np.testing.assert_array_equal(found.numpy(), expected)


def test_values_that_overlap_the_target_are_read_first() -> None:
    x = np.arange(6.0)
    t = samara.asarray(x.copy())
    order = samara.tensor([5, 4, 3, 2, 1, 0])
    t[order] = t
    np.testing.assert_array_equal(t.numpy(), x[::-1])
    i = samara.tensor([2, 0, 1])
    i[i] = samara.tensor([7, 8, 9])
    np.testing.assert_array_equal(i.numpy(), [8, 9, 7])


def test_a_mask_assignment_changes_only_what_it_covers() -> None:
    x = numbers((40, 50))
    t = samara.asarray(x.copy())
    t[t > 100] = -1.0
    np.testing.assert_array_equal(t.numpy(), np.where(x > 100, -1.0, x))
    t[samara.asarray(x[:, 0] > 20)] = 0.0
    assert not t.numpy()[x[:, 0] > 20].any()


def test_large_masks_keep_row_major_order() -> None:
    rng = np.random.default_rng(3)
    mask = rng.random((3, 211, 167)) < 0.3
    for found, expected in zip(samara.nonzero(samara.asarray(mask)), np.nonzero(mask), strict=True):
        np.testing.assert_array_equal(found.numpy(), expected)
    x = rng.normal(size=mask.shape)
    np.testing.assert_array_equal(samara.asarray(x)[samara.asarray(mask)].numpy(), x[mask])


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (4, IndexError, "4 is out of range for axis 0 of size 3"),
        ((0, -6), IndexError, "-6 is out of range for axis 1 of size 5"),
        (np.array([0, 3]), IndexError, "index 3 is out of range for axis 0 of size 3"),
        (np.array([-4]), IndexError, "index -4 is out of range for axis 0"),
        ((slice(None), np.array([5])), IndexError, "index 5 is out of range for axis 1 of size 5"),
        ((0, 0, 0), IndexError, "3 axes are indexed in a tensor of shape (3, 5)"),
        ((Ellipsis, Ellipsis), IndexError, "'...' appears 2 times"),
        (np.zeros((3, 4), bool), IndexError, "mask of shape (3, 4)"),
        (np.zeros(5, bool), IndexError, "mask of shape (5,)"),
        (np.array([0.5]), IndexError, "float"),
        (0.5, IndexError, "float"),
        ("a", IndexError, "str"),
        ((np.array([0, 1]), np.array([0, 1, 2])), ShapeError, "do not broadcast"),
        (
            np.array([2**64 - 1], np.uint64),
            IndexError,
            "index 18446744073709551615 is out of range",
        ),
        (slice(0, 2, 0), ValueError, "step 0"),
    ],
)
def test_a_wrong_key_says_what_is_wrong(key: Any, error: type, message: str) -> None:
    t = samara.zeros(3, 5)
    for use in (lambda: t[to_samara(key)], lambda: t.__setitem__(to_samara(key), 1.0)):
        with pytest.raises(error) as raised:
            use()
        assert message in str(raised.value)
    np.testing.assert_array_equal(t.numpy(), np.zeros((3, 5)))


def test_a_wrong_value_says_what_is_wrong() -> None:
    t = samara.zeros(3, 5)
    with pytest.raises(ShapeError, match=r"values of shape \(4,\) .* indexed shape \(2, 5\)"):
        t[samara.tensor([0, 1])] = samara.ones(4)
    with pytest.raises(DTypeError, match="complex"):
        t[samara.tensor([0, 1])] = 1j
    with pytest.raises(DTypeError, match="cannot be deleted"):
        del t[0]
    with pytest.raises(ArgumentError, match="expanded view"):
        samara.zeros(1).expand(3)[samara.tensor([0, 1])] = 1.0


def test_a_failed_write_changes_nothing() -> None:
    t = samara.zeros(100)
    with pytest.raises(IndexError):
        t[samara.tensor([*range(99), 100])] = 1.0
    assert not t.numpy().any()


def test_a_write_into_a_leaf_that_requires_grad_is_refused() -> None:
    t = samara.zeros(3).requires_grad_()
    with pytest.raises(GradientError, match="leaf"):
        t[samara.tensor([0])] = 1.0


def test_a_write_through_a_view_reaches_the_base() -> None:
    x = samara.asarray(numbers((3, 4), "float64")).requires_grad_()
    y = x * 2.0
    y[1][samara.tensor([0, 2])] = samara.zeros(2, dtype=samara.float64)
    y.sum().backward()
    expected = np.full((3, 4), 2.0)
    expected[1, [0, 2]] = 0
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_an_empty_mask_takes_nothing_from_any_size() -> None:
    x = samara.arange(12).reshape(3, 4)
    assert x[samara.zeros(0, dtype=samara.bool)].shape == (0, 4)
    assert x[samara.zeros(0, 4, dtype=samara.bool)].shape == (0,)
    x[samara.zeros(3, 0, dtype=samara.bool)] = 7
    assert x.tolist() == np.arange(12).reshape(3, 4).tolist()
    with pytest.raises(IndexError, match=r"mask of shape \(0, 3\)"):
        x[samara.zeros(0, 3, dtype=samara.bool)]
