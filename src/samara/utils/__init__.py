"""Places where PyTorch keeps what Samara keeps elsewhere."""

from samara.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
