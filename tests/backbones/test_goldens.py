"""Whole networks against activations that PyTorch and transformers gave (`make_goldens.py`)."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from goldens import (
    DINOV2,
    IMAGE_SIZES,
    RESNET50_SIZES,
    VGG16_CROPS,
    cells,
    image,
    resnet50_state,
    state_dict,
)

from partdisc.backbones import backbone, formats, load_weights, preprocess
from partdisc.errors import WeightsError


@functools.cache
def known():
    with np.load(pathlib.Path(__file__).parent / "goldens.npz") as file:
        return dict(file)


def assert_golden(name, layer, label, weights, pixels):
    net = backbone(name, layer)
    images = preprocess(jnp.asarray(pixels)[None], weights.preprocessing)
    params = {key: weights.params[key] for key in net.param_shapes}
    maps = np.asarray(jax.jit(net.apply)(params, images))[0]
    some = np.stack([maps[y, x] for y, x in cells(*maps.shape[:2])])
    for found, kind in ((some, "cells"), (np.linalg.norm(maps, axis=-1), "norms")):
        expected = known()[f"{name}/{layer}/{label}/{kind}"]
        assert found.shape == expected.shape and expected.std() > 0
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
        assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("label", VGG16_CROPS)
def test_vgg16(real_weights, label):
    weights = load_weights(backbone("vgg16", "conv5_3"), str(real_weights / "vgg16.npz"), seed=0)
    with np.load(real_weights / "golden_backbones.npz") as golden:
        photo = golden["image"][VGG16_CROPS[label]]
    for layer in ("conv4_3", "pool4", "conv5_3"):
        assert_golden("vgg16", layer, label, weights, photo)


@pytest.mark.parametrize("height,width", RESNET50_SIZES)
def test_resnet50(monkeypatch, tmp_path, height, width):
    """Its file needs PyTorch to be read, what is done with the content does not."""
    (tmp_path / "resnet50.pth").touch()
    monkeypatch.setattr(formats, "_state", lambda path: resnet50_state())
    weights = load_weights(backbone("resnet50", "layer3"), str(tmp_path), seed=0)
    for layer in ("layer2", "layer3"):
        assert_golden("resnet50", layer, f"{height}x{width}", weights, image(height, width))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as the publisher's: `model.safetensors`, and what else lies there."""

    @functools.cache
    def make(name):
        path = tmp_path_factory.mktemp(name)
        arrays = state_dict(name) | {"embeddings.mask_token": np.zeros((1, DINOV2[name][0]))}
        safetensors.numpy.save_file(arrays, path / "model.safetensors")
        (path / "config.json").write_text("{}")
        return path

    return make


@pytest.mark.parametrize("height,width", IMAGE_SIZES)
@pytest.mark.parametrize("name", DINOV2)
def test_dinov2(folder, name, height, width):
    weights = load_weights(backbone(name, "norm"), str(folder(name)), seed=0)
    # The layers before the last are parts of it: one size is enough for them.
    before = ("block7", "block9_keys") if (height, width) == IMAGE_SIZES[1] else ()
    for layer in ("norm", *before):
        assert_golden(name, layer, f"{height}x{width}", weights, image(height, width))


def test_dinov2_by_the_names_of_other_versions(folder, tmp_path):
    """Projections of the attention have had two names."""
    arrays = {
        key.replace("attention.attention.query", "attention.q_proj")
        .replace("attention.attention.key", "attention.k_proj")
        .replace("attention.attention.value", "attention.v_proj")
        .replace("attention.output.dense", "attention.o_proj"): array
        for key, array in state_dict("dinov2_vits14").items()
    }
    safetensors.numpy.save_file(arrays, tmp_path / "mine.safetensors")
    net = backbone("dinov2_vits14", "norm")
    found = load_weights(net, str(tmp_path / "mine.safetensors"), seed=0)
    expected = load_weights(net, str(folder("dinov2_vits14")), seed=0)
    for name, array in expected.params.items():
        np.testing.assert_array_equal(found.params[name], array, err_msg=name)


@pytest.mark.parametrize(
    "name,other,mend",
    [
        ("dinov2_vits14_reg", "dinov2_vits14", "dinov2_vits14_reg"),
        ("dinov2_vits14", "dinov2_vits14_reg", "dinov2_vits14"),
        ("dinov2_vits14", "dinov2_vitb14", "dinov2_vits14"),
        ("dinov2_vits14_reg", "dinov2_vitb14", "dinov2_vits14_reg"),
    ],
)
def test_dinov2_of_another_kind_is_refused(folder, name, other, mend):
    message = rf"is of {name}, not of {other}; set backbone\.name to {mend}$"
    with pytest.raises(WeightsError, match=message):
        load_weights(backbone(other, "norm"), str(folder(name)), seed=0)


def test_dinov2_of_a_size_that_is_not_here_is_refused(tmp_path):
    arrays = {"embeddings.cls_token": np.zeros((1, 1, 1024), np.float32)}
    safetensors.numpy.save_file(arrays, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="is of a network of width 1024 with 0 registers, not"):
        load_weights(backbone("dinov2_vitb14", "norm"), str(tmp_path), seed=0)


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
def test_dinov2_in_half_precision_and_under_a_name(tmp_path, kind):
    """A model with a head keeps the network under a name of its own."""
    arrays = {
        f"dinov2.{key}": array.astype(kind) for key, array in state_dict("dinov2_vits14").items()
    }
    arrays["classifier.weight"] = np.zeros((2, 768), kind)
    safetensors.numpy.save_file(arrays, tmp_path / "model.safetensors")
    net = backbone("dinov2_vits14", "block1")
    found = load_weights(net, str(tmp_path), seed=0).params["block1/query/kernel"]
    expected = state_dict("dinov2_vits14")["encoder.layer.0.attention.attention.query.weight"]
    np.testing.assert_array_equal(found, expected.astype(kind).astype(np.float32).T)


def test_a_folder_of_many_networks(folder, tmp_path, monkeypatch):
    """In the folder that is always searched, a file that any network may have is of none."""
    named, cache = tmp_path / "named", tmp_path / "cache" / "partdisc"
    for place in (named, cache):
        place.mkdir(parents=True)
    monkeypatch.setenv("PARTDISC_WEIGHTS", str(named))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    (named / "model.safetensors").symlink_to(folder("dinov2_vits14") / "model.safetensors")
    file = cache / "dinov2_vits14_reg.safetensors"
    file.symlink_to(folder("dinov2_vits14_reg") / "model.safetensors")
    found = load_weights(backbone("dinov2_vits14_reg", "norm"), "", seed=0)
    assert found.source == str(file)


def test_weights_in_pieces(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(WeightsError, match="in several pieces there; join them"):
        load_weights(backbone("dinov2_vits14", "norm"), str(tmp_path), seed=0)


def _resnet50_message(monkeypatch, tmp_path, change):
    state = resnet50_state()
    change(state)
    (tmp_path / "resnet50.pth").touch()
    monkeypatch.setattr(formats, "_state", lambda path: state)
    with pytest.raises(WeightsError) as caught:
        load_weights(backbone("resnet50", "layer3"), str(tmp_path), seed=0)
    return str(caught.value)


def test_a_deeper_resnet_is_refused(monkeypatch, tmp_path):
    def deeper(state):
        for name in [name for name in state if name.startswith("layer3.5.")]:
            state[name.replace("layer3.5.", "layer3.6.")] = state[name]

    assert "deeper network than ResNet-50" in _resnet50_message(monkeypatch, tmp_path, deeper)


def test_a_resnet_that_lacks_a_statistic(monkeypatch, tmp_path):
    message = _resnet50_message(monkeypatch, tmp_path, lambda state: state.pop("bn1.running_var"))
    assert "resnet50.pth lacks conv1/" in message


def test_a_resnet_of_parameters(tmp_path):
    """As old files hold them, with what is left of training, in halves."""
    torch = pytest.importorskip("torch")
    state = {
        name: torch.nn.Parameter(torch.from_numpy(array).half()) if array.ndim else torch.tensor(1)
        for name, array in resnet50_state().items()
    }
    torch.save(state | {"epoch": 3}, tmp_path / "resnet50.pth")
    found = load_weights(backbone("resnet50", "layer2"), str(tmp_path), seed=0)
    assert np.isfinite(found.params["layer2.3/conv3/kernel"]).all()
    torch.save({"state_dict": state}, tmp_path / "resnet50.pth")
    with pytest.raises(WeightsError, match="no tensors under names"):
        load_weights(backbone("resnet50", "layer2"), str(tmp_path), seed=0)


def test_files_of_both_kinds_lie_in_one_folder(folder, tmp_path):
    for name in ("dinov2_vits14", "dinov2_vits14_reg"):
        (tmp_path / f"{name}.safetensors").symlink_to(folder(name) / "model.safetensors")
    for name in ("dinov2_vits14", "dinov2_vits14_reg"):
        found = load_weights(backbone(name, "norm"), str(tmp_path), seed=0)
        assert found.source.endswith(f"{name}.safetensors")


def test_damaged_safetensors(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(WeightsError, match="a.safetensors: not a readable .safetensors file"):
        load_weights(backbone("dinov2_vits14", "norm"), str(tmp_path / "a.safetensors"), seed=0)
