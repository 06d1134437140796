"""Label-free quality: channels that repeat themselves, and the choice among them."""

import jax.numpy as jnp
import numpy as np
import pytest

from partdisc.config import base_config
from partdisc.detector import Detector
from partdisc.discovery import label_free
from partdisc.discovery.images import Images
from partdisc.discovery.label_free import LabelFree, best_channels, measure
from partdisc.discovery.settings import step_settings


def planted(rng, *, images=6, parts=5, channels=16, cells=9):
    """Make images of 3 x 3 cells: cell p shows direction p mod parts, with a little noise."""
    directions = np.linalg.qr(rng.normal(size=(channels, channels)))[0][:parts]
    features = directions[np.arange(cells) % parts][None] + rng.normal(
        scale=0.02, size=(images, cells, channels)
    )
    features /= np.linalg.norm(features, axis=-1, keepdims=True)
    packed = Images(
        jnp.asarray(features, jnp.float16),
        jnp.full((images, 2), 3, jnp.int32),
        jnp.ones((images, cells)),
        jnp.zeros(channels),
    )
    pools = np.array([[(i + 1) % images, (i + 2) % images] for i in range(images)], np.int32)
    params = {
        "centres": jnp.asarray(directions, jnp.float32),
        "background": jnp.asarray(-directions.sum(axis=0), jnp.float32),
    }
    config = base_config()
    config.parts.count = parts
    config.alignment.transform = "none"
    settings = step_settings(config)
    detector = Detector(None, None, None, settings.layer, params, np.zeros(channels), None, 1)
    return settings, detector, packed, pools


def test_images_that_agree(rng):
    quality = measure(*planted(rng), seed=0)
    assert quality.agreement == 1.0
    assert quality.background_argmax == 0.0
    assert quality.channels_in_use == 1.0
    np.testing.assert_allclose(quality.repeatability, 1.0, atol=1e-2)
    assert (quality.strength > 0.9).all()


def test_images_that_do_not_agree(rng):
    settings, detector, images, pools = planted(rng)
    shuffled = np.asarray(images.features).copy()
    for image in shuffled:
        rng.shuffle(image)
    quality = measure(
        settings, detector, images._replace(features=jnp.asarray(shuffled)), pools, seed=0
    )
    assert quality.agreement < 0.8
    assert quality.repeatability.mean() < 0.8


def test_an_unused_channel_and_a_background(rng):
    settings, detector, images, pools = planted(rng)
    params = detector.params
    params["centres"] = params["centres"].at[0].set(-params["centres"][0])
    params["background"] = jnp.asarray(-params["centres"][0])
    quality = measure(settings, detector, images, pools, seed=0)
    # Cells 0 and 5 of 9 show the direction that the background now answers to.
    assert quality.background_argmax == pytest.approx(2 / 9)
    assert quality.channels_in_use == pytest.approx(4 / 5)
    assert quality.strength[0] < 1e-3


def test_the_last_batch_counts_no_image_twice(rng, monkeypatch):
    settings, detector, images, pools = planted(rng)
    shuffled = np.asarray(images.features).copy()
    for image in shuffled:
        rng.shuffle(image)
    images = images._replace(features=jnp.asarray(shuffled))
    together = []
    for batch in (4, 6):
        monkeypatch.setattr(label_free, "BATCH", batch)
        together.append(measure(settings, detector, images, pools, seed=0))
    assert together[0].agreement == pytest.approx(together[1].agreement)
    np.testing.assert_allclose(together[0].strength, together[1].strength, rtol=1e-5)


def quality_of(worth):
    worth = np.asarray(worth, float)
    return LabelFree(1.0, 0.0, 1.0, worth, np.ones_like(worth))


def test_best_channels_are_different_parts(rng):
    points = rng.uniform(0, 100, (20, 4, 2))
    points[:, 2] = points[:, 0] + 1.0  # channel 2 finds what channel 0 finds
    chosen = best_channels(quality_of([0.9, 0.2, 0.8, 0.5]), points, np.full(20, 100.0), 4)
    np.testing.assert_array_equal(chosen, [0, 3, 1])
    chosen = best_channels(quality_of([0.9, 0.2, 0.8, 0.5]), points, np.full(20, 100.0), 2)
    np.testing.assert_array_equal(chosen, [0, 3])


def test_best_channels_without_a_peak(rng):
    points = np.full((3, 2, 2), np.nan)
    chosen = best_channels(quality_of([0.1, 0.2]), points, np.full(3, 10.0), 5)
    np.testing.assert_array_equal(chosen, [1, 0])
