"""MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov, Chen, Inverted Residuals, 2018), width 1.0."""

from samara import nn

# Expansion, channels, repeats, stride of the first: table 2 of the paper.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def conv_norm(inputs, outputs, kernel=1, stride=1, groups=1):
    """Convolution, batch norm, ReLU6."""
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    ]


class InvertedResidual(nn.Module):
    """Expand by 1 x 1, filter each channel by 3 x 3, project by 1 x 1 without activation."""

    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        hidden = inputs * expansion
        expand = conv_norm(inputs, hidden) if expansion > 1 else []
        self.body = nn.Sequential(
            *expand,
            *conv_norm(hidden, hidden, 3, stride, groups=hidden),
            *conv_norm(hidden, outputs)[:2],
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.residual else self.body(x)


def mobilenet_v2(classes=1000):
    """3.5 million parameters with 1000 classes. Images [N, 3, H, W] -> logits [N, classes]."""
    layers = conv_norm(3, 32, 3, stride=2)
    inputs = 32
    for expansion, outputs, repeats, stride in STAGES:
        for i in range(repeats):
            layers.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expansion))
            inputs = outputs
    return nn.Sequential(
        *layers,
        *conv_norm(inputs, 1280),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(1280, classes),
    )
