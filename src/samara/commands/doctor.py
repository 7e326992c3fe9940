"""`samara doctor`: versions, processor, devices, and a matrix product that must agree."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import sys

import numpy as np

__all__ = ["cuda_status", "examine", "version_of"]

_PACKAGES = ("numpy", "ml_dtypes", "safetensors", "duckdb", "rich", "typer", "matplotlib")
# The processor features that kernels are chosen by, from old to new.
_FEATURES = ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
_OPTIONAL = ("matplotlib",)


def examine() -> int:
    """Print the report; 0 when the self test passes and nothing required is missing, else 1."""
    healthy = _versions()
    _processor()
    _devices()
    return 0 if _self_test() and healthy else 1


def version_of(package: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _line(name: str, text: str) -> None:
    print(f"  {name:<14} {text}")


def _versions() -> bool:
    print("versions")
    _line("samara", version_of("samara") or "not installed (running from the source tree)")
    _line("python", f"{platform.python_version()} ({sys.executable})")
    complete = True
    for package in _PACKAGES:
        version = version_of(package)
        if version is None and package in _OPTIONAL:
            version = f"missing, optional: pip install {package}"
        elif version is None:
            version, complete = f"MISSING: pip install {package}", False
        _line(package, version)
    return complete


def _processor() -> None:
    import samara._core as _core

    name, flags = _cpu()
    print("processor")
    _line("cpu", name)
    _line("features", " ".join(f for f in _FEATURES if f in flags) or "none of those used")
    _line("kernels", f"x86-64 {_core.chosen_isa()}{_limit()}")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    _line("threads", f"{_core.thread_count()}, for {usable} usable of {os.cpu_count()} cores")


def _limit() -> str:
    """What SAMARA_ISA asks for, where it is set; the core ignores a word it does not know."""
    wanted = os.environ.get("SAMARA_ISA")
    if not wanted:
        return ""
    if wanted in ("baseline", "v3", "v4"):
        return f" (SAMARA_ISA={wanted})"
    return f" (SAMARA_ISA={wanted} is ignored: use baseline, v3 or v4)"


def _cpu() -> tuple[str, set[str]]:
    """The processor's name and its feature flags, as far as the system tells them."""
    found: dict[str, str] = {}
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                key, _, value = line.partition(":")
                found.setdefault(key.strip(), value.strip())
    except OSError:
        # Other systems have no such file.
        pass
    name = found.get("model name") or platform.processor() or platform.machine()
    return name, set(found.get("flags", "").split())


def _devices() -> None:
    print("devices")
    _line("cpu", "ready")
    _line("cuda", cuda_status())


def cuda_status() -> str:
    """Why CUDA cannot be used, in one sentence."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1"):
        return f"not used: CUDA_VISIBLE_DEVICES={hidden!r} hides every GPU"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "not used: no NVIDIA driver (libcuda.so.1 is not found)"
    code = driver.cuInit(0)
    if code != 0:
        return f"not used: the NVIDIA driver does not start (cuInit returned {code})"
    count, version = ctypes.c_int(), ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    driver.cuDriverGetVersion(ctypes.byref(version))
    major, minor = version.value // 1000, version.value % 1000 // 10
    found = f"{count.value} GPU(s), driver for CUDA {major}.{minor}"
    return f"not used: {found}, but this version of Samara has kernels for the CPU only"


def _self_test() -> bool:
    import samara

    print("self test")
    rng = np.random.default_rng(0)
    a = rng.standard_normal((129, 257)).astype(np.float32)
    b = rng.standard_normal((257, 65)).astype(np.float32)
    product = samara.matmul(samara.from_numpy(a), samara.from_numpy(b)).numpy()
    exact = a.astype(np.float64) @ b.astype(np.float64)
    error = float(np.abs(product - exact).max() / np.abs(exact).max())
    good = product.shape == exact.shape and error < 1e-5
    _line("matmul", f"{'passed' if good else 'FAILED'}, largest relative error {error:.1e}")
    return good
