"""Splits and batches are pure functions of the seed."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samara import data
from samara.data import Loader, permutation, split_rows
from samara.errors import DataError


def test_permutation_is_frozen():
    """Known answer: a later change would silently reorder everybody's batches.

    The order sorts the words of Philox-4x64-10 under a key that is the first 16 bytes of
    sha256("samara 0 shuffle 0"); this computes them again with the generator's own rounds.
    """
    import hashlib

    def philox(counter, key):
        mask = 2**64 - 1
        for _ in range(10):
            a, b = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
            counter = [(b >> 64) ^ counter[1] ^ key[0], b & mask, (a >> 64) ^ counter[3] ^ key[1],
                       a & mask]  # fmt: skip
            key = [(key[0] + 0x9E3779B97F4A7C15) & mask, (key[1] + 0xBB67AE8584CAA73B) & mask]
        return counter

    digest = hashlib.sha256(b"samara 0 shuffle 0").digest()
    key = [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")]
    words = [word for block in range(1, 6) for word in philox([block, 0, 0, 0], key)]
    expected = sorted(range(20), key=lambda i: words[i])
    assert permutation(20, 0, "shuffle", 0).tolist() == expected


@given(rows=st.integers(0, 200), seed=st.integers(-(2**70), 2**70), epoch=st.integers(0, 10))
def test_permutation_is_one(rows, seed, epoch):
    order = permutation(rows, seed, "shuffle", epoch)
    assert sorted(order.tolist()) == list(range(rows)) and order.dtype == np.int64


def test_permutation_depends_on_each_argument():
    orders = {
        tuple(permutation(50, seed, purpose, epoch))
        for seed in (0, 1)
        for purpose in ("shuffle", "split")
        for epoch in (0, 1)
    }
    assert len(orders) == 8


@given(
    rows=st.integers(2, 300), fraction=st.floats(0, 0.99), seed=st.integers(0, 5),
    strategy=st.sampled_from(["random", "stratified"]), classes=st.integers(1, 5),
)  # fmt: skip
def test_split_is_a_partition(rows, fraction, seed, strategy, classes):
    by = np.arange(rows) % classes
    train, held_out = split_rows(rows, fraction, seed, strategy, by)
    assert sorted([*train, *held_out]) == list(range(rows)) and len(train)
    again = split_rows(rows, fraction, seed, strategy, by)
    assert (again[0] == train).all() and (again[1] == held_out).all()
    if strategy == "stratified":
        assert set(by[train]) == set(by)


def test_stratified_keeps_shares():
    by = np.repeat([0, 1, 2], [800, 150, 50])
    _, held_out = split_rows(1000, 0.2, 3, "stratified", by)
    assert np.bincount(by[held_out]).tolist() == [160, 30, 10]


def test_groups_are_not_divided():
    by = np.array([f"g{i % 13}" for i in range(130)])
    train, held_out = split_rows(130, 0.3, 0, "group", by)
    assert not set(by[train]) & set(by[held_out]) and 20 <= len(held_out) <= 60
    with pytest.raises(DataError, match="one group"):
        split_rows(10, 0.3, 0, "group", np.zeros(10))


def test_time_holds_out_the_latest():
    times = np.array([5, 1, 4, 4, 2, 3, 9, 8])
    train, held_out = split_rows(8, 0.25, 0, "time", times)
    assert times[held_out].tolist() == [9, 8] and times[train].max() == 5
    _, held_out = split_rows(8, 0.5, 0, "time", times)
    assert sorted(times[held_out]) == [4, 4, 5, 8, 9]
    with pytest.raises(DataError, match="same time"):
        split_rows(3, 0.3, 0, "time", np.ones(3))


def test_split_strategies_of_a_table():
    table = data.as_table(
        {
            "day": np.array(["2020-01-03", "2020-01-01", "2020-01-02", "2020-01-04"], "M8[D]"),
            "who": ["a", "b", "a", "b"],
            "x": [1.0, 2.0, 3.0, 4.0],
            "y": [1.5, 2.5, 3.5, 4.5],
        },
        target="y",
    )
    late = table.prepare(split="time", by="day", validation=0.25)
    assert late.validation.rows.tolist() == [3]
    grouped = table.prepare(split="group", by="who", validation=0.5)
    assert set(map(tuple, [grouped.train.rows, grouped.validation.rows])) == {(0, 2), (1, 3)}
    for options, part in (
        ({"split": "time"}, "needs a column"),
        ({"split": "time", "by": "dai"}, "did you mean 'day'"),
        ({"split": "time", "by": "who"}, "kind 'category'"),
        ({"split": "stratified"}, "needs classes"),
        ({"split": "kfold"}, "'kfold'"),
    ):
        with pytest.raises(DataError, match=part):
            table.prepare(**options)
    gaps = data.as_table({"t": [1.0, np.nan, 3.0], "y": [1.5, 2.5, 3.5]}, target="y")
    with pytest.raises(DataError, match="row 1 column 't'"):
        gaps.prepare(split="time", by="t")


@pytest.fixture
def arrays():
    return np.arange(103 * 3.0).reshape(103, 3), np.arange(103)


@pytest.mark.parametrize("prefetch", [0, 1, 3])
@pytest.mark.parametrize("shuffle", [True, False])
def test_epoch_holds_every_row_once(arrays, prefetch, shuffle):
    loader = Loader(arrays, 10, shuffle=shuffle, prefetch=prefetch)
    batches = list(loader.epoch(0))
    assert len(batches) == len(loader) == 11
    assert [len(rows) for _, rows in batches] == [10] * 10 + [3]
    rows = np.concatenate([rows for _, rows in batches])
    assert sorted(rows) == list(range(103)) and (rows.tolist() == list(range(103))) != shuffle
    for x, rows in batches:
        np.testing.assert_array_equal(x, arrays[0][rows])


def test_order_is_a_function_of_seed_and_epoch(arrays):
    def order(seed, epoch, **options):
        return np.concatenate([r for _, r in Loader(arrays, 7, seed=seed, **options).epoch(epoch)])

    first = order(5, 2)
    np.testing.assert_array_equal(first, order(5, 2, prefetch=4))
    np.testing.assert_array_equal(first, permutation(103, 5, "shuffle", 2))
    assert (first != order(5, 3)).any() and (first != order(6, 2)).any()


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("start", [0, 1, 7, 10, 11])
def test_resume(arrays, prefetch, start):
    loader = Loader(arrays, 10, seed=1, prefetch=prefetch)
    whole = [rows for _, rows in loader.epoch(4)]
    rest = [rows for _, rows in loader.epoch(4, start=start)]
    assert len(rest) == 11 - start
    for a, b in zip(whole[start:], rest, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(DataError, match="start=12"):
        loader.epoch(4, start=12)


def test_drop_last(arrays):
    loader = Loader(arrays, 10, drop_last=True)
    assert [len(rows) for _, rows in loader] == [10] * 10 == [10] * len(loader)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "samara-loader"]


def test_leaving_early_ends_the_thread(arrays):
    batches = Loader(arrays, 1, prefetch=2).epoch(0)
    next(batches)
    assert threads()
    batches.close()
    assert not threads()


def test_errors_of_the_thread_reach_the_consumer(arrays):
    class Breaking(np.ndarray):
        def __getitem__(self, rows):
            raise OSError("disk on fire")

    loader = Loader(arrays, 10, prefetch=2)
    loader.arrays = (arrays[0].view(Breaking),)
    with pytest.raises(OSError, match="disk on fire"):
        list(loader.epoch(0))
    assert not threads()


def test_slow_consumers_do_not_pile_up_batches(arrays):
    made = []

    class Counting(np.ndarray):
        def __getitem__(self, rows):
            made.append(1)
            return np.asarray(self)[rows]

    loader = Loader(arrays, 1, prefetch=2)
    loader.arrays = (arrays[0].view(Counting),)
    batches = loader.epoch(0)
    next(batches)
    while len(made) < 4:  # one taken, two waiting, one in the thread's hand
        time.sleep(0)
    batches.close()
    assert len(made) <= 5


@pytest.mark.parametrize(
    ("arrays", "options", "part"),
    [
        ((np.zeros((3, 1)), np.zeros(4)), {}, r"\[3, 4\] rows"),
        ((), {}, r"\[\] rows"),
        ((np.float64(1),), {}, "rows"),
        ((np.zeros(0),), {}, "0 rows"),
        ((np.zeros(3),), {"batch_size": 0}, "batch_size=0"),
        ((np.zeros(3),), {"batch_size": 2.5}, "batch_size=2.5"),
        ((np.zeros(3),), {"batch_size": 4, "drop_last": True}, "no batch"),
    ],
)
def test_bad_arguments(arrays, options, part):
    with pytest.raises(DataError, match=part):
        Loader(arrays, **options)


def test_batches_of_a_part():
    table = data.as_table({"x": [1.0, 2.0, 3.0], "y": [1.5, 2.5, 3.5]}, target="y")
    loader = Loader(table.prepare(validation=0).train, 2, shuffle=False)
    assert [[a.shape for a in batch] for batch in loader] == [
        [(2, 2), (2, 0), (2, 1)],
        [(1, 2), (1, 0), (1, 1)],
    ]
