"""Published weights: safetensors files read into a model by name, and written from one."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from os import PathLike, fspath
from typing import Any

import ml_dtypes
import numpy as np

import samara
from samara.errors import ArgumentError, DataError
from samara.nn import _state
from samara.nn.module import LoadReport, Module
from samara.tensor import Tensor

__all__ = ["load_safetensors", "load_weights", "save_weights"]

Rename = Mapping[str, str | None] | Callable[[str], str | None]

_DTYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "U16": np.uint16,
    "U32": np.uint32,
    "U64": np.uint64,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F32": np.float32,
    "F64": np.float64,
    "C64": np.complex64,
}
_INDEX = ".index.json"


def load_weights(
    model: Module,
    path: str | PathLike[str],
    *,
    strict: bool = True,
    rename: Rename | None = None,
) -> LoadReport:
    """Copy the tensors of a safetensors file into a model by name.

    `path` is a file, or the `.safetensors.index.json` of a model kept in several. `rename` maps the
    file's names to the model's before they are matched: a function, or a mapping of names and
    dotted prefixes; None leaves a tensor out. Values are converted to the model's dtype. A tied
    parameter needs one of its names only.

    Raises ArgumentError that lists every missing, unexpected and misshapen tensor at once, with
    shapes and the closest name; with strict=False missing and unexpected names are returned
    instead. Raises DataError for a damaged file. Nothing is changed when an error is raised.

    >>> import os, tempfile
    >>> from samara import nn
    >>> path = os.path.join(tempfile.mkdtemp(), "layer.safetensors")
    >>> save_weights(nn.Linear(3, 2), path)
    >>> load_weights(nn.Linear(3, 2), path)
    LoadReport(missing_keys=[], unexpected_keys=[])
    """
    if not isinstance(model, Module):
        raise ArgumentError(
            f"load_weights: the model is a {type(model).__name__}. Expected an nn.Module. "
            "Fix: load_weights(model, path)."
        )
    given = _renamed(load_safetensors(path), rename)
    own = _state.tensors(model)
    problems = _Problems(given, own, fspath(path))
    if problems.fatal(strict):
        raise ArgumentError(problems.message())
    used = {name: value for name, value in given.items() if name in own}
    if used:
        model.load_state_dict(used, strict=False)
    return LoadReport(problems.missing, problems.unexpected)


def save_weights(model: Module, path: str | PathLike[str]) -> None:
    """Write all parameters and buffers of a model to a safetensors file, whole or not at all.

    Tensors that are views are written as what they show. Raises ArgumentError for what is no
    module, DataError when the file cannot be written; an earlier file then stays as it was.

    >>> import os, tempfile
    >>> from samara import nn
    >>> path = os.path.join(tempfile.mkdtemp(), "layer.safetensors")
    >>> save_weights(nn.Linear(3, 2), path)
    >>> sorted(load_safetensors(path))
    ['bias', 'weight']
    """
    from safetensors.numpy import save

    if not isinstance(model, Module):
        raise ArgumentError(
            f"save_weights: the model is a {type(model).__name__}. Expected an nn.Module. "
            "Fix: save_weights(model, path)."
        )
    # The NumPy writer stores wrong bytes for strided arrays, so every array is copied contiguous.
    arrays = {
        name: np.array(value.to("cpu").numpy(), order="C", copy=True)
        for name, value in tensors_of("save_weights", model).items()
    }
    _replace_file(fspath(path), save(arrays, metadata={"format": "pt"}))


def tensors_of(place: str, model: Module) -> dict[str, Tensor]:
    """The state of a model; ArgumentError for what a file of tensors cannot hold."""
    state = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ArgumentError(
                f"{place}: {name!r} is {type(value).__name__}. Expected tensors alone. "
                "Fix: keep extra state and what hooks add in a file of its own."
            )
    return state


def load_safetensors(path: str | PathLike[str]) -> dict[str, Tensor]:
    """All tensors of a safetensors file, or of the files that an index names.

    Raises DataError for a file that is missing, damaged or cut short.

    >>> import os, tempfile
    >>> from samara import nn
    >>> path = os.path.join(tempfile.mkdtemp(), "layer.safetensors")
    >>> save_weights(nn.Linear(3, 2), path)
    >>> load_safetensors(path)["weight"].shape
    (2, 3)
    """
    place = fspath(path)
    if place.endswith(_INDEX):
        folder = os.path.dirname(place)
        files = [os.path.join(folder, name) for name in _indexed_files(place)]
    else:
        files = [place]
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors.update(_read_file(file))
    return tensors


def _read_file(path: str) -> dict[str, Tensor]:
    import safetensors

    content = _read(path)
    try:
        entries: Any = safetensors.deserialize(content)  # type: ignore[no-untyped-call]  # it has no type hints
    except safetensors.SafetensorError as error:
        raise DataError(
            f"load_weights: {path!r} ({len(content)} bytes) is no complete safetensors file: "
            f"{error}. Expected a header and all the bytes it promises. Fix: download or save it "
            "again."
        ) from error
    tensors = {}
    for name, entry in sorted(entries, key=lambda entry: entry[0]):
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise DataError(
                f"load_weights: tensor {name!r} in {path!r} has dtype {entry['dtype']}. Expected "
                f"one of {', '.join(_DTYPES)}. Fix: convert the file to one of these."
            )
        array = np.frombuffer(entry["data"], dtype=dtype).reshape(entry["shape"])
        tensors[name] = samara.tensor(array)
    return tensors


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise DataError(
            f"load_weights: cannot read {path!r} ({error.strerror}). Expected a safetensors file. "
            "Fix: check the path."
        ) from error


def _indexed_files(path: str) -> list[str]:
    try:
        table = json.loads(_read(path))["weight_map"]
        names = sorted(set(table.values()))
        if all(os.path.basename(name) == name for name in names):
            return names
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"load_weights: {path!r} is no index of weights ({type(error).__name__}: {error}). "
            'Expected JSON with "weight_map". Fix: download it again.'
        ) from error
    raise DataError(
        f"load_weights: {path!r} names files outside its own folder. Expected plain file names. "
        "Fix: use an index from a source you trust."
    )


def _renamed(tensors: dict[str, Tensor], rename: Rename | None) -> dict[str, Tensor]:
    if rename is None:
        return tensors
    new_name = rename if callable(rename) else lambda name: _by_prefix(name, rename)
    result: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for name, value in tensors.items():
        target = new_name(name)
        if target is None:
            continue
        if target in result:
            raise ArgumentError(
                f"load_weights: rename turns both {origin[target]!r} and {name!r} into {target!r}. "
                "Expected different names. Fix: correct the map."
            )
        result[target], origin[target] = value, name
    return result


def _by_prefix(name: str, table: Mapping[str, str | None]) -> str | None:
    """The longest entry that is the name or a dotted prefix of it, replaced."""
    best = None
    for old in table:
        fits = name == old or old == "" or name.startswith(old if old.endswith(".") else old + ".")
        if fits and (best is None or len(old) > len(best)):
            best = old
    if best is None:
        return name
    new = table[best]
    return None if new is None else new + name[len(best) :]


class _Problems:
    """What keeps the tensors of a file from fitting a model."""

    def __init__(self, given: Mapping[str, Tensor], own: Mapping[str, Tensor], path: str) -> None:
        self.given, self.own, self.path = given, own, path
        covered = {id(value) for name, value in own.items() if name in given}
        # A tied parameter has several names and one tensor.
        self.missing = [n for n, v in own.items() if n not in given and id(v) not in covered]
        self.unexpected = [name for name in given if name not in own]
        self.misfits = [self._misfit(n, v) for n, v in own.items() if self._misfit(n, v)]

    def _misfit(self, name: str, value: Tensor) -> str:
        found = self.given.get(name)
        if found is None or getattr(value, "shape", None) is None:
            return ""
        if tuple(found.shape) != tuple(value.shape) and not _uninitialized(value):
            return f"{name}: {tuple(found.shape)} in the file, {tuple(value.shape)} in the model"
        if _kind(found) > _kind(value):
            return f"{name}: {found.dtype.name} in the file, {value.dtype.name} in the model"
        return ""

    def fatal(self, strict: bool) -> bool:
        nothing = bool(self.own) and not set(self.own) & set(self.given)
        return bool(self.misfits) or nothing or (strict and bool(self.missing or self.unexpected))

    def message(self) -> str:
        lines = [f"load_weights: {self.path!r} does not fit the model."]
        for title, entries in (
            ("Missing in the file", self._listed(self.missing, self.own, self.unexpected)),
            ("Unexpected in the file", self._listed(self.unexpected, self.given, self.missing)),
            ("Mismatched", self.misfits),
        ):
            if entries:
                lines.append(f"  {title} ({len(entries)}):")
                lines += [f"    {entry}" for entry in entries]
        lines.append(
            "Expected the names and shapes of this model. Fix: rename={...} maps the file's names "
            "to the model's; strict=False accepts missing and unexpected ones."
        )
        return "\n".join(lines)

    @staticmethod
    def _listed(names: Iterable[str], values: Mapping[str, Tensor], others: list[str]) -> list[str]:
        lines = []
        for name in names:
            shape = "" if _uninitialized(values[name]) else f" {tuple(values[name].shape)}"
            close = difflib.get_close_matches(name, others, 1, 0.6)
            lines.append(f"{name}{shape}" + (f" -- closest: {close[0]}" if close else ""))
        return lines


def _uninitialized(value: Tensor) -> bool:
    return type(value).__name__.startswith("Uninitialized")


def _kind(value: Tensor) -> int:
    """0 for whole numbers and bool, 1 for real, 2 for complex: a value never loses its kind."""
    return 2 if value.dtype.is_complex else int(value.dtype.is_floating_point)


def _replace_file(path: str, content: bytes) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    work = None
    try:
        handle, work = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(work, 0o644)
        os.replace(work, path)
    except OSError as error:
        if work is not None:
            with contextlib.suppress(OSError):
                os.unlink(work)
        raise DataError(
            f"save_weights: cannot write {path!r} ({error.strerror}). Expected a path in a folder "
            "that can be written. Fix: choose another path."
        ) from error
