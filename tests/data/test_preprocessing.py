"""What the model sees: statistics of the training rows only, and the same for every later file."""

import datetime
import json

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from samara import data
from samara.data import Preprocessing
from samara.errors import DataError

TEXT = "name,size,colour,ok,day,y\n" + "".join(
    f"n{i},{'' if i % 9 == 4 else i * 0.5},{['red', 'green', 'blue'][i % 3]},"
    f"{'yes' if i % 2 else 'no'},{datetime.date(2020, 1, 1) + datetime.timedelta(days=11 * i)},"
    f"{3 * i + 1.5}\n"
    for i in range(60)
)


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "data.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def prepared(write):
    return data.csv(write(TEXT), target="y").prepare(seed=1, validation=0.25)


def column(part, prepared, name):
    return part.features[:, prepared.preprocessing.feature_names.index(name)]


def test_shapes_and_types(prepared):
    fitted = prepared.preprocessing
    dates = ["day_year", "day_month", "day_dayofweek", "day_elapsed", "day_na"]
    assert fitted.feature_names == ["size", "size_na", "ok", "ok_na", *dates]
    assert fitted.categorical_names == ["colour"] and fitted.cardinalities == [5]
    for part, rows in ((prepared.train, 45), (prepared.validation, 15)):
        features, categories, target = part.arrays()
        assert features.shape == (rows, 9) and features.dtype == np.float32
        assert categories.shape == (rows, 1) and categories.dtype == np.int64
        assert target.shape == (rows, 1) and target.dtype == np.float32
        assert all(a.flags.c_contiguous for a in (features, categories, target))
    assert (fitted.n_features, fitted.n_categorical, fitted.n_outputs) == (9, 1, 1)
    assert prepared.task == "regression" and prepared.accounting.complete


def test_numbers_against_scikit_learn(prepared):
    """Impute after scaling by the values that are there: the same as imputing the scaled median."""
    raw = np.array([np.nan if i % 9 == 4 else i * 0.5 for i in range(60)])
    train, held_out = prepared.train.rows, prepared.validation.rows
    scaler = StandardScaler().fit(raw[train, None])
    imputer = SimpleImputer(strategy="median").fit(scaler.transform(raw[train, None]))
    for part, rows in ((prepared.train, train), (prepared.validation, held_out)):
        expected = imputer.transform(scaler.transform(raw[rows, None]))[:, 0]
        np.testing.assert_allclose(column(part, prepared, "size"), expected, rtol=1e-6)
        np.testing.assert_array_equal(column(part, prepared, "size_na"), np.isnan(raw[rows]))


def test_dates_against_the_calendar(prepared):
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=11 * i) for i in range(60)]
    rows = prepared.train.rows
    first = min(days[i] for i in rows)
    expected = {
        "day_year": [days[i].year for i in rows],
        "day_month": [days[i].month for i in rows],
        "day_dayofweek": [days[i].weekday() for i in rows],
        "day_elapsed": [(days[i] - first).days for i in rows],
    }
    for name, values in expected.items():
        scaled = StandardScaler().fit_transform(np.array(values, float)[:, None])[:, 0]
        np.testing.assert_allclose(column(prepared.train, prepared, name), scaled, atol=1e-6)


def test_dates_before_1970(write):
    path = write("d,y\n1969-12-31,1\n1900-03-01,2\n2000-02-29,3\n")
    prepared = data.csv(path, target="y").prepare(validation=0)
    weekdays = [datetime.date(*d).weekday() for d in ((1969, 12, 31), (1900, 3, 1), (2000, 2, 29))]
    scaled = StandardScaler().fit_transform(np.array(weekdays, float)[:, None])[:, 0]
    np.testing.assert_allclose(column(prepared.train, prepared, "d_dayofweek"), scaled, atol=1e-6)


def test_target_is_standardised_and_comes_back(prepared):
    y = np.array([3 * i + 1.5 for i in range(60)])
    fitted = prepared.preprocessing
    assert fitted.target_mean == pytest.approx(y[prepared.train.rows].mean())
    assert fitted.target_std == pytest.approx(y[prepared.train.rows].std())
    for part in (prepared.train, prepared.validation):
        np.testing.assert_allclose(fitted.decode(part.target), y[part.rows], rtol=1e-5)
        np.testing.assert_allclose(fitted.decode(part.target[:, 0]), y[part.rows], rtol=1e-5)


def test_statistics_ignore_the_validation_rows(write, prepared):
    lines = TEXT.splitlines()
    for row in prepared.validation.rows:
        lines[1 + row] = "other,123456,violet,yes,1999-09-09,1e6"
    changed = data.csv(write("\n".join(lines)), target="y").prepare(seed=1, validation=0.25)
    assert changed.train.rows.tolist() == prepared.train.rows.tolist()
    assert changed.preprocessing == prepared.preprocessing
    assert (changed.validation.categories == 0).all()


def test_state_survives_json(prepared, write):
    text = prepared.preprocessing.to_json()
    assert json.loads(text)["version"] == 1
    again = Preprocessing.from_json(text)
    assert again == prepared.preprocessing and again.to_json() == text
    path = write(TEXT, "again.csv")
    ours, theirs = prepared.transform(path), again.transform(path)
    for a, b in zip(ours.arrays(), theirs.arrays(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not JSON"),
        ("[]", "not of the format"),
        ('{"format": "samara.preprocessing", "version": 99}', "version 99"),
        ('{"format": "samara.preprocessing", "version": 1}', "columns"),
    ],
)
def test_foreign_state(text, part):
    with pytest.raises(DataError, match=part):
        Preprocessing.from_json(text)


def test_transform_gives_the_training_arrays(prepared, write):
    part = prepared.transform(write(TEXT, "same.csv"))
    for name in ("features", "categories", "target"):
        got = getattr(part, name)
        np.testing.assert_array_equal(got[prepared.train.rows], getattr(prepared.train, name))
    from_table = prepared.transform(data.csv(write(TEXT, "again.csv")))
    np.testing.assert_array_equal(from_table.features, part.features)


def test_file_for_prediction(prepared, write):
    path = write(
        "ok,extra,day,colour,size\nno,1,2030-05-05,violet,\nyes,2,,,7\n,3,2020-01-01,red,1\n"
    )
    part = prepared.transform(path)
    assert part.target is None and len(part) == 3
    assert part.categories[:, 0].tolist()[:2] == [0, 1]
    assert column(part, prepared, "size_na").tolist() == [1, 0, 0]
    assert column(part, prepared, "day_na").tolist() == [0, 1, 0]
    assert column(part, prepared, "ok_na").tolist() == [0, 0, 1]
    assert np.isfinite(part.features).all()
    assert any("'extra'" in note for note in part.notes)
    assert not any("'name'" in note for note in part.notes)
    assert part.where(1) == f"{path}:3"


def test_columns_that_are_not_there(prepared, write):
    with pytest.raises(DataError) as caught:
        prepared.transform(write("sizes,ok,day\n1,yes,2020-01-01\n"))
    text = str(caught.value)
    assert "column 'size'" in text and "did you mean 'sizes'?" in text and "column 'colour'" in text


def test_bad_cell_in_a_file_for_prediction(prepared, write):
    path = write("ok,day,colour,size\nno,2030-05-05,red,1\nno,2030-05-05,red,large\n", "new.csv")
    with pytest.raises(DataError, match=r"new\.csv:3 column 'size': 'large' is not a number"):
        prepared.transform(path)
    part = prepared.transform(path, on_bad_rows="fill")
    assert column(part, prepared, "size_na").tolist() == [0, 1]
    with pytest.raises(DataError, match=r"new\.csv:3 column 'ok': 'maybe' is not a boolean"):
        path.write_text("ok,day,colour,size\nno,,red,1\nmaybe,,red,1\n")
        prepared.transform(path)


def test_a_target_with_gaps_is_not_scored(prepared, write):
    path = write("ok,day,colour,size,y\nno,2020-05-05,red,1,2\nno,2020-05-05,red,1,\n", "new.csv")
    part = prepared.transform(path)
    assert part.target is None and any("new.csv:3 column 'y'" in note for note in part.notes)


def test_file_for_prediction_may_have_one_row_or_only_missing_values(prepared, write):
    part = prepared.transform(write("ok,day,colour,size\n,,,\n"))
    assert len(part) == 1 and part.categories.tolist() == [[1]]
    assert np.isfinite(part.features).all()


def test_reading_options_travel(write):
    text = "x;y\n1,5;2\n-;3\n2,5;4\n"
    options = {"decimal": ",", "missing": ["-"]}
    prepared = data.csv(write(text), target="y", **options).prepare(validation=0)
    again = Preprocessing.from_json(prepared.preprocessing.to_json())
    part = again.transform(write("x;z\n2,0;1\n-;2\n", "new.csv"))
    assert part.features.tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_rare_categories_share_the_code_of_unseen_ones(write):
    rows = ["a"] * 10 + ["b"] * 5 + ["c"] * 2 + ["d"]
    path = write("c,y\n" + "".join(f"{c},{i}.5\n" for i, c in enumerate(rows)))
    table = data.csv(path, target="y")
    assert table.prepare(validation=0).train.categories[:, 0].tolist() == (
        [2] * 10 + [3] * 5 + [4] * 2 + [0]
    )
    few = table.prepare(validation=0, min_category_count=4)
    assert few.preprocessing.cardinalities == [4]
    assert few.train.categories[-3:, 0].tolist() == [0, 0, 0]


def test_classes(write):
    labels = ["b", "a", "c", "a"] * 10
    prepared = data.csv(
        write("x,y\n" + "".join(f"{i},{c}\n" for i, c in enumerate(labels))), target="y"
    ).prepare(validation=0.25)
    fitted = prepared.preprocessing
    assert prepared.task == "multiclass" and fitted.class_names == ["a", "b", "c"]
    assert fitted.n_outputs == 3
    for part in (prepared.train, prepared.validation):
        assert part.target.dtype == np.int64 and part.target.shape == (len(part),)
        assert fitted.decode(part.target).tolist() == [labels[i] for i in part.rows]
        assert fitted.decode(np.eye(3)[part.target]).tolist() == [labels[i] for i in part.rows]
    for bad in (np.zeros((2, 4)), np.zeros(3), np.array([3])):
        with pytest.raises(DataError, match="decode"):
            fitted.decode(bad)


def test_unknown_class_in_a_later_file(write):
    path = write("x,y\n" + "1,a\n2,b\n" * 5)
    prepared = data.csv(path, target="y").prepare()
    new = write("x,y\n1,a\n2,q\n", "new.csv")
    with pytest.raises(DataError, match=r"new\.csv:3 column 'y': the model has no class 'q'"):
        prepared.transform(new)


def test_integer_classes_keep_their_names(write):
    prepared = data.csv(write("x,y\n" + "0.5,1\n1.5,2\n2.5,3\n" * 20), target="y").prepare()
    assert prepared.preprocessing.class_names == ["1", "2", "3"]
    assert set(prepared.train.target) == {0, 1, 2}


def test_rows_without_target_are_reported(write):
    path = write("x,y\n1,1.5\n2,\n3,2.5\n4,NA\n5,4.5\n")
    prepared = data.csv(path, target="y").prepare(validation=0.4)
    account = prepared.accounting
    assert (account.train, account.validation, account.without_target) == (2, 1, 2)
    assert account.complete and "2 without target" in str(account)
    assert any("data.csv:3" in note and "data.csv:5" in note for note in prepared.notes)


def test_extreme_and_constant_columns_stay_finite(write):
    rows = ["1e308,5,0.1", "-1e308,5,0.1", "1e-308,5,0.1", "0,5,0.1"]
    prepared = data.csv(
        write("a,b,c,y\n" + "".join(f"{row},{i}.5\n" for i, row in enumerate(rows))), target="y"
    ).prepare(validation=0)
    assert np.isfinite(prepared.train.features).all()
    assert (column(prepared.train, prepared, "b") == 0).all()
    assert (column(prepared.train, prepared, "c") == 0).all()
    assert (
        column(prepared.train, prepared, "a")[0] > 1 > -1 > column(prepared.train, prepared, "a")[1]
    )


def test_what_cannot_be_prepared(write):
    with pytest.raises(DataError, match="no target"):
        data.csv(write("x,y\n1,2\n3,4\n")).prepare()
    with pytest.raises(DataError, match="no column besides the target 'y'"):
        data.csv(write("y\n1\n2\n3\n"), target="y").prepare()
    with pytest.raises(DataError, match=r"validation=1\.5"):
        data.csv(write("x,y\n1,2\n3,4\n"), target="y").prepare(validation=1.5)
