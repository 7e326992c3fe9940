"""A History says what happened: curves, a sparkline, a picture, a file."""

import builtins
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samara.errors import ArgumentError, SamaraError
from samara.train import Baseline, History, sparkline

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def some_history() -> History:
    return History(
        loss=[2.0, 1.0, 0.5],
        validation_loss=[2.1, 1.2, 0.8],
        metrics={"rmse": [1.4, 1.1, 0.9]},
        epoch_seconds=[0.1, 0.1, 0.1],
        steps=30,
        seconds=0.3,
        loss_name="mse",
        verdict="learning: the loss fell",
        baseline=Baseline("mean", "rmse", 1.5, 0.9),
    )


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(1, 60))
def test_a_sparkline_is_never_wider_than_asked_and_touches_both_ends(values, width):
    line = sparkline(values, width, ascii=False)
    assert len(line) == min(len(values), width)
    assert set(line) <= set("▁▂▃▄▅▆▇█")
    if len(values) <= width and max(values) > min(values):
        assert line[values.index(max(values))] == "█"
        assert line[values.index(min(values))] == "▁"


def test_a_sparkline_shows_non_finite_values_and_needs_no_unicode():
    assert sparkline([1.0, math.nan, 0.0], ascii=False) == "█x▁"
    assert sparkline([1.0, math.inf], ascii=False)[1] == "x"
    assert sparkline([1.0, 0.5, 0.0], ascii=True).isascii()
    assert sparkline([]) == ""
    assert sparkline([3.0, 3.0], ascii=False) == "▁▁"


def test_a_log_sparkline_tells_small_values_apart():
    falling = [1e4, 1e2, 1.0, 1e-2]
    assert len(set(sparkline(falling, log=True, ascii=False))) == 4
    assert len(set(sparkline(falling, ascii=False))) == 2


def test_a_sparkline_of_no_width_is_refused():
    with pytest.raises(ArgumentError, match="width is 0"):
        sparkline([1.0], 0)


def test_repr_tells_the_story_in_one_line():
    text = repr(some_history())
    assert "\n" not in text
    for part in ("3 epochs", "2 -> 0.5", "rmse 0.9", "learning"):
        assert part in text
    assert "0 epochs" in repr(History())


def test_the_best_epoch_is_that_of_the_lowest_validation_loss():
    assert some_history().best_epoch == 3
    assert History(loss=[1.0, 0.2, 0.1], validation_loss=[0.9, 0.5, 0.7]).best_epoch == 2
    assert History(loss=[1.0, math.nan]).best_epoch == 1
    assert History().best_epoch is None


def test_a_baseline_says_which_is_better():
    assert Baseline("mean", "rmse", 2.0, 1.0).beaten
    assert not Baseline("mean", "rmse", 1.0, 1.0).beaten
    assert Baseline("majority", "accuracy", 0.5, 0.6, higher_is_better=True).beaten
    assert "NOT better" in str(Baseline("majority", "accuracy", 0.6, 0.5, higher_is_better=True))


def test_a_history_survives_json():
    before = some_history()
    after = History.from_dict(json.loads(json.dumps(before.to_dict())))
    assert after == before


def test_a_history_of_another_version_is_refused():
    values = some_history().to_dict()
    values["format_version"] = 99
    with pytest.raises(SamaraError, match="format_version is 99"):
        History.from_dict(values)


@pytest.mark.parametrize(
    ("name", "starts"),
    [("h.png", PNG_MAGIC), ("h.svg", b"<?xml"), ("h.PDF", b"%PDF")],
    ids=["png", "svg", "pdf"],
)
def test_plot_writes_the_kind_of_image_that_the_name_asks_for(tmp_path, name, starts):
    path = some_history().plot(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert path == str(tmp_path / name)
    assert content.startswith(starts)
    assert len(content) > 1000


def test_plot_writes_the_curves_and_the_baseline_as_text(tmp_path):
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        some_history().plot(tmp_path / "h.svg")
    text = (tmp_path / "h.svg").read_text(encoding="utf-8")
    for label in ("training", "validation", "rmse", "baseline (mean)", "mse", "epoch"):
        assert label in text


def test_plot_refuses_an_unknown_suffix_and_an_empty_history(tmp_path):
    with pytest.raises(ArgumentError, match=r"\.png"):
        some_history().plot(tmp_path / "h.bmpx")
    with pytest.raises(ArgumentError, match="no completed epoch"):
        History().plot(tmp_path / "h.png")


def test_plot_without_matplotlib_names_the_extra(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SamaraError, match="pip install matplotlib"):
        some_history().plot(tmp_path / "h.png")
