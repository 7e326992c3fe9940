"""Activation checkpointing, under the names of `torch.utils.checkpoint`."""

from samara.autograd.recompute import checkpoint, checkpoint_sequential

__all__ = ["checkpoint", "checkpoint_sequential"]
