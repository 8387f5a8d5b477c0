"""IResNet and MobileFaceNet as torch's modules, from the facts of arcface_torch; run as a script.

python torch_modules.py write FOLDER   random networks: FOLDER/NAME.pth, .npz with their embeddings
python torch_modules.py read FOLDER    FOLDER/NAME.back.* loaded into the modules: NAME.back.npy
"""

from pathlib import Path
import sys

import numpy as np
import torch
from torch import nn

EMB_SIZE = 8


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-5)


class Unit(nn.Module):
    def __init__(self, given, filters, stride):
        super().__init__()
        self.bn1, self.conv1 = norm(given), nn.Conv2d(given, filters, 3, 1, 1, bias=False)
        self.bn2, self.prelu = norm(filters), nn.PReLU(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, stride, 1, bias=False)
        self.bn3, self.downsample = norm(filters), None
        if stride == 2:
            shortcut = nn.Conv2d(given, filters, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, norm(filters))

    def forward(self, x):
        body = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return body + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), norm(64)
        self.prelu, given = nn.PReLU(64), 64
        for stage, (count, filters) in enumerate(zip(units, (64, 128, 256, 512), strict=True), 1):
            layers = [
                Unit(given if k == 0 else filters, filters, 2 - (k > 0)) for k in range(count)
            ]
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
            given = filters
        self.bn2, self.dropout = norm(512), nn.Dropout(0.0)
        self.fc, self.features = nn.Linear(512 * 49, EMB_SIZE), nn.BatchNorm1d(EMB_SIZE, eps=1e-5)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(torch.flatten(self.dropout(self.bn2(x)), 1)))


class Block(nn.Module):
    def __init__(self, given, filters, kernel=1, stride=1, pad=0, groups=1, slope=True):
        super().__init__()
        conv = nn.Conv2d(given, filters, kernel, stride, pad, groups=groups, bias=False)
        self.layers = nn.Sequential(conv, norm(filters), *([nn.PReLU(filters)] if slope else []))

    def forward(self, x):
        return self.layers(x)


class Inverted(nn.Module):
    def __init__(self, given, filters, expanded, stride):
        super().__init__()
        self.layers = nn.Sequential(
            Block(given, expanded), Block(expanded, expanded, 3, stride, 1, expanded),
            Block(expanded, filters, slope=False),
        )  # fmt: skip
        self.stride = stride

    def forward(self, x):
        return self.layers(x) + (x if self.stride == 1 else 0)


class Residual(nn.Module):
    def __init__(self, channels, count, expanded):
        super().__init__()
        blocks = [Inverted(channels, channels, expanded, 1) for _ in range(count)]
        self.layers = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layers(x)


class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            Block(512, 512, 7, groups=512, slope=False), nn.Flatten(),
            nn.Linear(512, EMB_SIZE, bias=False), nn.BatchNorm1d(EMB_SIZE),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


class MobileFaceNet(nn.Module):
    def __init__(self, blocks, scale):
        super().__init__()
        a, b = 64 * scale, 128 * scale
        first = Block(a, a, 3, 1, 1, 64) if blocks[0] == 1 else Residual(a, blocks[0], 128)
        self.layers = nn.ModuleList([
            Block(3, a, 3, 2, 1), first, Inverted(a, a, 128, 2), Residual(a, blocks[1], 128),
            Inverted(a, b, 256, 2), Residual(b, blocks[2], 256), Inverted(b, b, 512, 2),
            Residual(b, blocks[3], 256),
        ])  # fmt: skip
        self.conv_sep, self.features = Block(b, 512), Last()

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.features(self.conv_sep(x))


MODULES = {
    "r18": lambda: IResNet((2, 2, 2, 2)),
    "mbf2": lambda: MobileFaceNet((1, 4, 6, 2), 2),
    "large1": lambda: MobileFaceNet((2, 8, 12, 4), 1),
}


def embeddings(module, images):
    with torch.no_grad():
        return module.eval()((torch.from_numpy(images).float() - 127.5) / 127.5).numpy()


def main(action, folder):
    images = np.load(folder / "images.npy")  # (N, 3, H, W), RGB
    for name, build in MODULES.items():
        module = build()
        if action == "read":
            for path in sorted(folder.glob(f"{name}.back.*")):
                state = torch.load(path, weights_only=True) if path.suffix == ".pth" else None
                if state is not None:
                    module.load_state_dict(state, strict=True)
                    np.save(folder / f"{name}.back.npy", embeddings(module, images))
            continue
        torch.manual_seed(0)
        for layer in module.modules():
            if hasattr(layer, "running_mean"):
                layer.running_mean.uniform_(-0.3, 0.3), layer.running_var.uniform_(0.5, 1.5)
                nn.init.uniform_(layer.weight, 0.5, 1.5), nn.init.uniform_(layer.bias, -0.3, 0.3)
        last = module.features if name == "r18" else module.features.layers[3]
        if name != "large1":  # as arcface_torch fixes it
            nn.init.ones_(last.weight)
        state = module.state_dict()
        nested = {"epoch": 3, "lr": 0.1, "optimizer": {"state": {0: {"step": torch.ones(2)}}}}
        nested["state_dict"] = {f"module.{key}": value for key, value in state.items()}
        torch.save(state, folder / f"{name}.pth")
        if name == "large1":
            torch.save(nested, folder / f"{name}.nested.pt")
            torch.save(state, folder / f"{name}.old.pth", _use_new_zipfile_serialization=False)
        np.savez(folder / f"{name}.npz", embedding=embeddings(module, images))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], Path(sys.argv[2]))
