"""y1 and r50 with ArcFace as one writes them in PyTorch, for comparison: no symbol, no executor."""

from __future__ import annotations

from collections.abc import Callable
import math

import numpy as np
import torch
from torch import Tensor, nn
import torch.nn.functional as F

MOBILE_EPS, RESNET_EPS = 1e-3, 2e-5
MARGIN, SCALE = 0.5, 64.0
R50_UNITS = (3, 4, 14, 3)


def conv_block(
    inputs: int, outputs: int, size: int, stride: int = 1, pad: int = 0, groups: int = 1, act=True
) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, size, stride, pad, groups=groups, bias=False)
    layers = [conv, nn.BatchNorm2d(outputs, MOBILE_EPS)]
    return nn.Sequential(*layers, *([nn.PReLU(outputs)] if act else []))


class Inverted(nn.Module):
    """1x1, depthwise 3x3, linear 1x1; added to its input if it keeps the shape."""

    def __init__(self, inputs: int, expanded: int, outputs: int, stride: int, added: bool):
        super().__init__()
        self.added = added
        self.body = nn.Sequential(
            conv_block(inputs, expanded, 1),
            conv_block(expanded, expanded, 3, stride, 1, expanded),
            conv_block(expanded, outputs, 1, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + x if self.added else self.body(x)


def mobilefacenet() -> nn.Sequential:
    """Return y1 with its published head, embedding size 128."""
    layers: list[nn.Module] = [conv_block(3, 64, 3, 2, 1), conv_block(64, 64, 3, 1, 1, 64)]
    channels = 64
    for expanded, outputs, count, each in (
        (128, 64, 4, 128),
        (256, 128, 6, 256),
        (512, 128, 2, 256),
    ):
        layers.append(Inverted(channels, expanded, outputs, 2, added=False))
        layers += [Inverted(outputs, each, outputs, 1, added=True) for _ in range(count)]
        channels = outputs
    layers += [conv_block(128, 512, 1), conv_block(512, 512, 7, groups=512, act=False)]
    layers += [nn.Flatten(), nn.Linear(512, 128), nn.BatchNorm1d(128, RESNET_EPS)]
    return nn.Sequential(*layers)


class Improved(nn.Module):
    """The unit of LResNet-IR."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs, RESNET_EPS),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs, RESNET_EPS),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs, RESNET_EPS),
        )
        self.shortcut = nn.Identity()
        if stride > 1:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs, RESNET_EPS))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


def resnet50() -> nn.Sequential:
    """Return r50 with the head E, embedding size 512."""
    conv = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(64, RESNET_EPS), nn.PReLU(64)]
    channels = 64
    for count, outputs in zip(R50_UNITS, (64, 128, 256, 512), strict=True):
        layers.append(Improved(channels, outputs, 2))
        layers += [Improved(outputs, outputs, 1) for _ in range(count - 1)]
        channels = outputs
    layers += [nn.BatchNorm2d(512, RESNET_EPS), nn.Dropout(0.4), nn.Flatten()]
    layers += [nn.Linear(512 * 49, 512), nn.BatchNorm1d(512, RESNET_EPS)]
    return nn.Sequential(*layers)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "y1": (mobilefacenet, 128),
    "r50": (resnet50, 512),
}


def arcface(embedding: Tensor, weight: Tensor, label: Tensor) -> Tensor:
    """Return the mean cross entropy of s cos(theta + m) for the own class."""
    cosines = F.linear(F.normalize(embedding), F.normalize(weight))
    own = cosines.gather(1, label[:, None])
    sine = torch.sqrt((1 - own * own).clamp(min=0))
    moved = own * math.cos(MARGIN) - sine * math.sin(MARGIN)
    moved = torch.where(own > math.cos(math.pi - MARGIN), moved, own - MARGIN * math.sin(MARGIN))
    return F.cross_entropy(SCALE * cosines.scatter(1, label[:, None], moved), label)


class PlainStep:
    """Steps of a plain model: SGD with momentum, channels last, autocast for bfloat16."""

    def __init__(self, name: str, num_classes: int, device: str, dtype: str):
        make, size = NETWORKS[name]
        self.device, self.dtype = torch.device(device), dtype
        self.model = make().to(self.device, memory_format=torch.channels_last)
        weight = torch.randn(num_classes, size, device=self.device) * (2 / num_classes) ** 0.5
        self.weight = nn.Parameter(weight)
        parameters = [*self.model.parameters(), self.weight]
        self.optimizer = torch.optim.SGD(parameters, 0.01, momentum=0.9, weight_decay=5e-4)

    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def __call__(self, data: np.ndarray, label: np.ndarray) -> float:
        """Make a step and wait for it; return the loss."""
        images = torch.as_tensor(data).to(self.device, memory_format=torch.channels_last)
        labels = torch.as_tensor(label).to(self.device).long()
        is_low = self.dtype != "float32"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=is_low):
            embedding = self.model((images - 127.5) * 0.0078125)
        loss = arcface(embedding.float(), self.weight, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()
