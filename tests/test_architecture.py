"""The shape of the source: which part may use which, the size of files, what a record must have."""

from __future__ import annotations

import ast
import doctest
import operator
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import samara
from samara import _core
from samara.ops import RECORDS, Record

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "samara"

# Which part of the package may import which; every part may import itself.
LAYERS: dict[str, set[str]] = {
    "leaf": set(),
    "ops": {"leaf"},
    "autograd": {"leaf", "ops"},
    "samara": {"leaf", "ops", "autograd"},
    "optim": {"leaf", "ops", "autograd", "samara"},
    "nn": {"leaf", "ops", "autograd", "samara", "optim"},  # nn.utils: PyTorch's place of clipping
    "testing": {"leaf", "ops", "autograd", "samara"},
    "utils": {"leaf", "ops", "autograd"},
    "data": {"leaf"},
    "train": {"leaf", "ops", "autograd", "samara", "nn", "optim", "data"},
    "sklearn": {"leaf", "ops", "autograd", "samara", "nn", "optim", "data", "train"},
    "cli": {"leaf", "ops", "autograd", "samara", "nn", "optim", "data", "train"},
}

# Modules that are not a folder of their own; the package's own __init__ is the part "samara", the
# namespace of functions, tensors and modes.
PART_OF = {
    "_core": "leaf",
    "backends": "leaf",
    "cuda": "leaf",
    "device": "leaf",
    "dtypes": "leaf",
    "errors": "leaf",
    "jit": "leaf",
    "lapack": "leaf",
    "lookup": "leaf",
    "printing": "leaf",
    "random": "leaf",
    "_einops": "samara",
    "inspection": "ops",
    "tensor": "ops",
    "fft": "ops",
    "linalg": "ops",
    "special": "ops",
    "__main__": "cli",
    "commands": "cli",
}

# Imports against the direction, and why.
EXCEPTIONS = {
    ("optim/swa_utils.py", "samara.nn.utils.averaged"): "PyTorch keeps its AveragedModel there",
    ("tensor.py", "samara"): "a tensor tells its namespace, and makes others like itself from it",
}

# Which folder of csrc may include which.
CPP_LAYERS: dict[str, set[str]] = {
    "core": {"core"},
    "cpu": {"core", "cpu"},
    "ops": {"core", "cpu", "ops"},
    "bind": {"core", "cpu", "ops", "bind"},
}

# Libraries, and the only files that see them.
CPP_LIBRARIES = {
    r"ducc0/": r"ops/fft_simd\.cpp",
    r"x86-simd-sort/": r"ops/sort_simd\.cpp",
    r"oneapi/|dnnl|omp\.h": r"cpu/onednn\w*\.(cpp|h)",
    r"Python\.h|structmember\.h|nanobind/": r"bind/",
}

# Native operations without a record of their own name, and why.
INTERNAL = {
    "adaptive_avg_pool1d": "a part of samara.adaptive_avg_pool1d, which fills in sizes",
    "adaptive_avg_pool2d": "a part of samara.adaptive_avg_pool2d, which fills in sizes",
    "adaptive_avg_pool3d": "a part of samara.adaptive_avg_pool3d, which fills in sizes",
    "adaptive_max_pool1d": "a part of samara.adaptive_max_pool1d, which fills in sizes",
    "adaptive_max_pool1d_with_indices": "the same with return_indices=True",
    "adaptive_max_pool2d": "a part of samara.adaptive_max_pool2d, which fills in sizes",
    "adaptive_max_pool2d_with_indices": "the same with return_indices=True",
    "adaptive_max_pool3d": "a part of samara.adaptive_max_pool3d, which fills in sizes",
    "adaptive_max_pool3d_with_indices": "the same with return_indices=True",
    "addcdiv": "a part of samara.addcdiv, for floating-point tensors of one dtype",
    "addcmul": "a part of samara.addcmul, likewise",
    "arange": "a part of samara.arange, which reads its numbers first",
    "as_strided_adjoint": "gradient of as_strided",
    "attention": "a part of samara.scaled_dot_product_attention, which draws the key first",
    "avg_pool_adjoint": "gradient of average poolings",
    "avg_pool_window": "gradient of avg_pool_adjoint",
    "basic_index": "x[key]",
    "basic_index_adjoint": "gradient of x[key]",
    "channel_norm": "a part of samara.batch_norm, instance_norm and group_norm",
    "channel_norm_given": "a part of samara.batch_norm and instance_norm",
    "checkpoint": "a part of samara.checkpoint, which runs the function",
    "convolution": "conv1d to conv3d, as the gradients of each other's gradients",
    "convolution_fused": "convolution, bias, residual and relu of a model's inference",
    "convolution_input_gradient": "gradient of convolution; the transposed convolutions",
    "convolution_weight_gradient": "gradient of convolution",
    "cumulative_extremum": "the places of samara.cummax and cummin",
    "dropout": "a part of samara.dropout, which draws the key first",
    "empty": "a part of samara.empty, which reads sizes one by one",
    "eye": "a part of samara.eye",
    "fractional_max_pool2d": "a part of samara.fractional_max_pool2d, which draws samples",
    "fractional_max_pool3d": "a part of samara.fractional_max_pool3d, which draws samples",
    "fft_complex": "a part of the transforms of samara.fft",
    "fft_from_real": "a part of the transforms of samara.fft",
    "fft_to_real": "a part of the transforms of samara.fft",
    "frac": "a part of samara.frac, which takes floats alone",
    "full": "a part of samara.full, zeros and ones",
    "gammainc": "a part of samara.gammainc, which has no gradient of its first argument",
    "gammaincc": "a part of samara.gammaincc, likewise",
    "lerp": "a part of samara.lerp, for floating-point tensors of one dtype",
    "linalg.cholesky": "a part of samara.linalg.cholesky and cholesky_ex",
    "linalg.det": "a part of samara.linalg.det",
    "linalg.eig": "a part of samara.linalg.eig",
    "linalg.eigh": "a part of samara.linalg.eigh",
    "linalg.eigvals": "a part of samara.linalg.eigvals",
    "linalg.eigvalsh": "a part of samara.linalg.eigvalsh",
    "linalg.geqrf": "a part of samara.geqrf",
    "linalg.householder_product": "a part of samara.linalg.householder_product",
    "linalg.inv": "a part of samara.linalg.inv and inv_ex",
    "linalg.ldl_factor": "a part of samara.linalg.ldl_factor",
    "linalg.ldl_solve": "a part of samara.linalg.ldl_solve",
    "linalg.lstsq": "a part of samara.linalg.lstsq",
    "linalg.lu_factor": "a part of samara.linalg.lu_factor and lu",
    "linalg.lu_permutation": "a part of samara.lu_unpack",
    "linalg.pinv": "a part of samara.linalg.pinv",
    "linalg.qr": "a part of samara.linalg.qr",
    "linalg.slogdet": "a part of samara.linalg.slogdet",
    "linalg.solve": "a part of samara.linalg.solve",
    "linalg.solve_triangular": "a part of samara.linalg.solve_triangular",
    "linalg.svd": "a part of samara.linalg.svd",
    "linalg.svdvals": "a part of samara.linalg.svdvals",
    "linspace": "a part of samara.linspace",
    "logit": "a part of samara.logit, which cuts x to a range first",
    "max_pool1d": "a part of samara.max_pool1d, which chooses by return_indices",
    "max_pool2d": "a part of samara.max_pool2d, which chooses by return_indices",
    "max_pool3d": "a part of samara.max_pool3d, which chooses by return_indices",
    "max_pool_gather": "gradient of max_pool_scatter",
    "max_pool_scatter": "gradient of max poolings",
    "max_unpool1d": "a part of samara.max_unpool1d, which derives the size",
    "max_unpool2d": "a part of samara.max_unpool2d, which derives the size",
    "max_unpool3d": "a part of samara.max_unpool3d, which derives the size",
    "max_unpool_adjoint": "gradient of max unpoolings",
    "normal": "a part of samara.normal and randn",
    "pad_adjoint": "gradient of pad",
    "polygamma": "a part of samara.polygamma, whose first argument is a number",
    "randint": "a part of samara.randint",
    "random_bits": "a part of samara.random_bits",
    "randperm": "a part of samara.randperm",
    "recurrent_cell": "a part of samara.rnn_tanh_cell, rnn_relu_cell, lstm_cell and gru_cell",
    "recurrent_layer": "a part of samara.rnn_tanh, rnn_relu, lstm and gru: one of their layers",
    "reorder": "an image brought into another memory order, seen by observers",
    "repeat_each": "a part of samara.repeat_interleave, for one number of repetitions",
    "resample": "a part of samara.interpolate, which reads sizes and factors first",
    "resample_adjoint": "gradient of samara.interpolate",
    "scatter_merge": "a part of samara.scatter_reduce",
    "set_view": "what an in-place write through a view puts on the tape",
    "split_with_sizes": "a part of samara.split and chunk",
    "transfer": "x.to(device)",
    "uniform": "a part of samara.rand and uniform",
    "view": "x.view(shape)",
    "windows": "x.unfold(dimension, size, step)",
    "windows_adjoint": "gradient of x.unfold(dimension, size, step)",
    "zero_view": "gradient of a view, without memory",
    "zeros_like": "start of a backward pass",
    "zeta": "a part of samara.zeta, which has no gradient of its first argument",
}

MOST_LINES = 800


def python_files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def module_part(module: str) -> str:
    """The part that a module of the package belongs to: "samara.nn.linear" -> "nn"."""
    names = module.split(".")
    if len(names) == 1:
        return "samara"
    return PART_OF.get(names[1], names[1])


def module_exists(module: str) -> bool:
    path = SOURCE.parent / Path(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").exists() or module == "samara._core"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of each import of this package, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [
                full if module_exists(full := f"{node.module}.{alias.name}") else node.module
                for alias in node.names
            ]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "samara":
                yield node.lineno, name


def test_imports_point_one_way() -> None:
    wrong = []
    for path in python_files():
        part = module_part(".".join(path.relative_to(SOURCE.parent).with_suffix("").parts))
        if path == SOURCE / "__init__.py":
            part = "samara"
        for line, module in imports(path):
            target = module_part(module)
            known = (path.relative_to(SOURCE).as_posix(), module) in EXCEPTIONS
            if target != part and target not in LAYERS[part] and not known:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {part} imports {module}")
    assert wrong == []


def test_layers_have_no_cycle() -> None:
    for layers in (LAYERS, CPP_LAYERS):
        left = {name: uses - {name} for name, uses in layers.items()}
        while left:
            free = {name for name, uses in left.items() if not uses & left.keys()}
            assert free, f"a cycle among {sorted(left)}"
            left = {name: uses for name, uses in left.items() if name not in free}


def test_includes_point_one_way() -> None:
    wrong = []
    for path in sorted((ROOT / "csrc").rglob("*")):
        if path.suffix not in (".cpp", ".h"):
            continue
        place = path.relative_to(ROOT / "csrc").as_posix()
        folder = place.split("/")[0]
        for name in re.findall(r'#include "([^"]+)"', path.read_text()):
            if name.split("/")[0] not in CPP_LAYERS[folder]:
                wrong.append(f"{place} includes {name}")
        for name in re.findall(r"#include <([^>]+)>", path.read_text()):
            for library, allowed in CPP_LIBRARIES.items():
                if re.match(library, name) and not re.match(allowed, place):
                    wrong.append(f"{place} includes {name}")
    assert wrong == []


def test_nothing_heavy_is_imported_with_the_package() -> None:
    heavy = ["pandas", "duckdb", "matplotlib", "rich", "typer", "sklearn", "torch", "scipy"]
    heavy += ["samara.train", "samara.data", "samara.testing", "doctest", "multiprocessing"]
    code = f"import sys, samara; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_files_stay_readable() -> None:
    folders = ("src", "csrc", "tests", "benchmarks", "examples", "tools", "docs", "cmake")
    long = {}
    for folder in folders:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".cpp", ".h", ".cmake"):
                lines = len(path.read_text().splitlines())
                if lines > MOST_LINES:
                    long[str(path.relative_to(ROOT))] = lines
    assert long == {}


# --- records -------------------------------------------------------------------------------------

each_record = pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS.keys())


def test_every_kernel_has_a_record_or_a_reason() -> None:
    recorded = {record.native for record in RECORDS.values() if record.native}
    natives = set(_core.native_names())
    assert natives - recorded == INTERNAL.keys()
    assert recorded <= natives


def test_internal_kernels_are_used() -> None:
    """Each is named somewhere beside its registration."""
    files = [*(ROOT / "csrc").rglob("*.cpp"), *SOURCE.rglob("*.py")]
    text = "\n".join(path.read_text() for path in files)
    unused = [name for name in INTERNAL if len(re.findall(f"[\"']{name}[\"']", text)) < 2]
    assert unused == []


@each_record
def test_a_record_is_complete(record: Record) -> None:
    assert record.ref is not None
    assert list(record.samples(np.random.default_rng(0)))
    assert list(record.errors())
    assert record.dtypes and len(set(record.dtypes)) == len(record.dtypes)
    assert record.ulp <= 64
    assert record.signature.startswith(f"{record.name}(")


@each_record
def test_examples_of_a_record_run(record: Record) -> None:
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    names = {"samara": samara, "np": np}
    test = doctest.DocTestParser().get_doctest(record.doc, names, record.name, None, 0)
    assert test.examples
    said: list[str] = []
    doctest.DocTestRunner(optionflags=flags).run(test, out=said.append)
    assert not said, "".join(said)


@each_record
def test_samples_reach_the_edges(record: Record) -> None:
    """Some sample has an empty or a single-element array, unless the operation takes none."""
    arrays = [
        array
        for sample in record.samples(np.random.default_rng(0))
        for value in (*sample.args, *sample.kwargs.values())
        for array in (value if isinstance(value, (list, tuple)) else [value])
        if isinstance(array, np.ndarray)
    ]
    if arrays and not record.pointwise:
        assert any(array.size <= 1 for array in arrays)


# --- public names --------------------------------------------------------------------------------


def test_public_names_come_from_records() -> None:
    for record in RECORDS.values():
        for name in (record.name, *record.aliases):
            assert operator.attrgetter(name)(samara) is record.function
        for name in record.methods:
            assert hasattr(samara.Tensor, name)


def test_public_names_exist_and_are_documented() -> None:
    missing = []
    for name in dir(samara):
        if name.startswith("_"):
            continue
        found = getattr(samara, name)
        own = getattr(found, "__doc__", None)
        described = not isinstance(own, str) and own is not None  # a class of documented objects
        if callable(found) and not described and not (own or "").strip():
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_exports_exist(path: Path) -> None:
    """Every name in a module's __all__ is defined there."""
    tree = ast.parse(path.read_text())
    exported: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
        ):
            exported = [
                item.value
                for item in ast.walk(node.value)
                if isinstance(item, ast.Constant) and isinstance(item.value, str)
            ]
    if exported and path.stem != "__main__":
        name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
        module = __import__(name.removesuffix(".__init__"), fromlist=["*"])
        assert [one for one in exported if not hasattr(module, one)] == []
