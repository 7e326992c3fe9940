"""LeNet-5, for 28 x 28 images of one channel (LeCun, Bottou, Bengio, Haffner, 1998), with ReLU."""

from samara import nn


def lenet(classes: int = 10) -> nn.Module:
    """Two convolutions and three linear layers. Images [N, 1, 28, 28] -> logits [N, classes]."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, classes),
    )
