"""ConvNeXt (Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, A ConvNet for the 2020s, 2022)."""

import samara
from samara import nn


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of an image [N, C, H, W]."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """x + scale * mlp(norm(depthwise 7 x 7 (x))), the mlp on the channels of each pixel."""

    def __init__(self, channels):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
        )
        self.scale = nn.Parameter(samara.full((channels,), 1e-6))

    def forward(self, x):
        y = self.mlp(self.depthwise(x).permute(0, 2, 3, 1)) * self.scale
        return x + y.permute(0, 3, 1, 2)


def convnext(depths, channels, classes):
    """Images [N, 3, H, W] -> logits [N, classes]."""
    layers = [nn.Conv2d(3, channels[0], 4, stride=4), ChannelNorm(channels[0], eps=1e-6)]
    for i, (depth, width) in enumerate(zip(depths, channels, strict=True)):
        if i > 0:
            layers += [
                ChannelNorm(channels[i - 1], eps=1e-6),
                nn.Conv2d(channels[i - 1], width, 2, stride=2),
            ]
        layers += [Block(width) for _ in range(depth)]
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.LayerNorm(channels[-1], eps=1e-6),
        nn.Linear(channels[-1], classes),
    )


def convnext_tiny(classes=1000):
    """28.6 million parameters with 1000 classes."""
    return convnext((3, 3, 9, 3), (96, 192, 384, 768), classes)
