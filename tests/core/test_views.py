"""Views share memory, and reading or writing through them means what it means in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import samara
from samara.errors import ArgumentError, IndexOutOfRangeError, SamaraError, ShapeError

SHAPE = (3, 4, 2)


def fresh() -> tuple[Any, samara.Tensor]:
    array = np.arange(24, dtype=np.float64).reshape(SHAPE)
    return array, samara.tensor(array)


VIEWS = {
    "reshape": (lambda x: x.reshape(4, 6), lambda a: a.reshape(4, 6)),
    "flatten": (lambda x: x.flatten(), lambda a: a.reshape(-1)),
    "permute": (lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    "transpose": (lambda x: x.transpose(0, 1), lambda a: a.swapaxes(0, 1)),
    "mT": (lambda x: x.mT, lambda a: a.swapaxes(-1, -2)),
    "slice": (lambda x: x[1:, ::2], lambda a: a[1:, ::2]),
    "negative steps": (lambda x: x[::-1, :, ::-1], lambda a: a[::-1, :, ::-1]),
    "row": (lambda x: x[1], lambda a: a[1]),
    "newaxis": (lambda x: x[:, None, ..., 0], lambda a: a[:, None, ..., 0]),
    "unsqueeze": (lambda x: x.unsqueeze(1), lambda a: a[:, None]),
    "flip": (lambda x: x.flip(0), lambda a: np.flip(a, 0)),
    "movedim": (lambda x: x.movedim(0, -1), lambda a: np.moveaxis(a, 0, -1)),
    "squeeze": (lambda x: x[:, :1].squeeze(1), lambda a: a[:, 0]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shows_and_writes_its_base(name: str) -> None:
    array, x = fresh()
    ours, theirs = VIEWS[name]
    seen = ours(x)
    assert seen.numpy().tolist() == theirs(array).tolist()
    version = x._version
    seen.copy_(samara.full(seen.shape, -1.0))
    theirs(array)[...] = -1.0
    assert x.tolist() == array.tolist()
    assert x._version > version and seen._version == x._version


@pytest.mark.parametrize("name", VIEWS)
def test_views_of_views(name: str) -> None:
    array, x = fresh()
    ours, theirs = VIEWS[name]
    again = ours(x)[::-1].T if ours(x).ndim > 1 else ours(x)[::-1]
    assert again.tolist() == theirs(array)[::-1].T.tolist()
    assert again.contiguous().is_contiguous()
    assert again.contiguous().tolist() == again.tolist()


def test_reshape_copies_only_where_it_must() -> None:
    _, x = fresh()
    assert x.reshape(-1).data_ptr() == x.data_ptr()
    assert x.T.reshape(-1).data_ptr() != x.data_ptr()
    with pytest.raises(ShapeError, match="view"):
        x.permute(2, 1, 0).view(-1)


def test_expand_repeats_without_memory() -> None:
    x = samara.tensor([[1.0], [2.0]])
    wide = x.expand(2, 3)
    assert wide.stride() == (1, 0) and wide.data_ptr() == x.data_ptr()
    assert wide.tolist() == [[1.0] * 3, [2.0] * 3]
    assert x.expand(-1, 2).shape == (2, 2)
    with pytest.raises(ArgumentError, match="expanded view"):
        wide.add_(1.0)
    with pytest.raises(ShapeError, match=r"Expected .*Fix"):
        x.expand(3, 3)


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x.reshape(5, 5),
        lambda x: x.reshape(-1, -1),
        lambda x: x.permute(0, 1),
        lambda x: x.permute(0, 0, 1),
        lambda x: x.transpose(0, 3),
        lambda x: x.squeeze(5),
        lambda x: x.unsqueeze(9),
        lambda x: x.flip(7),
        lambda x: x[3],
        lambda x: x[0, 0, 0, 0],
        lambda x: x[..., ...],
        lambda x: x[1.0],
        lambda x: x["a"],
        lambda x: x[[0, 7]],
        lambda x: x[samara.tensor([True, False])],
        lambda x: x.__setitem__(0, samara.ones(7)),
        lambda x: x[::0],
    ],
)
def test_bad_views_say_what_is_wrong(use: Any) -> None:
    _, x = fresh()
    with pytest.raises(SamaraError, match=r"(?s)Expected .*Fix: ") as caught:
        use(x)
    assert isinstance(caught.value, (ValueError, IndexError, TypeError))


def test_the_index_and_the_size_are_named() -> None:
    x = samara.zeros(3, 4)
    with pytest.raises(IndexOutOfRangeError, match=r"7.*4"):
        x[0, 7]
    with pytest.raises(IndexError, match=r"-5.*3|3.*-5"):
        x[-5]
    with pytest.raises(IndexError, match="9"):
        x[samara.tensor([0, 9])]


# --- keys drawn at random, NumPy as the oracle ---------------------------------------------------


def basic_keys() -> st.SearchStrategy[Any]:
    whole = st.integers(-2, 1)
    bound = st.none() | st.integers(-5, 5)
    step = st.none() | st.sampled_from([1, 2, 3, -1, -2])
    part = st.one_of(whole, st.builds(slice, bound, bound, step), st.just(None), st.just(...))
    return st.lists(part, max_size=5).map(tuple)


def advanced_keys() -> st.SearchStrategy[Any]:
    rows = st.lists(st.integers(-3, 2), min_size=1, max_size=3)
    columns = st.lists(st.integers(-4, 3), min_size=1, max_size=3)
    mask = st.lists(st.booleans(), min_size=3, max_size=3)
    bound = st.none() | st.integers(-5, 5)
    slices = st.builds(slice, bound, bound)
    return st.one_of(
        rows.map(lambda r: (r,)),
        st.tuples(rows, slices),
        st.tuples(slices, columns),
        st.tuples(rows, st.integers(-4, 3)),
        st.tuples(st.integers(-3, 2), slices, st.sampled_from([[0], [1, 0, 1]])),
        rows.map(lambda r: (r, ..., [0])),
        rows.map(lambda r: ([[i] for i in r], [0, 1, 3])),
        mask.map(lambda m: (np.array(m),)),
        st.tuples(mask.map(np.array), slices),
        rows.map(lambda r: (None, r)),
    )


def check_key(key: Any) -> None:
    array, x = fresh()
    if sum(part is ... for part in key) > 1:
        with pytest.raises(IndexError):
            x[key]
        return
    try:
        expected = array[key]
    except IndexError:
        with pytest.raises(IndexError):
            x[key]
        return
    result = x[key]
    assert result.shape == expected.shape
    assert result.tolist() == expected.tolist()
    array[key] = -1.0
    x[key] = -1.0
    assert x.tolist() == array.tolist()
    values = np.arange(expected.size, dtype=np.float64).reshape(expected.shape) + 100.0
    repeated = len(set(np.ravel(np.arange(24).reshape(SHAPE)[key]))) < expected.size
    if not repeated:
        array[key] = values
        x[key] = samara.tensor(values)
        assert x.tolist() == array.tolist()


@given(key=basic_keys())
def test_basic_keys(key: Any) -> None:
    check_key(key)


@given(key=advanced_keys())
def test_advanced_keys(key: Any) -> None:
    check_key(key)


def test_masks_and_tensors_as_keys() -> None:
    array, x = fresh()
    assert x[x > 10].tolist() == array[array > 10].tolist()
    x[x > 10] = 0.0
    array[array > 10] = 0.0
    assert x.tolist() == array.tolist()
    i = samara.tensor([2, 0])
    assert x[i].tolist() == array[[2, 0]].tolist()
    assert x[samara.tensor(1)].tolist() == array[1].tolist()
    assert x[True].shape == (1, *SHAPE) and x[False].shape == (0, *SHAPE)
    assert x[np.array([1])].tolist() == array[[1]].tolist()


def test_an_assignment_converts_and_broadcasts() -> None:
    x = samara.zeros(2, 3, dtype=samara.int32)
    x[:, 1] = samara.tensor([1.9, 2.0])
    x[0] += 1
    assert x.tolist() == [[1, 2, 1], [0, 2, 0]]
    x[...] = samara.tensor([[7], [8]])
    assert x.tolist() == [[7] * 3, [8] * 3]


def test_an_overlapping_assignment_reads_before_it_writes() -> None:
    array = np.arange(10.0)
    x = samara.tensor(array)
    x[1:] = x[:-1]
    array[1:] = array[:-1].copy()
    assert x.tolist() == array.tolist()
    x[::-1].copy_(x.clone())
    assert x.tolist() == array[::-1].tolist()
    y = samara.tensor(np.arange(9.0).reshape(3, 3))
    y.copy_(y.T)
    assert y.tolist() == np.arange(9.0).reshape(3, 3).T.tolist()
    z = samara.tensor([1.0, 2.0, 3.0])
    z[1:].add_(z[:-1])
    assert z.tolist() == [1.0, 3.0, 5.0]


def test_zero_size() -> None:
    x = samara.zeros(0, 3)
    assert x[:, 1].shape == (0,) and x.reshape(3, 0).shape == (3, 0)
    assert x.tolist() == [] and x.sum().item() == 0.0 and x.T.shape == (3, 0)
    assert (x + 1).shape == (0, 3) and x[samara.zeros(0, dtype=samara.int64)].shape == (0, 3)
    x[:] = 1.0
    assert samara.concat([x, samara.ones(1, 3)]).shape == (1, 3)


def test_as_strided_beyond_the_tensor_itself_has_no_gradient() -> None:
    memory = samara.arange(100.0)
    x = memory[50:60].detach()
    assert x.as_strided((2,), (1,), -50).tolist() == [0.0, 1.0]
    with pytest.raises(IndexOutOfRangeError, match="outside"):
        x.clone().requires_grad_().as_strided((2,), (1,), 9)
    for offset in (-50, 40):
        with pytest.raises(IndexOutOfRangeError, match="outside"):
            memory[50:60].detach().requires_grad_().as_strided((10,), (1,), offset)
        base = memory[50:60].detach()
        base.as_strided((10,), (1,), offset).mul_(samara.ones(1, requires_grad=True))
        with pytest.raises(IndexOutOfRangeError, match="outside"):
            base.sum().backward()
