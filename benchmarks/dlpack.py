"""Memory shared with PyTorch through DLPack, both ways, shown by equal addresses.

python -m benchmarks.dlpack
"""

from __future__ import annotations

import torch

import samara

DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)


def check(name: str) -> None:
    """One dtype: strided views, empty and 0-d tensors, there and back."""
    for shape in ((2, 3), (4,), (), (0, 3)):
        theirs = torch.ones(shape, dtype=getattr(torch, name))
        x = samara.from_dlpack(theirs)
        assert x.shape == tuple(theirs.shape) and x.dtype is getattr(samara, name)
        assert not theirs.numel() or x.data_ptr() == theirs.data_ptr()
        ours = samara.ones(shape, dtype=getattr(samara, name))
        y = torch.from_dlpack(ours)
        assert tuple(y.shape) == ours.shape and y.dtype is getattr(torch, name)
        assert not ours.numel() or y.data_ptr() == ours.data_ptr()
    x = samara.from_dlpack(torch.ones(3, 4, dtype=getattr(torch, name)).T[::2])
    assert x.shape == (2, 3) and x.stride() == (2, 4)
    y = torch.from_dlpack(samara.ones(3, 4, dtype=getattr(samara, name)).mT[1:])
    assert tuple(y.shape) == (3, 3) and tuple(y.stride()) == (1, 4)
    y[0, 0] = 0
    assert not bool(samara.from_dlpack(y)[0, 0])


def main() -> None:
    """Checks every dtype that both have."""
    for name in DTYPES:
        check(name)
    print(f"{len(DTYPES)} dtypes share their memory both ways")


if __name__ == "__main__":
    main()
