"""Make the golden activations that `test_goldens.py` reads, by PyTorch and transformers.

  pip install torch transformers
  python tests/backbones/make_goldens.py FOLDER_OF_WEIGHTS

Nothing of partdisc is used, so that the two implementations share no mistake. FOLDER_OF_WEIGHTS
has vgg16.npz, whose activations are of a photo, and golden_backbones.npz, which has the photo.
DINOv2 and ResNet-50 get drawn weights and a drawn image, which `../goldens.py` makes here and in
the test.

Of every output are kept some cells whole, and the norms of all.
"""

import pathlib
import runpy
import sys
import types

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).parent
# By its path: beside it lies a module whose name transformers looks for.
given = types.SimpleNamespace(**runpy.run_path(str(HERE.parent / "goldens.py")))


def keep(goldens: dict, name: str, maps: np.ndarray) -> None:
    """Keep some of maps [h, w, C]."""
    goldens[f"{name}/cells"] = np.stack([maps[y, x] for y, x in given.cells(*maps.shape[:2])])
    goldens[f"{name}/norms"] = np.linalg.norm(maps.astype(np.float64), axis=-1).astype(np.float32)


def vgg16(folder: pathlib.Path) -> dict:
    photo = np.load(folder / "golden_backbones.npz")["image"]
    net, outputs = torch.nn.Sequential(), {}
    with np.load(folder / "vgg16.npz") as file, torch.no_grad():
        for block, convs in enumerate((2, 2, 3, 3, 3), 1):
            for name in [f"conv{block}_{i}" for i in range(1, convs + 1)]:
                kernel = file[f"{name}/kernel"].transpose(3, 2, 0, 1)
                conv = torch.nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
                conv.weight.copy_(torch.from_numpy(kernel))
                conv.bias.copy_(torch.from_numpy(file[f"{name}/bias"]))
                net.append(conv).append(torch.nn.ReLU())
                outputs[len(net) - 1] = name
            net.append(torch.nn.MaxPool2d(2))
            outputs[len(net) - 1] = f"pool{block}"
    goldens = {}
    for label, crop in given.VGG16_CROPS.items():
        pixels = photo[crop][..., ::-1] - np.array([103.939, 116.779, 123.68])
        x = torch.from_numpy(pixels.astype(np.float32).transpose(2, 0, 1))[None]
        with torch.no_grad():
            for index, layer in enumerate(net):
                x = layer(x)
                if outputs.get(index) in ("conv4_3", "pool4", "conv5_3"):
                    maps = x[0].numpy().transpose(1, 2, 0)
                    keep(goldens, f"vgg16/{outputs[index]}/{label}", maps)
    return goldens


def resnet50() -> dict:
    config = transformers.ResNetConfig(
        depths=[3, 4, 6], hidden_sizes=[256, 512, 1024], layer_type="bottleneck"
    )
    net, goldens = transformers.ResNetModel(config).eval(), {}
    renamed = {}
    for key, array in given.resnet50_state().items():
        path = key.split(".")
        if path[0].startswith("layer"):
            stage, number = int(path[0][-1]) - 1, path[1]
            shortcut = "convolution" if path[-2] == "0" else "normalization"
            inner = {
                "conv1": "layer.0.convolution",
                "bn1": "layer.0.normalization",
                "conv2": "layer.1.convolution",
                "bn2": "layer.1.normalization",
                "conv3": "layer.2.convolution",
                "bn3": "layer.2.normalization",
                "downsample": f"shortcut.{shortcut}",
            }[path[2]]
            name = f"encoder.stages.{stage}.layers.{number}.{inner}.{path[-1]}"
        else:
            inner = "convolution" if path[0] == "conv1" else "normalization"
            name = f"embedder.embedder.{inner}.{path[-1]}"
        renamed[name] = torch.from_numpy(np.asarray(array))
    net.load_state_dict(renamed, strict=True)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for height, width in given.RESNET50_SIZES:
        x = (given.image(height, width) / 255 - mean) / std
        x = torch.from_numpy(x.astype(np.float32).transpose(2, 0, 1))[None]
        with torch.no_grad():
            states = net(x, output_hidden_states=True).hidden_states
        for layer, maps in (("layer2", states[2]), ("layer3", states[3])):
            keep(goldens, f"resnet50/{layer}/{height}x{width}", maps[0].numpy().transpose(1, 2, 0))
    return goldens


def dinov2() -> dict:
    goldens = {}
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for name, (width, heads, registers) in given.DINOV2.items():
        options = {"hidden_size": width, "num_attention_heads": heads, "image_size": 518}
        options["patch_size"] = 14
        if registers:
            config = transformers.Dinov2WithRegistersConfig(
                **options, num_register_tokens=registers
            )
            net = transformers.Dinov2WithRegistersModel(config).eval()
        else:
            net = transformers.Dinov2Model(transformers.Dinov2Config(**options)).eval()
        drawn = {key: torch.from_numpy(array) for key, array in given.state_dict(name).items()}
        renamed = {_renamed(key): array for key, array in drawn.items()}
        left = net.load_state_dict(renamed, strict=False)
        assert not left.unexpected_keys and left.missing_keys in ([], ["embeddings.mask_token"])
        keys = {}
        for number, layer in enumerate(net.encoder.layer, 1):
            layer.attention.k_proj.register_forward_hook(
                lambda _, __, output, number=number, keys=keys: keys.update({number: output})
            )
        for height, width in given.IMAGE_SIZES:
            x = (given.image(height, width) / 255 - mean) / std
            x = torch.from_numpy(x.astype(np.float32).transpose(2, 0, 1))[None]
            with torch.no_grad():
                output = net(x, output_hidden_states=True)
            found = {
                "norm": output.last_hidden_state,
                "block7": output.hidden_states[7],
                "block9_keys": keys[9],
            }
            for layer, tokens in found.items():
                maps = tokens[0, 1 + registers :].numpy()
                maps = maps.reshape(height // 14, width // 14, -1)
                keep(goldens, f"{name}/{layer}/{height}x{width}", maps)
    return goldens


def _renamed(key: str) -> str:
    """Name a parameter of a published file as this version of transformers does."""
    for old, new in (("attention.query", "q_proj"), ("attention.key", "k_proj"),
                     ("attention.value", "v_proj"), ("output.dense", "o_proj")):  # fmt: skip
        key = key.replace(f"attention.{old}", f"attention.{new}")
    return key


if __name__ == "__main__":
    goldens = vgg16(pathlib.Path(sys.argv[1])) | dinov2() | resnet50()
    np.savez_compressed(HERE / "goldens.npz", **goldens)
