"""Backbones: their names, shapes and geometry, and real activations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from partdisc.backbones import Preprocessing, backbone, load_weights, preprocess
from partdisc.backbones.layers import conv, local_response_norm, max_pool
from partdisc.backbones.preprocessing import BVLC, IMAGENET, KERAS
from partdisc.errors import ConfigError

VGG16_LAYERS = ["pool3", "conv4_3", "pool4", "conv5_3", "pool5"]
GOOGLENET_LAYERS = [f"inception_{i}" for i in ("3a", "3b", "4a", "4b", "4c", "4d", "4e")]
VIT_LAYERS = ["norm", "block1", "block12", "block1_keys", "block12_keys"]
ALL = [
    *(("vgg16", name) for name in VGG16_LAYERS),
    *(("googlenet", name) for name in GOOGLENET_LAYERS),
    *(("resnet50", name) for name in ("layer2", "layer3")),
    *(("dinov2_vits14_reg", name) for name in VIT_LAYERS),
]


# --- Names, shapes and geometry --------------------------------------------------------------


@pytest.mark.parametrize("name,layer", ALL)
def test_output_shape(name, layer):
    net = backbone(name, layer)
    params = {k: jax.ShapeDtypeStruct(s, jnp.float32) for k, s in net.param_shapes.items()}
    images = jax.ShapeDtypeStruct((2, 3 * net.stride, 2 * net.stride, 3), jnp.float32)
    features = jax.eval_shape(net.apply, params, images)
    assert features.shape == (2, 3, 2, net.channels)
    assert features.dtype == jnp.float32


@pytest.mark.parametrize(
    "name,layer,channels,stride,field,origin",
    [
        ("vgg16", "pool3", 256, 8, 44, 3.5),
        ("vgg16", "conv4_3", 512, 8, 92, 3.5),
        ("vgg16", "pool4", 512, 16, 100, 7.5),
        ("vgg16", "conv5_3", 512, 16, 196, 7.5),
        ("vgg16", "pool5", 512, 32, 212, 15.5),
        ("googlenet", "inception_3a", 256, 8, 59, 6.0),
        ("googlenet", "inception_3b", 480, 8, 91, 6.0),
        ("googlenet", "inception_4b", 512, 16, 235, 14.0),
        ("googlenet", "inception_4e", 832, 16, 427, 14.0),
        ("resnet50", "layer2", 512, 8, 91, 0.0),
        ("resnet50", "layer3", 1024, 16, 267, 0.0),
        ("dinov2_vits14", "norm", 384, 14, np.inf, 6.5),
        ("dinov2_vitb14_reg", "block9_keys", 768, 14, np.inf, 6.5),
    ],
)
def test_geometry(name, layer, channels, stride, field, origin):
    net = backbone(name, layer)
    assert (net.channels, net.stride, net.receptive_field) == (channels, stride, field)
    assert net.origin == origin
    seen = "the whole image" if np.isinf(field) else f"receptive field {field} pixels"
    assert f"{name} {layer}, {channels} channels, stride {stride}, " in net.description
    assert net.description.endswith(seen)


@pytest.mark.parametrize(
    "name,layer,size", [("vgg16", "pool3", 96), ("googlenet", "inception_3a", 176)]
)
def test_receptive_field_is_what_a_cell_can_see(rng, name, layer, size):
    net = backbone(name, layer)
    # Positive kernels and images keep every ReLU open, so that every path shows up.
    params = {
        k: jnp.asarray(rng.uniform(0.5, 1.5, s) / np.prod(s[:-1]), jnp.float32)
        for k, s in net.param_shapes.items()
    }
    image = jnp.asarray(rng.uniform(1, 2, (1, size, size, 3)), jnp.float32)
    cell = size // net.stride // 2

    @jax.jit
    def seen(image):
        return jnp.abs(jax.grad(lambda x: net.apply(params, x)[0, cell, cell].sum())(image))

    # A maximum passes its gradient to one pixel only: gather over a few images.
    images = [jnp.asarray(rng.permuted(image, axis=1)) for _ in range(8)]
    total = sum(np.asarray(seen(image)) for image in images)
    for axes in ((1, 2), (0, 2)):
        pixels = np.flatnonzero(total[0].sum(axis=axes))
        assert net.receptive_field - 2 * net.stride < np.ptp(pixels) + 1 <= net.receptive_field
        centre = (pixels[0] + pixels[-1]) / 2
        assert abs(centre - (net.stride * cell + net.origin)) <= 1.5


def test_vgg16_names_and_shapes():
    assert backbone("vgg16", "pool3").param_shapes == {
        "conv1_1/kernel": (3, 3, 3, 64),
        "conv1_1/bias": (64,),
        "conv1_2/kernel": (3, 3, 64, 64),
        "conv1_2/bias": (64,),
        "conv2_1/kernel": (3, 3, 64, 128),
        "conv2_1/bias": (128,),
        "conv2_2/kernel": (3, 3, 128, 128),
        "conv2_2/bias": (128,),
        "conv3_1/kernel": (3, 3, 128, 256),
        "conv3_1/bias": (256,),
        "conv3_2/kernel": (3, 3, 256, 256),
        "conv3_2/bias": (256,),
        "conv3_3/kernel": (3, 3, 256, 256),
        "conv3_3/bias": (256,),
    }
    deeper = backbone("vgg16", "pool5").param_shapes
    assert len(deeper) == 26
    assert deeper["conv4_1/kernel"] == (3, 3, 256, 512)
    assert all(deeper[f"conv{i}/kernel"] == (3, 3, 512, 512) for i in ("4_2", "4_3", "5_1", "5_3"))


def test_googlenet_has_the_names_and_shapes_of_the_file(real_weights):
    with np.load(real_weights / "googlenet_bvlc.npz") as file:
        shapes = backbone("googlenet", "inception_4e").param_shapes
        assert len(shapes) == 6 + 7 * 12
        assert {name: file[name].shape for name in shapes} == shapes


def test_only_the_layers_asked_for_have_parameters():
    blocks = [f"block{number}" for number in range(1, 13)]
    for name, layers in (
        ("vgg16", VGG16_LAYERS),
        ("googlenet", GOOGLENET_LAYERS),
        ("dinov2_vits14", [*blocks, "norm"]),
    ):
        sizes = [len(backbone(name, layer).param_shapes) for layer in layers]
        assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    assert not any(k.startswith("conv4") for k in backbone("vgg16", "pool3").param_shapes)
    keys = backbone("dinov2_vits14", "block2_keys").param_shapes
    assert {name.split("/")[1] for name in keys if name.startswith("block2")} == {"norm1", "key"}


def test_unknown_names_say_what_is_allowed():
    with pytest.raises(ConfigError, match=r"backbone\.name: 'resnet' .* vgg16, googlenet, .*dino"):
        backbone("resnet", "pool4")
    with pytest.raises(ConfigError, match=r"backbone\.layer: 'pool9' of vgg16 .* pool3.*pool5"):
        backbone("vgg16", "pool9")
    with pytest.raises(ConfigError, match=r"backbone\.layer: 'conv1_1' .* pool3"):
        backbone("vgg16", "conv1_1")
    with pytest.raises(ConfigError, match=r"backbone\.layer: 'pool4' of googlenet .* inception_4b"):
        backbone("googlenet", "pool4")
    with pytest.raises(ConfigError, match=r"backbone\.layer: 'block13' .* norm, block1, .*_keys"):
        backbone("dinov2_vits14", "block13")


@pytest.mark.parametrize("shape", [(1, 20, 16, 3), (1, 16, 17, 3), (16, 16, 3)])
def test_sides_must_be_multiples_of_the_stride(shape):
    net = backbone("vgg16", "pool3")
    with pytest.raises(ValueError, match="multiples of 8"):
        net.apply(load_weights(net, "random", seed=0).params, jnp.zeros(shape))


# --- Whole networks --------------------------------------------------------------------------


def _loop(net, params, x):
    """The network from the kernels alone, by the names of its layers."""

    def step(name, x, stride=1):
        return conv(x, params[f"{name}/kernel"], params[f"{name}/bias"], stride=stride)

    def inception(name, x):
        return jnp.concatenate(
            [
                step(f"{name}/1x1", x),
                step(f"{name}/3x3", step(f"{name}/3x3_reduce", x)),
                step(f"{name}/5x5", step(f"{name}/5x5_reduce", x)),
                step(f"{name}/pool_proj", max_pool(x, size=3, stride=1, before=1)),
            ],
            -1,
        )

    if net.name == "vgg16":
        for block, number in enumerate((2, 2, 3, 3, 3), 1):
            for i in range(number):
                x = step(f"conv{block}_{i + 1}", x)
                if net.layer == f"conv{block}_{i + 1}":
                    return x
            x = max_pool(x, size=2, stride=2)
            if net.layer == f"pool{block}":
                return x
    x = step("conv1/7x7_s2", x, 2)
    x = local_response_norm(max_pool(x, size=3, stride=2))
    x = local_response_norm(step("conv2/3x3", step("conv2/3x3_reduce", x)))
    x = max_pool(x, size=3, stride=2)
    for name in ("3a", "3b", "4a", "4b"):
        x = max_pool(x, size=3, stride=2) if name == "4a" else x
        x = inception(f"inception_{name}", x)
        if net.layer == f"inception_{name}":
            return x


@pytest.mark.parametrize(
    "name,layer", [("vgg16", "conv4_3"), ("vgg16", "pool4"), ("googlenet", "inception_4b")]
)
def test_network_equals_its_layers_by_hand(rng, name, layer):
    net = backbone(name, layer)
    params = load_weights(net, "random", seed=1).params
    images = jnp.asarray(100 * rng.normal(size=(2, 32, 48, 3)), jnp.float32)
    found = np.asarray(jax.jit(net.apply)(params, images))
    assert found.std() > 0
    expected = jax.jit(lambda params, x: _loop(net, params, x))(params, images)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * found.max())


def test_images_of_a_batch_do_not_mix(rng):
    net = backbone("googlenet", "inception_3a")
    params = load_weights(net, "random", seed=0).params
    images = jnp.asarray(100 * rng.normal(size=(3, 32, 32, 3)), jnp.float32)
    apply = jax.jit(net.apply)
    together = np.asarray(apply(params, images))
    for i in range(3):
        alone = apply(params, images[i : i + 1])[0]
        np.testing.assert_allclose(together[i], alone, rtol=1e-4, atol=1e-5 * together.max())


def test_no_images_give_no_features():
    net = backbone("vgg16", "pool3")
    params = load_weights(net, "random", seed=0).params
    assert net.apply(params, jnp.zeros((0, 16, 16, 3))).shape == (0, 2, 2, 256)


@pytest.mark.parametrize(
    "name,layer,file",
    [
        ("googlenet", "inception_4b", "googlenet_bvlc.npz"),
        ("vgg16", "pool3", "vgg16.npz"),
    ],
)
def test_real_activations(real_weights, name, layer, file):
    net = backbone(name, layer)
    weights = load_weights(net, str(real_weights / file), seed=0)
    with np.load(real_weights / "golden_backbones.npz") as golden:
        image, expected = golden["image"], golden[f"{name}_{layer}"]
    images = preprocess(jnp.asarray(image)[None], weights.preprocessing)
    found = np.asarray(jax.jit(net.apply)(weights.params, images))[0]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected)


# --- Preprocessing ---------------------------------------------------------------------------


@pytest.mark.parametrize("preprocessing", [KERAS, BVLC, IMAGENET])
def test_preprocess_equals_loop(rng, preprocessing):
    images = rng.integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    found = preprocess(jnp.asarray(images), preprocessing)
    assert found.dtype == jnp.float32
    for c in range(3):
        source = "RGB".index(preprocessing.order[c])
        expected = images[..., source] * preprocessing.scale - preprocessing.mean[c]
        np.testing.assert_allclose(
            found[..., c], expected / preprocessing.std[c], rtol=1e-5, atol=1e-5
        )


def test_preprocess_jits_with_the_preprocessing_constant():
    images = jnp.full((1, 2, 2, 3), 255, jnp.uint8)
    twice = Preprocessing("RGB", 2.0, (10.0, 0.0, 0.0), (1.0, 2.0, 1.0))
    found = jax.jit(preprocess, static_argnums=1)(images, twice)
    np.testing.assert_allclose(found[0, 0, 0], [500.0, 255.0, 510.0])


@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [
        ("vgg16", "pool3", (32, 48)),
        ("vgg16", "conv4_3", (32, 40)),
        ("googlenet", "inception_3b", (32, 48)),
        ("googlenet", "inception_4b", (48, 48)),
        ("resnet50", "layer2", (32, 48)),
    ],
)
def test_cells_halfway_are_those_of_shifted_images(rng, name, layer, shape):
    """Inside of an image, that is; what its border hides from a shifted image differs."""
    net = backbone(name, layer)
    params = load_weights(net, "random", seed=2).params
    half = net.stride // 2
    # Wide margins of one colour: what lies beyond the border is like what lies within.
    wide = -(-net.receptive_field // net.stride) * net.stride
    images = 50 * rng.normal(size=(1, *shape, 3)).astype(np.float32)
    images = np.pad(images, [(0, 0), (wide, wide), (wide, wide), (0, 0)])
    fine = np.asarray(jax.jit(functools.partial(net.apply, half_stride=True))(params, images))
    apply = jax.jit(net.apply)
    rows, columns = (side // net.stride for side in images.shape[1:3])
    assert fine.shape == (1, 2 * rows - 1, 2 * columns - 1, net.channels)
    rim = wide // net.stride // 2 + 1
    inner = (slice(None), slice(rim, rows - rim), slice(rim, columns - rim))
    for dy, dx in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        shifted = np.roll(images, (-half * dy, -half * dx), axis=(1, 2))
        expected = np.asarray(apply(params, shifted))[inner]
        found = fine[:, dy::2, dx::2][inner]
        assert expected.std() > 0
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_cells_halfway_of_a_transformer_are_those_of_shifted_images(rng):
    """Every cell sees the whole image, so the shifted ones repeat its last rows and columns."""
    net = backbone("dinov2_vits14", "block2")
    params = load_weights(net, "random", seed=2).params
    images = rng.normal(size=(2, 42, 28, 3)).astype(np.float32)
    fine = np.asarray(jax.jit(functools.partial(net.apply, half_stride=True))(params, images))
    assert fine.shape == (2, 5, 3, 384)
    apply = jax.jit(net.apply)
    for dy, dx in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        shifted = np.pad(images, [(0, 0), (0, 7), (0, 7), (0, 0)], mode="edge")
        shifted = shifted[:, 7 * dy :, 7 * dx :][:, :42, :28]
        expected = np.asarray(apply(params, shifted))[:, : 3 - dy, : 2 - dx]
        found = fine[:, dy::2, dx::2]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())
