"""The command line as a user meets it: what it prints, where it writes, how it fails."""

import contextlib
import csv
import json
import os
import pty
import shlex
import subprocess
import sys

import numpy as np
import pytest

import samara
from samara.cli import run
from samara.commands.fit import free_directory, parse_kinds, parse_widths
from samara.errors import ArgumentError

ROWS = 90


@pytest.fixture
def houses(tmp_path, monkeypatch):
    """A working directory with a table of prices; the commands run in it."""
    rng = np.random.default_rng(0)
    area, town = rng.uniform(20, 200, ROWS), rng.integers(0, 3, ROWS)
    lines = ["area,town,sold,price"]
    for i in range(ROWS):
        price = 3 * area[i] + 50 * (town[i] == 0)
        name = ("north", "south", "east")[town[i]]
        cell = "" if i % 11 == 3 else f"{area[i]:.2f}"
        lines.append(f"{cell},{name},2020-{1 + i % 12:02d}-{1 + i % 28:02d},{price:.2f}")
    (tmp_path / "houses.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fit(*extra):
    arguments = ["fit", "houses.csv", "--target", "price", "--epochs", "5", "--lr", "0.01"]
    return run([*arguments, *extra])


def read(text):
    return list(csv.reader(text.splitlines()))


def test_fit_says_all_that_happened(houses, capsys):
    assert fit() == 0
    out = capsys.readouterr().out
    for column in ("area", "town", "sold"):
        assert column in out
    assert "regression" in out
    assert "72 to train on + 18 held out" in out
    assert sum(line.startswith("epoch") for line in out.splitlines()) == 5
    assert "baseline (mean)" in out
    assert "verdict: learning" in out
    assert os.path.join("runs", "houses-1", "model.safetensors") in out
    assert "\x1b" not in out
    assert (houses / "runs" / "houses-1" / "model.json").is_file()


def test_the_command_to_run_next_can_be_pasted(houses, capsys):
    assert fit("--output", "a model") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    command = shlex.split(last.removeprefix("next:").replace("NEW.csv", "houses.csv"))
    assert command[0] == "samara" and run(command[1:]) == 0


def test_a_terminal_of_80_columns_gets_no_broken_lines(houses):
    child, parent = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    options = ["--target", "price", "--epochs", "100", "--early-stopping", "0"]
    command = [sys.executable, "-m", "samara", "fit", "houses.csv", *options]
    with subprocess.Popen(command, stdout=parent, env=environment) as process:
        os.close(parent)
        out = b""
        # The pseudo-terminal of a process that has ended answers with an error on Linux.
        with contextlib.suppress(OSError):
            while part := os.read(child, 65536):
                out += part
    os.close(child)
    assert process.returncode == 0
    lines = [line.split("\x1b[2K")[-1] for line in out.decode().splitlines()]
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert len(epochs) == 100 and max(map(len, epochs)) <= 80
    assert any(line.startswith("area ") and line.endswith("number") for line in lines)


def test_a_second_run_gets_a_directory_of_its_own(houses, capsys):
    assert fit() == fit() == 0
    assert sorted(os.listdir("runs")) == ["houses-1", "houses-2"]


def test_train_is_fit(houses, capsys):
    assert run(["train", "houses.csv", "-t", "price", "-e", "1", "-o", "m"]) == 0
    assert (houses / "m" / "model.json").is_file()


def test_quiet_prints_only_where_the_model_lies(houses, capsys):
    assert fit("--quiet", "--output", "m") == 0
    out = capsys.readouterr().out
    assert [line.split(":")[0] for line in out.splitlines()] == ["model", "run"]


def test_the_same_seed_writes_the_same_weights(houses, capsys):
    assert fit("-o", "a", "--seed", "4") == fit("-o", "b", "--seed", "4") == 0
    assert fit("-o", "c", "--seed", "5") == 0
    weights = {name: (houses / name / "model.safetensors").read_bytes() for name in "abc"}
    assert weights["a"] == weights["b"]
    assert weights["a"] != weights["c"]


def test_predict_reads_reordered_columns_and_no_target(houses, capsys):
    assert fit("-o", "m", "-q") == 0
    capsys.readouterr()
    (houses / "new.csv").write_text(
        "town,sold,area\nnorth,2020-05-05,100\nmoon,2021-01-01,\n", encoding="utf-8"
    )
    assert run(["predict", "m", "new.csv"]) == 0
    header, *rows = read(capsys.readouterr().out)
    assert header == ["price_predicted"]
    expected = samara.load("m").predict("new.csv")
    assert [float(row[0]) for row in rows] == pytest.approx(expected.tolist(), rel=1e-6)


def test_predict_writes_a_file_with_one_line_per_row(houses, capsys):
    assert fit("-o", "m", "-q") == 0
    assert run(["predict", "m", "houses.csv", "--output", "out.csv"]) == 0
    rows = read((houses / "out.csv").read_text(encoding="utf-8"))
    assert len(rows) == ROWS + 1
    assert f"{ROWS} predictions: out.csv" in capsys.readouterr().out


def test_predict_gives_classes_and_their_probabilities(houses, capsys):
    assert run(["fit", "houses.csv", "-t", "town", "-e", "2", "-o", "m", "-q"]) == 0
    capsys.readouterr()
    assert run(["predict", "m", "houses.csv"]) == 0
    header, *rows = read(capsys.readouterr().out)
    assert header[0] == "town_predicted"
    names = [name.removeprefix("p(").removesuffix(")") for name in header[1:]]
    assert sorted(names) == ["east", "north", "south"]
    for row in rows:
        chances = [float(value) for value in row[1:]]
        assert sum(chances) == pytest.approx(1, abs=1e-5)
        assert row[0] == names[int(np.argmax(chances))]


def test_summary_shows_the_model(houses, capsys):
    assert fit("-o", "m", "-q") == 0
    capsys.readouterr()
    assert run(["summary", "m"]) == 0
    out = capsys.readouterr().out
    for part in ("regression", "town", "mlp.0.weight", "verdict"):
        assert part in out


def test_doctor_reports_and_passes_its_self_test(capsys):
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    for part in ("samara", "numpy", "threads", "cuda", "matmul", "passed"):
        assert part in out


def test_doctor_says_that_an_unknown_instruction_set_is_ignored(capsys, monkeypatch):
    monkeypatch.setenv("SAMARA_ISA", "v9")
    assert run(["doctor"]) == 0
    assert "SAMARA_ISA=v9 is ignored" in capsys.readouterr().out


def test_doctor_says_that_an_environment_variable_hides_the_gpus(capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert run(["doctor"]) == 0
    assert "CUDA_VISIBLE_DEVICES='' hides every GPU" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["fit", "absent.csv", "-t", "price"], "absent.csv"),
        (["fit", "houses.csv", "-t", "prise"], "price"),
        (["fit", "houses.csv"], "--target"),
        (["fit", "houses.csv", "-t", "price", "--lr", "0"], "lr is 0"),
        (["fit", "houses.csv", "-t", "price", "--epochs", "0"], "epochs is 0"),
        (["fit", "houses.csv", "-t", "price", "--epochs", "many"], "--epochs"),
        (["fit", "houses.csv", "-t", "price", "--hidden", "64;x"], "64;x"),
        (["fit", "houses.csv", "-t", "price", "--column", "town"], "NAME=KIND"),
        (["fit", "houses.csv", "-t", "price", "--device", "cuda"], "cuda"),
        (["fit", "houses.csv", "-t", "price", "--output", "."], "is no Samara model"),
        (["predict", "nowhere", "houses.csv"], "nowhere"),
        (["summary", "."], "model.json"),
        (["explode"], "explode"),
    ],
)
def test_a_mistake_is_one_line_on_stderr_and_exit_code_2(houses, capsys, arguments, named):
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert named in err
    assert err.startswith("error: ")
    assert "Traceback" not in out + err
    assert "\x1b" not in err
    assert len(err.strip().splitlines()) == 1


def test_a_missing_column_is_named_at_predict(houses, capsys):
    assert fit("-o", "m", "-q") == 0
    (houses / "new.csv").write_text("town,sold\nnorth,2020-05-05\n", encoding="utf-8")
    assert run(["predict", "m", "new.csv"]) == 2
    assert "area" in capsys.readouterr().err


def test_a_fault_of_our_own_is_exit_code_1_without_a_traceback(houses, capsys, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("gears")

    monkeypatch.setattr("samara.train.load_model", broken)
    assert run(["summary", "m"]) == 1
    err = capsys.readouterr().err
    assert "internal error: RuntimeError: gears" in err
    assert "SAMARA_TRACEBACK" in err


def test_python_dash_m_samara_is_the_command(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "samara", "summary", "nowhere"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stdout == ""


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"samara {samara.__version__}\n"


def test_an_interrupt_is_one_line_and_writes_no_model(houses, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("samara.train.run.Run._step", interrupted)
    assert fit("-o", "m") == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert not (houses / "m").exists()


def test_help_lists_the_commands(capsys):
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for command in ("fit", "predict", "summary", "doctor"):
        assert command in out


def test_the_manifest_names_what_the_directory_holds(houses, capsys):
    assert fit("-o", "m", "-q") == 0
    manifest = json.loads((houses / "m" / "model.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) <= set(os.listdir("m"))
    assert manifest["task"] == "regression"


def test_option_texts_are_parsed_or_refused():
    assert parse_widths("") == []
    assert parse_widths("32,16") == [32, 16]
    assert parse_kinds(["a=b=number"]) == {"a=b": "number"}
    for bad in ("a", "1.5", "-3", "0"):
        with pytest.raises(ArgumentError, match="--hidden"):
            parse_widths(bad)


def test_a_run_directory_is_named_after_the_file(tmp_path):
    root = str(tmp_path)
    assert free_directory("/data/my table.csv.gz", root) == os.path.join(root, "my_table-1")
    os.mkdir(os.path.join(root, "my_table-1"))
    assert free_directory("/data/my table.csv.gz", root) == os.path.join(root, "my_table-2")
