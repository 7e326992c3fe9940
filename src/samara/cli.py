"""The `samara` command: fit, predict, summary and doctor.

Every user's mistake ends in one red line and exit code 2; a fault of our own in exit code 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from samara.errors import SamaraError

__all__ = ["app", "main"]

app = typer.Typer(
    name="samara",
    help="Train on a table, predict with the result, and see what the machine offers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import samara

        print(f"samara {samara.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


File = Annotated[str, typer.Argument(help="A CSV file, a .csv.gz or a glob of files.")]
Target = Annotated[str, typer.Option("--target", "-t", help="The column to predict.")]
Epochs = Annotated[int, typer.Option("--epochs", "-e", help="Passes over the training rows.")]
BatchSize = Annotated[int, typer.Option("--batch-size", "-b", help="Rows per step.")]
Lr = Annotated[float | None, typer.Option("--lr", help="Learning rate; AdamW's default if unset.")]
Seed = Annotated[int, typer.Option("--seed", help="Decides split, order and initial weights.")]
Validation = Annotated[float, typer.Option("--validation", help="Share of rows held out, 0 to 1.")]
Hidden = Annotated[str, typer.Option("--hidden", help="Widths of the hidden layers, as 64,64.")]
Dropout = Annotated[float, typer.Option("--dropout", help="Share of hidden values dropped.")]
Patience = Annotated[
    int,
    typer.Option("--early-stopping", help="Stop after this many epochs without gain; 0 = never."),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--column", help="Set a column's kind, as zip=category. May be repeated."),
]
Task = Annotated[
    str | None, typer.Option("--task", help="regression, binary or multiclass; inferred if unset.")
]
BadRows = Annotated[
    str, typer.Option("--on-bad-rows", help="error, skip (reported) or fill (as missing values).")
]
Delimiter = Annotated[str | None, typer.Option("--delimiter", help="Found by itself if unset.")]
Output = Annotated[
    str | None, typer.Option("--output", "-o", help="Model directory; runs/NAME-N if unset.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only where the model lies.")]


def fit(
    file: File,
    target: Target,
    epochs: Epochs = 40,
    batch_size: BatchSize = 32,
    lr: Lr = None,
    seed: Seed = 0,
    validation: Validation = 0.2,
    hidden: Hidden = "64,64",
    dropout: Dropout = 0.1,
    early_stopping: Patience = 10,
    column: Kinds = None,
    task: Task = None,
    on_bad_rows: BadRows = "error",
    delimiter: Delimiter = None,
    output: Output = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train on a table and write a model directory."""
    from samara.commands.fit import fit_file, parse_kinds

    fit_file(
        file,
        target,
        output=output,
        reading={
            "schema": parse_kinds(column or []) or None,
            "task": task,
            "on_bad_rows": on_bad_rows,
            "delimiter": delimiter,
        },
        hidden=hidden,
        quiet=quiet,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        validation=validation,
        dropout=dropout,
        early_stopping=early_stopping or None,
        device=device,
    )


app.command("fit")(fit)
app.command("train", help="The same as fit.")(fit)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="The model directory that fit wrote.")],
    file: Annotated[str, typer.Argument(help="A CSV file; the target may be absent.")],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="CSV file to write; standard output if unset."),
    ] = None,
) -> None:
    """Predict every row of a file, in the file's order."""
    from samara.commands.predict import predict_file

    predict_file(model, file, output)


@app.command()
def summary(
    model: Annotated[str, typer.Argument(help="The model directory that fit wrote.")],
) -> None:
    """Show a model's task, columns, layers and training."""
    from samara.train import load_model

    print(load_model(model).summary())


@app.command()
def doctor() -> None:
    """Show versions, CPU, threads and devices, and multiply two matrices."""
    from samara.commands.doctor import examine

    raise typer.Exit(examine())


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 the user's mistake, 1 our fault, 130 interrupted."""
    sys.exit(run(sys.argv[1:] if argv is None else list(argv)))


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        result: Any = app(args=list(argv), prog_name="samara", standalone_mode=False)
        sys.stdout.flush()
        code = result if isinstance(result, int) else 0
        # Typer turns an interrupt into this code and says nothing.
        return _fail("interrupted", 130) if code == 130 else code
    except SamaraError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _other(error)


def _other(error: Exception) -> int:
    """Usage errors speak for themselves; whatever else arrives here is our fault."""
    # Typer's usage errors come from its own copy of click or from the package, so they are told
    # by what they offer.
    explain = getattr(error, "format_message", None)
    if callable(explain):
        context = getattr(error, "ctx", None)
        path = getattr(context, "command_path", "samara")
        message = explain()
        stop = "" if message.endswith((".", "?", "!")) else "."
        return _fail(f"{message}{stop} See: {path} --help", 2) if message else 0
    if type(error).__name__ == "Abort":
        return _fail("interrupted", 130)
    if os.environ.get("SAMARA_TRACEBACK"):
        raise error
    return _fail(
        f"internal error: {type(error).__name__}: {error}. "
        "Set SAMARA_TRACEBACK=1 to see where it arose.",
        1,
    )


def _fail(message: str, code: int) -> int:
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    console.print(f"error: {message}", style="bold red", markup=False, soft_wrap=True)
    return code


if __name__ == "__main__":
    main()
