"""Layers and losses as functions, under the names of `torch.nn.functional`.

The loss functions never broadcast: a prediction `(32, 1)` against a target `(32,)` raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import samara
from samara.nn._activation_functions import (
    alpha_dropout,
    celu,
    celu_,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    elu,
    elu_,
    feature_alpha_dropout,
    gumbel_softmax,
    hardsigmoid,
    hardswish,
    hardtanh,
    hardtanh_,
    leaky_relu,
    leaky_relu_,
    log_softmax,
    mish,
    relu,
    relu6,
    relu_,
    rrelu,
    rrelu_,
    selu,
    selu_,
    silu,
    softmax,
    softmin,
    threshold,
    threshold_,
)
from samara.nn._attention_functions import multi_head_attention_forward
from samara.nn._loss_functions import (
    bilinear,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    cross_entropy,
    ctc_loss,
    embedding,
    embedding_bag,
    gaussian_nll_loss,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    margin_ranking_loss,
    mse_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    nll_loss,
    normalize,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from samara.nn._resampling_functions import upsample, upsample_bilinear, upsample_nearest
from samara.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "rrelu_",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]


TensorFunction = Callable[..., Tensor]
AnyFunction = Callable[..., Any]  # a tensor, or with return_indices=True two

# The operations themselves, with the type they have here.
adaptive_avg_pool1d: TensorFunction = samara.adaptive_avg_pool1d
adaptive_avg_pool2d: TensorFunction = samara.adaptive_avg_pool2d
adaptive_avg_pool3d: TensorFunction = samara.adaptive_avg_pool3d
adaptive_max_pool1d: AnyFunction = samara.adaptive_max_pool1d
adaptive_max_pool2d: AnyFunction = samara.adaptive_max_pool2d
adaptive_max_pool3d: AnyFunction = samara.adaptive_max_pool3d
avg_pool1d: TensorFunction = samara.avg_pool1d
avg_pool2d: TensorFunction = samara.avg_pool2d
avg_pool3d: TensorFunction = samara.avg_pool3d
fractional_max_pool2d: AnyFunction = samara.fractional_max_pool2d
fractional_max_pool3d: AnyFunction = samara.fractional_max_pool3d
lp_pool1d: TensorFunction = samara.lp_pool1d
lp_pool2d: TensorFunction = samara.lp_pool2d
lp_pool3d: TensorFunction = samara.lp_pool3d
max_pool1d: AnyFunction = samara.max_pool1d
max_pool1d_with_indices: AnyFunction = samara.max_pool1d_with_indices
max_pool2d: AnyFunction = samara.max_pool2d
max_pool2d_with_indices: AnyFunction = samara.max_pool2d_with_indices
max_pool3d: AnyFunction = samara.max_pool3d
max_pool3d_with_indices: AnyFunction = samara.max_pool3d_with_indices
max_unpool1d: TensorFunction = samara.max_unpool1d
max_unpool2d: TensorFunction = samara.max_unpool2d
max_unpool3d: TensorFunction = samara.max_unpool3d
conv1d: TensorFunction = samara.conv1d
conv2d: TensorFunction = samara.conv2d
conv3d: TensorFunction = samara.conv3d
conv_transpose1d: TensorFunction = samara.conv_transpose1d
conv_transpose2d: TensorFunction = samara.conv_transpose2d
conv_transpose3d: TensorFunction = samara.conv_transpose3d
gelu: TensorFunction = samara.gelu
batch_norm: TensorFunction = samara.batch_norm
instance_norm: TensorFunction = samara.instance_norm
group_norm: TensorFunction = samara.group_norm
local_response_norm: TensorFunction = samara.local_response_norm
layer_norm: TensorFunction = samara.layer_norm
linear: TensorFunction = samara.linear
pad: TensorFunction = samara.pad
affine_grid: TensorFunction = samara.affine_grid
channel_shuffle: TensorFunction = samara.channel_shuffle
fold: TensorFunction = samara.fold
grid_sample: TensorFunction = samara.grid_sample
interpolate: TensorFunction = samara.interpolate
pixel_shuffle: TensorFunction = samara.pixel_shuffle
pixel_unshuffle: TensorFunction = samara.pixel_unshuffle
unfold: TensorFunction = samara.unfold
sigmoid: TensorFunction = samara.sigmoid
softplus: TensorFunction = samara.softplus
softsign: TensorFunction = samara.softsign
logsigmoid: TensorFunction = samara.logsigmoid
one_hot: TensorFunction = samara.one_hot
rms_norm: TensorFunction = samara.rms_norm
scaled_dot_product_attention: TensorFunction = samara.scaled_dot_product_attention
tanh: TensorFunction = samara.tanh
cosine_similarity: TensorFunction = samara.cosine_similarity
glu: TensorFunction = samara.glu
hardshrink: TensorFunction = samara.hardshrink
pairwise_distance: TensorFunction = samara.pairwise_distance
pdist: TensorFunction = samara.pdist
prelu: TensorFunction = samara.prelu
softshrink: TensorFunction = samara.softshrink
tanhshrink: TensorFunction = samara.tanhshrink
