"""Weights: the three kinds of files, where they are looked for, and errors."""

import hashlib
import sys

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from partdisc.backbones import backbone, load_weights, published
from partdisc.backbones.preprocessing import BVLC, IMAGENET, KERAS
from partdisc.errors import WeightsError

VGG16 = backbone("vgg16", "pool3")
GOOGLENET = backbone("googlenet", "inception_3a")
VGG16_INDEX = {  # of torchvision's vgg16().features
    "conv1_1": 0,
    "conv1_2": 2,
    "conv2_1": 5,
    "conv2_2": 7,
    "conv3_1": 10,
    "conv3_2": 12,
    "conv3_3": 14,
    "conv4_1": 17,
    "conv4_2": 19,
    "conv4_3": 21,
    "conv5_1": 24,
    "conv5_2": 26,
    "conv5_3": 28,
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty cache, no folder of weights, and a download that nobody answers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PARTDISC_WEIGHTS", raising=False)
    for name, known in published.DOWNLOADS.items():
        nowhere = known._replace(url=f"http://127.0.0.1:9/{known.file}")
        monkeypatch.setitem(published.DOWNLOADS, name, nowhere)
    return tmp_path


def _draw(net, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: (rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)
        for name, shape in net.param_shapes.items()
    }


def _write_h5(path, arrays, style):
    """As Keras wrote it: `style` is "old" for version 1, else the names of version 2."""
    pattern = {"old": "{0}/{0}_{2}_1:0", "flat": "{0}/{1}:0", "nested": "{0}/{0}/{1}:0"}[style]
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            layer, kind = name.split("/")
            short = "W" if kind == "kernel" else "b"
            file[pattern.format(f"block{layer[4]}_conv{layer[6]}", kind, short)] = array
    return path


def _state_dict(torch, arrays):
    state = {"classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}
    for name, array in arrays.items():
        layer, kind = name.split("/")
        if kind == "kernel":
            array = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
        key = f"features.{VGG16_INDEX[layer]}.{'weight' if kind == 'kernel' else 'bias'}"
        state[key] = torch.from_numpy(array)
    return state


def _assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name].dtype == jnp.float32
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


# --- Random ----------------------------------------------------------------------------------


def test_random_is_he_initialisation():
    params, preprocessing, _, origin, *kept = load_weights(VGG16, "random", seed=3)
    assert {name: array.shape for name, array in params.items()} == VGG16.param_shapes
    assert preprocessing == KERAS and origin == "random, seed 3"
    assert kept == ["random", 3]
    for name, array in params.items():
        assert array.dtype == jnp.float32
        if name.endswith("bias"):
            assert (array == 0).all()
        elif array.size > 50_000:
            expected = np.sqrt(2 / np.prod(array.shape[:-1]))
            np.testing.assert_allclose(np.std(array), expected, rtol=0.02)
            assert abs(np.mean(array)) < 0.02 * expected


def test_random_depends_on_the_seed_alone():
    first, again, other = (load_weights(VGG16, "random", seed=s) for s in (5, 5, 6))
    _assert_same(again.params, first.params)
    assert again.digest == first.digest != other.digest
    assert len(first.digest) == 64
    kernels = [name for name in first.params if name.endswith("kernel")]
    assert not any((first.params[name] == other.params[name]).all() for name in kernels)
    assert not (first.params["conv3_2/kernel"] == first.params["conv3_3/kernel"]).all()
    longer = load_weights(backbone("vgg16", "conv4_3"), "random", seed=5).params
    _assert_same({name: longer[name] for name in first.params}, first.params)


# --- Formats ---------------------------------------------------------------------------------


def test_npz(tmp_path):
    path, arrays = tmp_path / "mine.npz", _draw(VGG16)
    np.savez(path, **arrays, **{"conv4_1/bias": np.zeros(512)})
    params, preprocessing, digest, origin, *kept = load_weights(VGG16, str(path), seed=0)
    _assert_same(params, arrays)
    assert preprocessing == KERAS
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "mine.npz" in origin and digest[:8] in origin
    assert kept == [str(path), 0]

    np.savez(path, **_draw(GOOGLENET))
    assert load_weights(GOOGLENET, str(path), seed=0).preprocessing == BVLC


@pytest.mark.parametrize("style", ["old", "flat", "nested"])
def test_h5(tmp_path, style):
    path = _write_h5(tmp_path / "keras.h5", _draw(VGG16), style)
    found = load_weights(VGG16, str(path), seed=0)
    _assert_same(found.params, _draw(VGG16))
    assert found.preprocessing == KERAS


def test_h5_and_pth_cover_all_layers(tmp_path):
    torch = pytest.importorskip("torch")
    net = backbone("vgg16", "pool5")
    arrays = _draw(net)
    _write_h5(tmp_path / "keras.h5", arrays, "nested")
    torch.save(_state_dict(torch, arrays), tmp_path / "torch.pth")
    for name in ("keras.h5", "torch.pth"):
        _assert_same(load_weights(net, str(tmp_path / name), seed=0).params, arrays)


def test_pth_agrees_with_torch(tmp_path, rng):
    torch = pytest.importorskip("torch")
    net = backbone("vgg16", "pool4")
    arrays = _draw(net)
    state = _state_dict(torch, arrays)
    torch.save(state, tmp_path / "torch.pth")
    params, preprocessing, *_ = load_weights(net, str(tmp_path / "torch.pth"), seed=0)
    assert preprocessing == IMAGENET

    x = rng.normal(size=(2, 32, 48, 3)).astype(np.float32)
    found = jax.jit(net.apply)(params, jnp.asarray(x))
    y = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    for i in range(24):
        if f"features.{i}.weight" in state:
            weight, bias = state[f"features.{i}.weight"], state[f"features.{i}.bias"]
            y = torch.nn.functional.conv2d(y, weight, bias, padding=1)
        elif f"features.{i - 1}.weight" in state:
            y = torch.relu(y)
        else:
            y = torch.nn.functional.max_pool2d(y, 2)
    expected = y.numpy().transpose(0, 2, 3, 1)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_pth_without_torch_says_how_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"pip install 'partdisc\[torch\]'"):
        load_weights(VGG16, str(tmp_path / "a.pth"), seed=0)


def test_googlenet_of_torchvision_is_refused(tmp_path):
    (tmp_path / "googlenet-1378be20.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match="another network"):
        load_weights(GOOGLENET, str(tmp_path / "googlenet-1378be20.pth"), seed=0)


# --- Damaged and unfit files -----------------------------------------------------------------


def _message(net, source):
    with pytest.raises(WeightsError) as caught:
        load_weights(net, str(source), seed=0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_lacking_layer_and_wrong_shape(tmp_path):
    path, arrays = tmp_path / "a.npz", _draw(VGG16)
    lacking = {name: array for name, array in arrays.items() if name != "conv3_2/bias"}
    np.savez(path, **lacking)
    message = _message(VGG16, path)
    assert str(path) in message and "conv3_2/bias [256]" in message and "pool3" in message

    np.savez(path, **lacking, **{"conv3_2/bias": np.zeros(7, np.float32)})
    message = _message(VGG16, path)
    assert "conv3_2/bias is [7] float32, expected [256]" in message

    np.savez(path, **lacking, **{"conv3_2/bias": np.zeros(256, np.int32)})
    assert "int32" in _message(VGG16, path)

    np.savez(path, **lacking, **{"conv3_2/bias": np.full(256, np.nan, np.float32)})
    assert "conv3_2/bias has values that are not finite" in _message(VGG16, path)


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", None])
def test_damaged_file(tmp_path, suffix, content):
    if suffix == ".pth":
        torch = pytest.importorskip("torch")
    path, arrays = tmp_path / f"a{suffix}", _draw(VGG16)
    if content is None:
        if suffix == ".npz":
            np.savez(path, **arrays)
        elif suffix == ".h5":
            _write_h5(path, arrays, "nested")
        else:
            torch.save(_state_dict(torch, arrays), path)
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    assert str(path) in _message(VGG16, path)


def test_flipped_bit_in_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, **_draw(VGG16))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert str(path) in _message(VGG16, path)


def test_unknown_kind_and_absent_file(tmp_path):
    with open(tmp_path / "a.npz", "wb") as file:
        np.save(file, np.zeros(3))
    assert "single array" in _message(VGG16, tmp_path / "a.npz")
    (tmp_path / "a.ckpt").write_bytes(b"")
    message = _message(VGG16, tmp_path / "a.ckpt")
    assert "weights of vgg16 come as .npz, .h5, .pth, not as '.ckpt'" in message
    assert "no file or folder" in _message(VGG16, tmp_path / "absent.npz")


KERAS_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


@pytest.mark.parametrize(
    "name,digest",
    [("vgg16-397923af.pth", "397923af"), (KERAS_FILE, "6d6bbae143d832006294945121d1f1fc")],
)
def test_published_names_are_checked(tmp_path, name, digest):
    path = tmp_path / name
    if path.suffix == ".h5":
        _write_h5(path, _draw(VGG16), "nested")
    else:
        path.write_bytes(b"x")
    message = _message(VGG16, path)
    assert str(path) in message and digest in message
    if path.suffix == ".h5":  # by another name the same bytes are the user's own business
        load_weights(VGG16, str(path.rename(tmp_path / "other.h5")), seed=0)


# --- Where files are looked for --------------------------------------------------------------


def test_folder_takes_the_first_file_that_has_all_layers(tmp_path):
    assert "no file vgg16*{.npz,.h5,.pth}" in _message(VGG16, tmp_path)
    short = {name: array for name, array in _draw(VGG16).items() if name < "conv3"}
    np.savez(tmp_path / "vgg16_a_short.npz", **short)
    np.savez(tmp_path / "googlenet.npz", **_draw(GOOGLENET))
    message = _message(VGG16, tmp_path)
    assert "vgg16_a_short.npz lacks conv3_1/" in message and "vgg16 up to pool3" in message

    _write_h5(tmp_path / "vgg16.h5", _draw(VGG16, seed=1), "old")
    _assert_same(load_weights(VGG16, str(tmp_path), seed=0).params, _draw(VGG16, seed=1))
    np.savez(tmp_path / "vgg16_full.npz", **_draw(VGG16, seed=2))
    _assert_same(load_weights(VGG16, str(tmp_path), seed=0).params, _draw(VGG16, seed=2))
    _assert_same(load_weights(GOOGLENET, str(tmp_path), seed=0).params, _draw(GOOGLENET))


def test_automatic_looks_in_the_variable_then_in_the_cache(home, monkeypatch):
    cache, named = home / "cache" / "partdisc", home / "named"
    cache.mkdir(parents=True)
    np.savez(cache / "vgg16.npz", **_draw(VGG16, seed=1))
    _assert_same(load_weights(VGG16, "", seed=0).params, _draw(VGG16, seed=1))

    named.mkdir()
    monkeypatch.setenv("PARTDISC_WEIGHTS", str(named))
    _assert_same(load_weights(VGG16, "", seed=0).params, _draw(VGG16, seed=1))
    np.savez(named / "vgg16.npz", **_draw(VGG16, seed=2))
    _assert_same(load_weights(VGG16, "", seed=0).params, _draw(VGG16, seed=2))

    monkeypatch.setenv("PARTDISC_WEIGHTS", str(home / "absent"))
    assert "PARTDISC_WEIGHTS: no folder" in _message(VGG16, "")


@pytest.mark.parametrize(
    "net,pattern",
    [
        (GOOGLENET, "googlenet*.npz"),
        (backbone("dinov2_vits14_reg", "norm"), "dinov2_vits14_reg*.safetensors"),
    ],
)
def test_some_have_no_download(net, pattern):
    message = _message(net, "")
    assert "no default download" in message and f"put {pattern} in" in message


@pytest.mark.parametrize(
    "net,file",
    [
        (VGG16, KERAS_FILE),
        (backbone("dinov2_vits14", "block3"), "dinov2_vits14-ae1e99fc.safetensors"),
        (backbone("dinov2_vitb14_reg", "norm"), "dinov2_vitb14_reg-7a6f7b3b.safetensors"),
    ],
)
def test_offline_says_where_to_put_the_file(home, net, file):
    message = _message(net, "")
    assert str(home / "cache" / "partdisc" / file) in message
    assert f"http://127.0.0.1:9/{file}" in message and "backbone.weights=random" in message


# Before a test makes them answer from nowhere.
DOWNLOADS = dict(published.DOWNLOADS)


def test_downloads_are_of_fixed_bytes():
    for name, known in DOWNLOADS.items():
        assert known.url.startswith("https://") and known.file.startswith(name.partition("_")[0])
        assert len(known.digest) == {"md5": 32, "sha256": 64}[known.algorithm]
        if name.startswith("dinov2"):
            assert "/resolve/main/" not in known.url


def test_real_files_are_found(real_weights, monkeypatch, tmp_path):
    monkeypatch.setenv("PARTDISC_WEIGHTS", str(real_weights))
    found = load_weights(backbone("googlenet", "inception_4b"), "", seed=0)
    assert found.digest.startswith("6dd63fa6") and found.preprocessing == BVLC
    for layer in ("pool3", "pool4", "conv5_3"):
        found = load_weights(backbone("vgg16", layer), "", seed=0)
        assert found.digest.startswith("3cbf5016") and found.preprocessing == KERAS
    # Where only the first layers are, the search goes on to the download, which is off here.
    with np.load(real_weights / "vgg16.npz") as file:
        np.savez(tmp_path / "vgg16_part.npz", **{name: file[name] for name in VGG16.param_shapes})
    monkeypatch.setenv("PARTDISC_WEIGHTS", str(tmp_path))
    assert load_weights(VGG16, "", seed=0).params.keys() == VGG16.param_shapes.keys()
    assert "cannot download" in _message(backbone("vgg16", "pool4"), "")
