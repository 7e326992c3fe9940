"""A layer and the batch norm after it as one layer, under the names of `torch.nn.utils.fusion`."""

from __future__ import annotations

import copy
from typing import Any

import samara
from samara.errors import ArgumentError
from samara.nn.parameter import Parameter
from samara.tensor import Tensor

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]


def _fuse(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    bn_weight: Tensor | None,
    bn_bias: Tensor | None,
    axis: int,
) -> tuple[Parameter, Parameter]:
    with samara.no_grad():
        factor = samara.rsqrt(variance + eps)
        if bn_weight is not None:
            factor = factor * bn_weight
        shift = -mean if bias is None else bias - mean
        shift = shift * factor
        if bn_bias is not None:
            shift = shift + bn_bias
        shape = [1] * weight.ndim
        shape[axis] = -1
        scaled = (weight * factor.reshape(shape)).to(weight.dtype)
        shifted = shift.to(weight.dtype if bias is None else bias.dtype)
    return (
        Parameter(scaled, weight.requires_grad),
        Parameter(shifted, True if bias is None else bias.requires_grad),
    )


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """(w gamma / sqrt(var + eps), (b - mean) gamma / sqrt(var + eps) + beta).

    conv_w: [C_out, C_in, *] ([C_in, C_out, *] with transpose), the others [C_out] or None.

    >>> import samara
    >>> one = samara.ones(1)
    >>> w, b = fuse_conv_bn_weights(samara.ones(1, 1, 1), None, one, one * 4, 0.0, one, one)
    >>> w.item(), b.item()
    (0.5, 0.5)
    """
    return _fuse(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """The same for a linear layer's weight [out, in] and bias [out].

    >>> import samara
    >>> one = samara.ones(1)
    >>> w, b = fuse_linear_bn_weights(samara.ones(1, 1), None, one, one * 4, 0.0, one, one)
    >>> w.item(), b.item()
    (0.5, 0.5)
    """
    return _fuse(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _fused(place: str, layer: Any, bn: Any, axis: int) -> Any:
    if layer.training or bn.training or bn.running_mean is None or bn.running_var is None:
        raise ArgumentError(
            f"{place}: the layers are in training mode, or the norm keeps no running statistics. "
            "Expected both in evaluation mode. Fix: call eval() on both."
        )
    fused = copy.deepcopy(layer)
    weight, bias = _fuse(
        layer.weight,
        layer.bias,
        bn.running_mean,
        bn.running_var,
        bn.eps,
        bn.weight,
        bn.bias,
        axis,
    )
    if "bias" in fused.__dict__:
        del fused.__dict__["bias"]
    fused.weight, fused.bias = weight, bias
    return fused


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """One convolution that does what `conv` and then the batch norm `bn` do in evaluation mode.

    Raises ArgumentError when one of them is in training mode. Neither is changed.

    >>> import samara
    >>> from samara import nn
    >>> conv, bn = nn.Conv1d(2, 3, 1).eval(), nn.BatchNorm1d(3).eval()
    >>> x = samara.randn(4, 2, 5)
    >>> bool(samara.allclose(fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6))
    True
    """
    return _fused("fuse_conv_bn_eval", conv, bn, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """One linear layer that does what `linear` and then `bn` do in evaluation mode.

    Raises ArgumentError when one of them is in training mode, or the sizes differ.

    >>> import samara
    >>> from samara import nn
    >>> linear, bn = nn.Linear(2, 3).eval(), nn.BatchNorm1d(3).eval()
    >>> x = samara.randn(4, 2)
    >>> bool(samara.allclose(fuse_linear_bn_eval(linear, bn)(x), bn(linear(x)), atol=1e-6))
    True
    """
    if bn.num_features != 1 and linear.out_features != bn.num_features:
        raise ArgumentError(
            f"fuse_linear_bn_eval: the layer has {linear.out_features} outputs, the norm "
            f"{bn.num_features} features. Expected as many. Fix: pass neighbours."
        )
    return _fused("fuse_linear_bn_eval", linear, bn, 0)
