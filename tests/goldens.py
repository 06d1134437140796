"""What `make_goldens.py` and `test_goldens.py` share: images, crops, cells and drawn weights."""

import zlib

import numpy as np

# Of a photo of 224 x 224 pixels: whole, and two of other shapes.
VGG16_CROPS = {
    "whole": np.s_[:, :],
    "13x9": np.s_[8:216, 40:184],
    "5x14": np.s_[100:180, :],
}
# Width, heads, registers.
DINOV2 = {
    "dinov2_vits14": (384, 6, 0),
    "dinov2_vits14_reg": (384, 6, 4),
    "dinov2_vitb14": (768, 12, 0),
    "dinov2_vitb14_reg": (768, 12, 4),
}
# Position embeddings are shrunk, shrunk unevenly, and stretched in one direction.
IMAGE_SIZES = ((224, 224), (98, 154), (546, 28))

# Of ResNet-50, whose stride is 16.
RESNET50_SIZES = ((224, 224), (96, 160), (48, 32))


def cells(rows: int, columns: int) -> list[tuple[int, int]]:
    """Choose cells of a map: its corners, its middle, and three others."""
    rng = np.random.default_rng([rows, columns])
    others = zip(rng.integers(rows, size=3), rng.integers(columns, size=3), strict=True)
    corners = [(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)]
    return [*corners, (rows // 2, columns // 2), *((int(y), int(x)) for y, x in others)]


def image(height: int, width: int) -> np.ndarray:
    """Draw a smooth image, uint8 [height, width, 3]."""
    rng = np.random.default_rng([height, width, 3])
    coarse = rng.integers(0, 256, (height // 7 + 1, width // 7 + 1, 3))
    fine = coarse.repeat(7, axis=0).repeat(7, axis=1)[:height, :width]
    return (0.7 * fine + 0.3 * rng.integers(0, 256, fine.shape)).astype(np.uint8)


def resnet50_state() -> dict[str, np.ndarray]:
    """Draw the weights of a ResNet-50 up to layer3, float32, under torchvision's names."""
    convs = {"conv1": (64, 3, 7)}
    into = 64
    for stage, blocks, inner in (("layer1", 3, 64), ("layer2", 4, 128), ("layer3", 6, 256)):
        for number in range(blocks):
            block = f"{stage}.{number}"
            convs |= {
                f"{block}.conv1": (inner, into, 1),
                f"{block}.conv2": (inner, inner, 3),
                f"{block}.conv3": (4 * inner, inner, 1),
            }
            if number == 0:
                convs[f"{block}.downsample.0"] = (4 * inner, into, 1)
            into = 4 * inner
    state = {}
    for name, (out, channels, size) in convs.items():
        state[f"{name}.weight"] = _draw(f"{name}.weight", (out, channels, size, size))
        norm = name.replace("conv", "bn").replace("downsample.0", "downsample.1")
        state |= {f"{norm}.{leaf}": _draw(f"{norm}.{leaf}", (out,)) for leaf in ("weight", "bias")}
        state[f"{norm}.running_mean"] = _draw(f"{norm}.bias2", (out,))
        state[f"{norm}.running_var"] = np.square(_draw(f"{norm}.var", (out,))) + np.float32(0.5)
        state[f"{norm}.num_batches_tracked"] = np.array(1)
    return state


def state_dict(name: str) -> dict[str, np.ndarray]:
    """Draw the weights of a DINOv2, float32, under the names of the published files."""
    width, _, registers = DINOV2[name]
    shapes = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.position_embeddings": (1, 1 + 37 * 37, width),
        "embeddings.patch_embeddings.projection.weight": (width, 3, 14, 14),
        "embeddings.patch_embeddings.projection.bias": (width,),
        "layernorm.weight": (width,),
        "layernorm.bias": (width,),
    }
    if registers:
        shapes["embeddings.register_tokens"] = (1, registers, width)
    for number in range(12):
        block = f"encoder.layer.{number}"
        for module, (into, out) in {
            "attention.attention.query": (width, width),
            "attention.attention.key": (width, width),
            "attention.attention.value": (width, width),
            "attention.output.dense": (width, width),
            "mlp.fc1": (width, 4 * width),
            "mlp.fc2": (4 * width, width),
        }.items():
            shapes[f"{block}.{module}.weight"] = (out, into)
            shapes[f"{block}.{module}.bias"] = (out,)
        for module in ("norm1", "norm2"):
            shapes |= {f"{block}.{module}.{leaf}": (width,) for leaf in ("weight", "bias")}
        for module in ("layer_scale1", "layer_scale2"):
            shapes[f"{block}.{module}.lambda1"] = (width,)
    return {key: _draw(key, shape) for key, shape in shapes.items()}


def _draw(key: str, shape: tuple[int, ...]) -> np.ndarray:
    drawn = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape, np.float32)
    match key.rpartition(".")[2]:
        case "weight" if len(shape) > 1:
            return drawn * np.float32(np.prod(shape[1:]) ** -0.5)
        case "bias":
            return drawn * np.float32(0.1)
        case "weight" | "lambda1":
            return 1 + drawn * np.float32(0.2)
    return drawn * np.float32(0.5)  # embeddings
