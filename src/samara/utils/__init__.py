"""Places where PyTorch keeps what Samara keeps elsewhere."""

from samara.utils import checkpoint

__all__ = ["checkpoint"]
