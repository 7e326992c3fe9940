"""Residual networks (He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, 2015)."""

from samara import nn


def conv_norm(inputs, outputs, kernel, stride=1, activation=True):
    """Convolution, batch norm and, where asked for, ReLU; the size shrinks by `stride` alone."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if activation else nn.Sequential(*layers)


class Block(nn.Module):
    """relu(body(x) + shortcut(x)); the shortcut projects where the shapes differ."""

    def __init__(self, body, inputs, outputs, stride):
        super().__init__()
        self.body = body
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_norm(inputs, outputs, 1, stride, False)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.activation(self.body(x) + self.shortcut(x))


def basic_block(inputs, width, stride):
    """Two 3 x 3 convolutions."""
    body = nn.Sequential(
        conv_norm(inputs, width, 3, stride), conv_norm(width, width, 3, activation=False)
    )
    return Block(body, inputs, width, stride)


def bottleneck(inputs, width, stride):
    """1 x 1 down, 3 x 3 (it carries the stride), 1 x 1 up to four times the width."""
    body = nn.Sequential(
        conv_norm(inputs, width, 1),
        conv_norm(width, width, 3, stride),
        conv_norm(width, 4 * width, 1, activation=False),
    )
    return Block(body, inputs, 4 * width, stride)


def stages(block, inputs, depths, expansion, widths=(64, 128, 256, 512)):
    """Stages of blocks; all but the first begin with stride 2."""
    blocks = []
    for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for j in range(depth):
            blocks.append(block(inputs, width, 2 if i > 0 and j == 0 else 1))
            inputs = expansion * width
    return blocks


def resnet(block, depths, expansion, classes, small_images=False):
    """Images [N, 3, H, W] -> logits [N, classes]; for small images the stem keeps the size."""
    stem = (
        [conv_norm(3, 64, 3)]
        if small_images
        else [conv_norm(3, 64, 7, stride=2), nn.MaxPool2d(3, stride=2, padding=1)]
    )
    return nn.Sequential(
        *stem,
        *stages(block, 64, depths, expansion),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512 * expansion, classes),
    )


def resnet18(classes=1000, small_images=False):
    """11.7 million parameters with 1000 classes."""
    return resnet(basic_block, (2, 2, 2, 2), 1, classes, small_images)


def resnet50(classes=1000):
    """25.6 million parameters with 1000 classes."""
    return resnet(bottleneck, (3, 4, 6, 3), 4, classes)


def small_resnet(classes=10, channels=1, width=32):
    """Three stages for images of about ten pixels."""
    return nn.Sequential(
        conv_norm(channels, width, 3),
        *stages(basic_block, width, (1, 1, 1), 1, (width, 2 * width, 4 * width)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )
