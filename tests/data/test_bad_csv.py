"""Every damaged file is refused with its place named; no row disappears without a report."""

import gzip
import os
from pathlib import Path

import pytest

from samara import data
from samara.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(content: bytes | str, name: str = "data.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refusal(path, target=None, **options) -> str:
    with pytest.raises(DataError) as caught:
        data.csv(path, target=target, **options)
    text = str(caught.value)
    assert "Fix: " in text or "did you mean" in text
    return text


REFUSED = {
    "empty": (b"", None, ["data.csv", "empty", "0 bytes"]),
    "blank lines only": (b"\n\n", None, ["data.csv", "empty"]),
    "header only": (b"age,height\n", None, ["data.csv:1", "no rows"]),
    "short row": (b"a,b\n1,2\n3\n4,5\n", None, ["data.csv:3 column 'b'", "1 field", "2", "'3'"]),
    "long row": (b"a,b\n1,2\n3,4\n5,6,7\n", None, ["data.csv:4 column 'b'", "3 fields", "'7'"]),
    "unterminated quote": (
        b'a,b\n1,2\n3,"4\n5,6\n',
        None,
        ["data.csv:3 column 'b'", "quote", "never closes"],
    ),
    "text after a quote": (b'a,b\n1,"2"x\n3,4\n', None, ["data.csv:2 column 'b'", "quote"]),
    "stray string": (
        b"age,b\n1,2\n3,4\noops,5\n",
        None,
        ["data.csv:4 column 'age'", "'oops' is not a number", "(2 of 3 values are)"],
    ),
    "duplicate names": (b"a,b,a\n1,2,3\n", None, ["data.csv:1 column 'a'", "positions 1 and 3"]),
    "padded duplicate": (b"a, a\n1,2\n", None, ["data.csv:1 column 'a'", "blanks"]),
    "target absent": (b"age,weight\n1,2\n3,4\n", "wieght", ["'wieght'", "did you mean 'weight'?"]),
    "target missing": (b"a,b\n1,\n2,NA\n", "b", ["data.csv:2 column 'b'", "target", "all 2 rows"]),
    "latin-1": (
        "a,b\n1,x\n2,Zürich\n".encode("latin-1"),
        None,
        ["data.csv:3 column 'b'", "byte 11", "0xfc", "Zürich", "encoding='latin-1'"],
    ),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), None, ["data.csv:1", "byte 0", "encoding='utf-16'"]),
    "utf-16 without a mark": (
        "a,b\n1,2\n3,4\n".encode("utf-16-le"),
        None,
        ["data.csv:1", "byte 1", "encoding='utf-16-le'"],
    ),
    "NUL": (b"a,b\n1,2\n3,4\x00\n", None, ["data.csv:3 column 'b'", "byte 11", "NUL"]),
    "1e400": (b"a,b\n1,2\n3,1e400\n5,6\n", None, ["data.csv:3 column 'b'", "'1e400'", "float64"]),
    "infinity": (b"a,b\n1,2\n3,inf\n5,6\n", None, ["data.csv:3 column 'b'", "'inf'", "finite"]),
    "decimal comma": (
        b"a;b\n1,5;2\n2,75;3\n",
        None,
        ["data.csv:2 column 'a'", "'1,5'", "decimal=','"],
    ),
    "thousands": (
        b'a,b\n"1,234",2\n"5,678",3\n',
        None,
        ["data.csv:2 column 'a'", "'1,234'", "thousands=','"],
    ),
    "one row": (b"a,b\n1,2\n", "b", ["data.csv:2 column 'b'", "only row"]),
    "all missing": (b"a,b\n1,\n2,?\n", None, ["data.csv:2 column 'b'", "all 2 values are missing"]),
    "ambiguous date": (
        b"d,b\n01/02/2020,1\n11/10/2020,2\n",
        None,
        ["data.csv:2 column 'd'", "'01/02/2020'", "date:%d/%m/%Y", "date:%m/%d/%Y"],
    ),
    "no such date": (
        b"d,b\n2020-01-30,1\n2020-02-01,1\n2020-02-30,2\n",
        None,
        ["data.csv:4 column 'd'", "'2020-02-30' is not a date"],
    ),
    "constant class": (b"a,b\n1,x\n2,x\n", "b", ["data.csv:2 column 'b'", "one class", "'x'"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, write):
    content, target, parts = REFUSED[case]
    text = refusal(write(content), target)
    for part in parts:
        assert part in text


@pytest.mark.parametrize("case", REFUSED)
def test_refused_through_gzip(case, write):
    content, target, parts = REFUSED[case]
    if not content:
        return  # the sizes differ; an empty gzip file is tested below
    path = write(gzip.compress(content))
    text = refusal(path, target)
    for part in parts:
        assert part in text


def test_stray_string_after_200_000_numbers(write):
    text = refusal(write("age,b\n" + "1,2\n" * 200_000 + "oops,4\n"))
    assert "data.csv:200002 column 'age': 'oops' is not a number" in text
    assert "(200,000 of 200,001 values are)" in text


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_physical_line_after_quoted_newlines(write, end):
    rows = "".join(f'1,"first{end}second{end}third"{end}' for _ in range(50))
    text = refusal(write(f"age,note{end}{rows}oops,x{end}2,y{end}"))
    assert f"data.csv:{1 + 50 * 3 + 1} column 'age': 'oops'" in text


def test_ragged_row_after_quoted_newlines(write):
    text = refusal(write('a,b\n1,"x\ny"\n\n2,3\n4\n'))
    assert "data.csv:6 column 'b'" in text


def test_collects_up_to_ten(write):
    text = refusal(write("a\n" + "1\n" * 30 + "".join(f"bad{i}\n" for i in range(12))))
    assert "12 problems, the first 10" in text
    assert [f"data.csv:{32 + i} column 'a': 'bad{i}'" in text for i in range(12)] == (
        [True] * 10 + [False] * 2
    )
    ragged = refusal(write("a,b\n1,2\n" + "3\n" * 12))
    assert "12 problems" in ragged and "data.csv:12 " in ragged and "data.csv:13 " not in ragged


def test_problems_of_several_columns_are_in_line_order(write):
    text = refusal(write("a,b\n1,1\n2,x\ny,2\n3,3\n4,4\n"))
    assert text.index("data.csv:3 column 'b': 'x'") < text.index("data.csv:4 column 'a': 'y'")


def test_bytes_are_counted_from_the_start_of_the_file(write):
    content = b"\xef\xbb\xbfa,b\n1,2\n3,\xff\n"
    assert f"byte {content.index(0xFF, 3)}" in refusal(write(content))


def test_bad_byte_far_into_the_file(write):
    content = b"a,b\n" + b"1234567,2\n" * 1_000_000 + b"3,\xff\n"
    text = refusal(write(content))
    assert "data.csv:1000002 column 'b'" in text and f"byte {content.index(0xFF)} " in text


def test_wrong_declared_encoding(write):
    content = "a,b\n1,Zürich\n2,x\n".encode("latin-1")
    assert "data.csv:2" in refusal(write(content), encoding="cp932")
    assert "'klingon'" in refusal(write(content), encoding="klingon")


def test_paths(tmp_path, write):
    path = write("a,b\n1,2\n", name="visits.csv")
    text = refusal(tmp_path / "visit.csv")
    assert "no such file" in text and "did you mean 'visits.csv'?" in text
    assert "directory" in refusal(tmp_path)
    assert "no file matches" in refusal(tmp_path / "part-*.csv")
    assert "does not exist" in refusal(tmp_path / "nowhere" / "x.csv")
    assert "empty list" in refusal([])
    assert "not a regular file" in refusal(os.devnull)
    assert data.csv(path).names == ["a", "b"]


def test_unreadable_file(write):
    path = write("a,b\n1,2\n")
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser may read it all the same
        path = Path("/proc/self/mem")
        if not path.exists():
            pytest.skip("this user can read every file")
    text = refusal(path)
    assert str(path) in text and "cannot be read" in text


def test_damaged_gzip(write):
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    assert "gzip" in refusal(write(whole[:-12]))
    assert "gzip" in refusal(write(whole[:20] + b"\xff" * 20 + whole[40:]))
    assert "empty" in refusal(write(gzip.compress(b"")))


def test_files_of_a_glob_must_agree(tmp_path, write):
    write("a,b\n1,2\n", name="part-1.csv")
    write("a,c\n3,4\n", name="part-2.csv")
    text = refusal(tmp_path / "part-*.csv")
    assert "part-2.csv:1 column 'b'" in text and "part-2.csv:1 column 'c'" in text


def test_line_in_the_second_file_of_a_glob(tmp_path, write):
    write("a,b\n1,2\n3,4\n5,6\n", name="part-1.csv")
    write("b,a\n1,2\n1,oops\n", name="part-2.csv")
    text = refusal(tmp_path / "part-*.csv")
    assert "part-2.csv:3 column 'a': 'oops'" in text


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"on_bad_rows": "drop"}, ["on_bad_rows='drop'", "'skip'"]),
        ({"delimiter": ";;"}, ["delimiter=';;'", "one ASCII character"]),
        ({"decimal": "x"}, ["decimal='x'"]),
        ({"thousands": "."}, ["thousands='.'", "decimal mark"]),
        ({"schema": {"agee": "number"}}, ["column 'agee'", "did you mean 'age'?"]),
        ({"schema": {"age": "integer"}}, ["column 'age'", "'integer'", "number, boolean"]),
        ({"task": "ranking"}, ["'ranking'", "regression"]),
    ],
)
def test_options(write, options, parts):
    path = write("age,b\n1,2\n3,4\n")
    text = refusal(path, target="b", **options)
    for part in parts:
        assert part in text


BAD_ROWS = "a,b,c\n1,2,x\n3\n4,oops,y\n5,6,z\n7,8,9,10\n11,12,w\n"


def test_skip_reports_every_row(write):
    table = data.csv(write(BAD_ROWS), on_bad_rows="skip")
    assert table["a"].tolist() == [1, 5, 11]
    assert [(r.line, r.dropped) for r in table.reports] == [(3, True), (6, True), (4, True)]
    assert (table.rows_in_file, table.reported, len(table)) == (6, 3, 3)
    assert "3 of 6 rows left out" in str(table.schema)
    assert [table.where(i).rsplit(":")[-1] for i in range(3)] == ["2", "5", "7"]


def test_fill_keeps_what_can_be_kept(write):
    table = data.csv(write(BAD_ROWS), on_bad_rows="fill")
    assert table["a"].tolist() == [1, 3, 4, 5, 11]
    assert [str(v) for v in table["b"]] == ["2.0", "nan", "nan", "6.0", "12.0"]
    assert table["c"].tolist() == ["x", None, "y", "z", "w"]
    assert (table.rows_in_file, table.reported, len(table)) == (6, 1, 5)
    assert [(r.line, r.dropped) for r in table.reports] == [(3, False), (6, True), (4, False)]


def test_every_row_is_accounted_for(write):
    lines = [f"{i},{i % 7}" for i in range(100)]
    lines[10], lines[20], lines[30] = "10,", "20,3,4", "oops,1"
    path = write("x,y\n" + "\n".join(lines) + "\n")
    prepared = data.csv(path, target="y", on_bad_rows="skip", task="regression").prepare()
    account = prepared.accounting
    assert account.rows_in_file == 100 and account.complete
    assert (account.left_out, account.without_target) == (2, 1)
    assert len(prepared.train) + len(prepared.validation) + account.reported == 100
    assert any("data.csv:12" in note for note in prepared.notes)


def test_leaving_out_every_row_is_refused(write):
    assert "all 2 rows are left out" in refusal(write("a,b\n1\n2\n"), on_bad_rows="skip")
    options = {"schema": {"b": "number"}, "on_bad_rows": "skip"}
    assert "all 2 rows are left out" in refusal(write("a,b\n1,x\n2,y\n"), **options)
