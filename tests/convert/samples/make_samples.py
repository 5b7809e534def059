"""How the files beside this one were written: by PyTorch 2.13, safetensors 0.8 and timm 1.0;
torchvision_tiny by PyTorch 2.14 and torchvision 0.29.

python make_samples.py    # in an environment of its own; the project needs none of these
"""

import pathlib
from collections import OrderedDict

import numpy as np
import torch
from safetensors.torch import save_file
from timm.models.vovnet import VovNet
from torchvision.models.resnet import Bottleneck, ResNet

HERE = pathlib.Path(__file__).parent
TINY = {
    "stem_chs": [4, 4, 8],
    "stage_conv_chs": [4, 4, 6, 6],
    "stage_out_chs": [8, 8, 12, 12],
    "layer_per_block": 2,
    "block_per_stage": [1, 1, 2, 2],
    "residual": True,
    "depthwise": False,
    "attn": "ese",
}
TINY_DW = TINY | {"stem_chs": [4, 4, 4], "block_per_stage": [1, 1, 1, 1], "depthwise": True}


def tensors():
    """Every type, and tensors that share, cut or turn a storage."""
    torch.manual_seed(0)
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    types = ["float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    out = OrderedDict((name, torch.tensor([-0.0, 1.0, 2.5, 3.14159]).to(getattr(torch, name)))
                      for name in types)  # fmt: skip
    out |= {
        "whole": base,
        "transposed": base.t(),
        "columns": base[:, 1::2],
        "row": base[2],
        "expanded": torch.ones(1, 3).expand(2, 3),
        "empty": torch.zeros(0, 5),
        "scalar": torch.tensor(7.5),
        "conv": torch.randn(2, 3, 3, 3).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.tensor([1.0, -2.0])),
    }
    return out


def main():
    arrays = tensors()
    expected = {name: t.detach().float().numpy() for name, t in arrays.items()}
    np.savez_compressed(HERE / "tensors.npz", **expected)
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    sgd = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    sgd.step()
    saved = {"model": arrays, "optimizer": sgd.state_dict(), "iteration": 5, "note": "a, \u00e9"}
    torch.save(saved, HERE / "zip.pth")
    torch.save(saved, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), HERE / "module.pth")
    scripted = torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))
    scripted.save(str(HERE / "script.pth"))
    save_file({name: t.detach().contiguous().clone() for name, t in arrays.items()},
              HERE / "tensors.safetensors", metadata={"format": "pt"})  # fmt: skip
    for name, cfg in (("timm_tiny", TINY), ("timm_tiny_dw", TINY_DW)):
        write_timm(name, cfg)
    write_torchvision("torchvision_tiny")


def write_torchvision(name):
    """A ResNet of torchvision's blocks with a sixteenth of the channels, and its maps."""
    torch.manual_seed(2)
    model = ResNet(Bottleneck, [1, 1, 1, 1], num_classes=3)
    model.inplanes = 4
    model.conv1 = torch.nn.Conv2d(3, 4, 7, stride=2, padding=3, bias=False)
    model.bn1 = torch.nn.BatchNorm2d(4)
    for i, blocks in enumerate((2, 1, 1, 1)):
        layer = model._make_layer(Bottleneck, 4 * 2**i, blocks, stride=1 if i == 0 else 2)
        setattr(model, f"layer{i + 1}", layer)
    model.fc = torch.nn.Linear(128, 3)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif value.ndim == 1 and value.dtype == torch.float32:
                value.add_(0.3 * torch.randn_like(value))
    model = model.half().float().eval()  # so that the file can be one of float16
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), np.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (torch.tensor(image) / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        maps = [model.maxpool(model.relu(model.bn1(model.conv1(x))))]
        for i in range(4):
            maps.append(getattr(model, f"layer{i + 1}")(maps[-1]))
    torch.save(model.half().state_dict(), HERE / f"{name}.pth")
    stages = {f"stage{i + 1}": m.numpy() for i, m in enumerate(maps)}
    np.savez_compressed(HERE / f"{name}.npz", **stages)


def write_timm(name, cfg):
    """A small classifier of timm's, and the maps that it makes of a picture."""
    torch.manual_seed(1)
    model = VovNet(cfg, num_classes=3)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif value.ndim == 1 and value.dtype == torch.float32:
                value.add_(0.3 * torch.randn_like(value))
    model.eval()
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), np.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (torch.tensor(image) / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        maps = [model.stem(x)]
        for stage in model.stages:
            maps.append(stage(maps[-1]))
    save_file(model.state_dict(), HERE / f"{name}.safetensors", metadata={"format": "pt"})
    stages = {f"stage{i + 1}": m.numpy() for i, m in enumerate(maps) if i > 0}
    np.savez_compressed(HERE / f"{name}.npz", **stages)


if __name__ == "__main__":
    main()
