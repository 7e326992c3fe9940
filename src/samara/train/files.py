"""Model directories: written whole or not at all, and checked byte by byte when read.

RUN/model.safetensors     the network's tensors, contiguous
RUN/preprocessing.json    what turns a table into arrays
RUN/history.json          the training curves and the verdict
RUN/model.json            the manifest, written last: format, architecture, sha256 of all parts
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samara.errors import ArgumentError, SamaraError
from samara.nn.weights import tensors_of
from samara.train import core
from samara.train.history import History
from samara.train.tabular import TabularModel, TabularNet

__all__ = ["load", "load_model", "save_model"]

FORMAT_VERSION = 1
MANIFEST = "model.json"
_TENSORS, _PREPROCESSING, _HISTORY = "model.safetensors", "preprocessing.json", "history.json"


def save_model(path: str | PathLike[str], model: TabularModel) -> str:
    """Write `model` as the directory `path` and return its path.

    Everything is written beside it, synced and renamed into place, so an interrupted save leaves
    the earlier model or none, never a mixture. A directory that is no model is not replaced.
    """
    target = os.path.abspath(fspath(path))
    if not isinstance(model, TabularModel) or not isinstance(model.net, TabularNet):
        raise ArgumentError(
            f"save_model: the model is a {type(getattr(model, 'net', model)).__name__}. Expected "
            "a TabularModel on the default network, which can be rebuilt from its sizes. "
            "Fix: train with fit_table, or keep state_dict() of a network of your own."
        )
    check_output(target)
    parent = os.path.dirname(target)
    try:
        os.makedirs(parent, exist_ok=True)
        work = tempfile.mkdtemp(prefix=f".{os.path.basename(target)}.tmp-", dir=parent)
    except OSError as error:
        raise SamaraError(
            f"save_model: cannot write below {parent!r} ({error.strerror}). Expected a writable "
            "directory. Fix: choose another output path."
        ) from error
    try:
        _write_parts(work, model)
        _swap(work, target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return target


def load_model(path: str | PathLike[str]) -> TabularModel:
    """Read a model directory (or its model.json) back, after checking every digest.

    Runs no code from the file. Raises `SamaraError` naming the file and tensor at fault.
    """
    folder = fspath(path)
    if os.path.basename(folder) in (MANIFEST, _TENSORS):
        folder = os.path.dirname(folder) or "."
    manifest = _manifest(folder)
    for name, digest in manifest["files"].items():
        if _sha256(_read(folder, name)) != digest:
            raise SamaraError(
                f"load: {os.path.join(folder, name)} does not match its sha256 in {MANIFEST}: it "
                "was changed or cut short. Expected the file as saved. Fix: copy it again."
            )
    tensors = _checked_tensors(folder, manifest["tensors"])
    from samara.data import Preprocessing

    net = TabularNet(**manifest["config"])
    net.load_state_dict({name: core.tensor(array) for name, array in tensors.items()})
    net.eval()
    preprocessing = Preprocessing.from_json(_read(folder, _PREPROCESSING).decode())
    history = History.from_dict(json.loads(_read(folder, _HISTORY)))
    return TabularModel(net, preprocessing, history)


load = load_model


def _write_parts(work: str, model: TabularModel) -> None:
    from safetensors.numpy import save

    # The NumPy writer stores wrong bytes for strided arrays, so every array is copied contiguous.
    tensors = {
        name: np.array(core.to_numpy(value), order="C", copy=True)
        for name, value in tensors_of("save", model.net).items()
    }
    parts = {
        _TENSORS: save(tensors, metadata={"format": "samara"}),
        _PREPROCESSING: model.preprocessing.to_json().encode(),
        _HISTORY: _json(model.history.to_dict()),
    }
    manifest = {
        "format": "samara-model",
        "format_version": FORMAT_VERSION,
        "kind": "tabular",
        "config": model.net.config,
        "task": model.task,
        "tensors": {name: _tensor_record(array) for name, array in tensors.items()},
        "files": {name: _sha256(content) for name, content in parts.items()},
    }
    for name, content in {**parts, MANIFEST: _json(manifest)}.items():
        _write(os.path.join(work, name), content)
    _sync_folder(work)


def _swap(work: str, target: str) -> None:
    """Put the finished directory in place; an earlier one is moved aside first, then removed."""
    os.chmod(work, 0o755)
    if not os.path.isdir(target):
        os.replace(work, target)
    else:
        aside = f"{work}.old"
        os.replace(target, aside)
        os.replace(work, target)
        shutil.rmtree(aside, ignore_errors=True)
    _sync_folder(os.path.dirname(target))


def check_output(path: str | PathLike[str]) -> None:
    """Raise unless `path` is free or holds an earlier model; asked before a long training too."""
    target = os.path.abspath(fspath(path))
    if not os.path.lexists(target):
        return
    if os.path.isdir(target) and (not os.listdir(target) or MANIFEST in os.listdir(target)):
        return
    raise ArgumentError(
        f"save_model: {target!r} exists and is no Samara model. Expected a new path or an "
        "earlier model. Fix: choose another output path."
    )


def _manifest(folder: str) -> dict[str, Any]:
    if not os.path.isdir(folder):
        raise SamaraError(
            f"load: {folder!r} is no directory. Expected a model directory with {MANIFEST}. "
            "Fix: pass the path that `samara fit` printed."
        )
    if not os.path.isfile(os.path.join(folder, MANIFEST)):
        raise SamaraError(
            f"load: {folder!r} holds no {MANIFEST}. Expected a complete model directory. "
            "Fix: pass the path that `samara fit` printed, or train again."
        )
    try:
        manifest = json.loads(_read(folder, MANIFEST))
    except ValueError as error:
        raise SamaraError(
            f"load: {os.path.join(folder, MANIFEST)} is no valid JSON ({error}). Expected the "
            "file as saved. Fix: copy the model again."
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != "samara-model":
        raise SamaraError(
            f"load: {os.path.join(folder, MANIFEST)} is not the manifest of a Samara model. "
            "Fix: pass the path that `samara fit` printed."
        )
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise SamaraError(
            f"load: {folder!r} has format_version {version}. This version reads {FORMAT_VERSION}. "
            "Fix: upgrade samara to the version that wrote the model."
        )
    return manifest


def _checked_tensors(folder: str, records: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load as load_tensors

    where = os.path.join(folder, _TENSORS)
    tensors: dict[str, NDArray[Any]] = load_tensors(_read(folder, _TENSORS))
    missing, extra = (
        sorted(records.keys() - tensors.keys()),
        sorted(tensors.keys() - records.keys()),
    )
    if missing or extra:
        raise SamaraError(
            f"load: {where} lacks {missing or 'nothing'} and has unexpected {extra or 'nothing'}. "
            "Expected the tensors named in the manifest. Fix: copy the model again."
        )
    for name, array in tensors.items():
        if _tensor_record(array) != records[name]:
            raise SamaraError(
                f"load: tensor {name!r} in {where} does not match its sha256 in {MANIFEST}. "
                "Expected the bytes as saved. Fix: copy the model again."
            )
    return tensors


def _tensor_record(array: NDArray[Any]) -> dict[str, Any]:
    content = np.ascontiguousarray(array).tobytes()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "sha256": _sha256(content)}


def _read(folder: str, name: str) -> bytes:
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read()
    except OSError as error:
        raise SamaraError(
            f"load: cannot read {os.path.join(folder, name)} ({error.strerror}). Expected a "
            "complete model directory. Fix: copy the model again."
        ) from error


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: str) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        # Not every system can open a directory; the files themselves are synced.
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _json(value: Any) -> bytes:
    # A NaN in a curve stays readable: Python's reader takes NaN and Infinity.
    return (json.dumps(value, indent=1) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
