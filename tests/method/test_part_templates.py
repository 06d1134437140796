"""The part templates and their loss against loops, their properties, and degenerate maps."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import jitted

from partdisc.method.part_templates import (
    log_map_likelihood,
    mutual_information,
    part_templates,
    template_loss,
    template_peaks,
)

log_map_likelihood, mutual_information, part_templates, template_loss, template_peaks = jitted(
    log_map_likelihood, mutual_information, part_templates, template_loss, template_peaks
)

TAU, BETA = 2.0, 4.0
GRIDS = [(4, 4), (3, 5), (5, 3), (2, 7), (1, 1), (1, 9)]
CELLS = 17


def loop_templates(grid, cells: int) -> np.ndarray:
    """Return [n * n + 1, P], cell by cell."""
    rows, columns = grid
    side, size = math.isqrt(cells), math.sqrt(rows * columns)
    templates = np.zeros((side * side + 1, cells))
    for number in range(side * side):
        y = (number // side + 0.5) * rows / side - 0.5
        x = (number % side + 0.5) * columns / side - 0.5
        for cell in range(rows * columns):
            away = abs(cell // columns - y) + abs(cell % columns - x)
            templates[number, cell] = TAU * max(1 - BETA * away / size, -1)
    templates[-1, : rows * columns] = -TAU
    return templates


def loop_likelihood(maps: np.ndarray, templates: np.ndarray) -> np.ndarray:
    """Return p(x|T) [B, n * n + 1] of a part's maps [B, P] by [B, n * n + 1, P]."""
    fits = np.array(
        [
            [math.exp(float(x @ template)) for template in own]
            for x, own in zip(maps, templates, strict=True)
        ]
    )
    return fits / fits.sum(axis=0)


def loop_information(maps: np.ndarray, templates: np.ndarray) -> float:
    """Return MI(X; T) of one part, with the paper's own prior."""
    positive = templates.shape[1] - 1
    alpha = positive / (1 + positive)
    prior = [alpha / positive] * positive + [1 - alpha]
    given = loop_likelihood(maps, templates)
    total = 0.0
    for x in range(len(maps)):
        evidence = sum(p * q for p, q in zip(prior, given[x], strict=True))
        for p, q in zip(prior, given[x], strict=True):
            total += p * q * math.log(q / evidence)
    return total


def loop_loss(maps: np.ndarray, grids) -> float:
    templates = np.stack([loop_templates(grid, maps.shape[1]) for grid in grids])
    parts = maps.shape[2]
    return -sum(loop_information(maps[:, :, k], templates) for k in range(parts)) / parts


def random_maps(rng, grids, parts: int = 3) -> np.ndarray:
    """Make maps [B, P, K] of probabilities, 0 where there is no cell."""
    logits = 3 * rng.standard_normal((len(grids), CELLS, parts + 1))
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    exists = [np.arange(CELLS) < rows * columns for rows, columns in grids]
    return probs[..., :-1] * np.array(exists)[..., None]


def built(grid, cells: int = CELLS, **options) -> np.ndarray:
    options = {"tau": TAU, "beta": BETA} | options
    return np.asarray(part_templates(jnp.array(grid, jnp.int32), cells, **options))


def loss_of(maps, grids):
    return template_loss(
        jnp.asarray(maps, jnp.float32), jnp.array(grids, jnp.int32), tau=TAU, beta=BETA
    )


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("cells", [16, 17, 30])
def test_templates_equal_the_loop(grid, cells):
    if grid[0] * grid[1] <= cells:
        np.testing.assert_allclose(built(grid, cells), loop_templates(grid, cells), atol=1e-5)


def test_on_a_square_map_the_peaks_are_the_cells():
    peaks = np.asarray(template_peaks(jnp.array([4, 4], jnp.int32), 4))
    cells = [(y, x) for y in range(4) for x in range(4)]
    np.testing.assert_allclose(peaks, cells, atol=1e-6)
    templates = built((4, 4), 16)
    np.testing.assert_array_equal(templates[:16].argmax(axis=1), np.arange(16))
    np.testing.assert_allclose(np.diag(templates[:16]), TAU, rtol=1e-6)
    # Distance is symmetric.
    np.testing.assert_allclose(templates[:16], templates[:16].T, atol=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
def test_templates_keep_their_bounds_and_end_with_the_map(grid):
    templates, count = built(grid), grid[0] * grid[1]
    assert templates.shape == (17, CELLS)
    assert templates.max() <= TAU + 1e-6 and templates.min() >= -TAU
    np.testing.assert_array_equal(templates[:, count:], 0.0)
    np.testing.assert_array_equal(templates[-1, :count], np.float32(-TAU))


def test_templates_scale_with_tau_and_narrow_with_beta():
    np.testing.assert_allclose(built((4, 4), tau=3 * TAU), 3 * built((4, 4)), rtol=1e-5)
    assert (built((4, 4), beta=2 * BETA) <= built((4, 4)) + 1e-6).all()


def test_a_transposed_map_has_transposed_templates():
    wide = built((3, 5))[:16, :15].reshape(4, 4, 3, 5)
    high = built((5, 3))[:16, :15].reshape(4, 4, 5, 3)
    np.testing.assert_allclose(wide, high.transpose(1, 0, 3, 2), atol=1e-5)


@pytest.mark.parametrize("grids", [[(4, 4)] * 3, GRIDS])
def test_likelihood_information_and_loss_equal_the_loops(rng, grids):
    maps = random_maps(rng, grids)
    templates = np.stack([loop_templates(grid, CELLS) for grid in grids])
    for k in range(maps.shape[2]):
        traces = np.einsum("btp,bp->bt", templates, maps[:, :, k]).astype(np.float32)
        np.testing.assert_allclose(
            np.exp(log_map_likelihood(traces)),
            loop_likelihood(maps[:, :, k], templates),
            rtol=1e-4,
        )
        expected = loop_information(maps[:, :, k], templates)
        assert float(mutual_information(traces)) == pytest.approx(expected, rel=1e-3, abs=1e-6)
        assert 0 < expected < math.log(len(grids))
    assert float(loss_of(maps, grids)[0]) == pytest.approx(loop_loss(maps, grids), rel=1e-3)


def test_the_gradient_equals_finite_differences(rng):
    grids = [(4, 4), (3, 5), (2, 7)]
    maps = random_maps(rng, grids, parts=2)
    found = np.asarray(jax.grad(lambda x: loss_of(x, grids)[0])(jnp.asarray(maps, jnp.float32)))
    wanted = np.zeros(maps.shape)
    for place in np.ndindex(maps.shape):
        ends = []
        for step in (1e-5, -1e-5):
            moved = maps.copy()
            moved[place] += step
            ends.append(loop_loss(moved, grids))
        wanted[place] = (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose(found, wanted, atol=1e-3 * np.abs(wanted).max())
    for b, (rows, columns) in enumerate(grids):
        np.testing.assert_array_equal(found[b, rows * columns :], 0.0)


def test_equal_maps_say_nothing():
    maps = np.tile(np.eye(CELLS)[5][None, :, None], (4, 1, 2))
    assert float(loss_of(maps, [(4, 4)] * 4)[0]) == pytest.approx(0.0, abs=1e-5)


def test_a_peak_in_another_place_in_each_image_says_more_than_two_peaks_or_none():
    grids = [(4, 4)] * 4
    single = np.zeros((4, CELLS, 1))
    single[range(4), [0, 3, 12, 15]] = 1.0
    double = single + single[::-1]
    losses = [float(loss_of(maps, grids)[0]) for maps in (single, double, 0 * single)]
    assert losses[0] < losses[1] < losses[2] + 1e-6
    assert losses[2] == pytest.approx(0.0, abs=1e-6)


def test_a_part_that_some_images_lack_is_positive_where_it_is():
    maps = np.zeros((4, CELLS, 1))
    maps[:2, 5] = 1.0
    loss, positive = loss_of(maps, [(4, 4)] * 4)
    assert positive.shape == (4, 1)
    np.testing.assert_array_equal(positive[:, 0], [True, True, False, False])
    assert float(loss) < -0.1


@pytest.mark.parametrize(
    "grids",
    [[(4, 4)] * 2, [(1, 1)] * 3, [(0, 0), (4, 4)], [(4, 4)]],
    ids=["zero maps", "one cell", "no cell", "one image"],
)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_degenerate_maps_give_finite_loss_and_gradient(grids, value):
    maps = np.zeros((len(grids), CELLS, 2), np.float32)
    maps[0, : grids[0][0] * grids[0][1]] = value
    loss, gradient = jax.value_and_grad(lambda x: loss_of(x, grids)[0])(maps)
    assert -math.log(len(grids)) - 1e-5 <= float(loss) <= 1e-5
    assert np.isfinite(gradient).all()


def test_a_packed_length_of_one_cell(rng):
    maps = rng.random((3, 1, 2)).astype(np.float32)
    loss, positive = loss_of(maps, [(1, 1)] * 3)
    assert -math.log(3) <= float(loss) <= 0.0 and positive.shape == (3, 2)


def test_steep_templates_do_not_overflow(rng):
    maps = random_maps(rng, [(4, 4)] * 3).astype(np.float32)
    grids = jnp.full((3, 2), 4, jnp.int32)
    steep = functools.partial(template_loss, grids=grids, tau=1e4, beta=BETA)
    loss, gradient = jax.value_and_grad(lambda x: steep(x)[0])(jnp.asarray(maps))
    assert -math.log(3) <= float(loss) < 0.0 and np.isfinite(gradient).all()
