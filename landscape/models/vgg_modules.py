"""VGG networks as modules."""

import torch.nn.functional as F
from torch import Tensor, nn

from .vgg import VGG


class VGGModule(nn.Module):
    """Images (N, channels, H, W) -> logits (N, classes)."""

    def __init__(self, architecture: VGG):
        super().__init__()
        a = architecture
        self.kind, self.side = a.head, a.side
        self.features = _features(a)
        flat = a.last * a.side**2
        if a.head == "one":
            self.classifier: nn.Module = nn.Linear(a.last, a.classes)
        elif a.head == "normalized":
            self.fc = nn.Sequential(nn.Linear(flat, a.hidden), nn.BatchNorm1d(a.hidden), nn.ReLU())
            self.classifier = nn.Linear(a.hidden, a.classes)
        else:
            inner = [nn.Linear(flat, a.hidden), nn.ReLU(), nn.Dropout(), nn.Linear(a.hidden, a.hidden), nn.ReLU()]
            self.classifier = nn.Sequential(*inner, nn.Dropout(), nn.Linear(a.hidden, a.classes))

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W) -> logits (N, classes)."""
        x = self.features(images)
        if self.kind == "one":
            x = x.mean(dim=(2, 3))
        elif self.kind == "normalized":
            x = self.fc(x.flatten(1))
        else:
            x = F.adaptive_avg_pool2d(x, self.side).flatten(1)
        logits: Tensor = self.classifier(x)
        return logits


def _features(architecture: VGG) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = architecture.channels
    for entry in architecture.layout:
        if isinstance(entry, int):
            layers.append(nn.Conv2d(inputs, entry, 3, padding=1))
            layers += [nn.BatchNorm2d(entry)] if architecture.batch_norm else []
            layers.append(nn.ReLU())
            inputs = entry
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)
