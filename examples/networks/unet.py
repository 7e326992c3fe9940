"""U-Net (Ronneberger, Fischer, Brox, Convolutional Networks for Biomedical Images, 2015).

Convolutions are padded, so the output has the input's size, and each is followed by batch norm.
"""

import samara
from samara import nn


def double_conv(inputs, outputs):
    """Twice: 3 x 3 convolution, batch norm, ReLU."""
    layers = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Images [N, channels, H, W], H and W multiples of 16 -> logits [N, classes, H, W]."""

    def __init__(self, channels=1, classes=2, width=64, depth=4):
        super().__init__()
        widths = [width * 2**i for i in range(depth + 1)]
        self.down = nn.ModuleList(
            [double_conv(a, b) for a, b in zip([channels, *widths[:-1]], widths, strict=True)]
        )
        self.pool = nn.MaxPool2d(2)
        self.rise = nn.ModuleList(
            [nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1])]
        )
        self.up = nn.ModuleList([double_conv(2 * w, w) for w in reversed(widths[:-1])])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        skips = []
        for i, block in enumerate(self.down):
            x = block(self.pool(x) if i > 0 else x)
            skips.append(x)
        skips.pop()
        for rise, block in zip(self.rise, self.up, strict=True):
            x = block(samara.cat([skips.pop(), rise(x)], dim=1))
        return self.head(x)


def unet(channels=1, classes=2):
    """31.0 million parameters at the paper's widths, 64 to 1024."""
    return UNet(channels, classes)
