"""The straightforward version of each stage, as one would write it first, to measure against."""

import jax.numpy as jnp
import numpy as np

from partdisc.method.cells import cell_positions
from partdisc.method.warp import invert, transform_points


def loop_ransac(target, source, columns, *, threshold, hypotheses, radius, seed):
    """Match two maps [P, D] of unit cells by a threshold and try hypotheses one by one."""
    rng = np.random.default_rng(seed)
    matched = np.argwhere(target @ source.T > threshold)
    to = np.stack(np.divmod(matched[:, 0], columns), axis=1).astype(float)
    start = np.stack(np.divmod(matched[:, 1], columns), axis=1).astype(float)
    ones = np.ones((len(start), 1))
    best, most = np.eye(3)[:2], -1
    for _ in range(hypotheses):
        chosen = rng.choice(len(start), 3, replace=False)
        system = np.concatenate([start[chosen], ones[chosen]], axis=1)
        if abs(np.linalg.det(system)) < 1:
            continue
        transform = np.linalg.solve(system, to[chosen]).T
        if not 1 / 3 <= np.linalg.det(transform[:, :2]) <= 3:
            continue
        error = np.concatenate([start, ones], axis=1) @ transform.T - to
        inliers = np.count_nonzero((error**2).sum(axis=1) <= radius**2)
        if inliers > most:
            best, most = transform, inliers
    return best


def printed_algorithm_1(mean, capacity):
    """Label cells by Algorithm 1 word for word: P arg-maxes over all of the map."""
    mean = mean.copy()
    labels = np.full(len(mean), -1)
    taken = np.zeros(mean.shape[1], int)
    for _ in range(len(mean)):
        cell, channel = np.unravel_index(mean.argmax(), mean.shape)
        labels[cell] = channel
        mean[cell] = -1
        taken[channel] += 1
        if taken[channel] == capacity[channel]:
            mean[:, channel] = -1
    return labels


def gather_warp(transform, probs, source_grid, target_grid):
    """Warp a packed map [P, K] by gathering the four cells around each point."""
    rows, columns = source_grid
    cells = probs.shape[0]
    points = transform_points(invert(transform), cell_positions(target_grid, cells))
    low = jnp.floor(points)
    fraction = points - low
    result = 0.0
    for dy in (0, 1):
        for dx in (0, 1):
            y, x = low[:, 0] + dy, low[:, 1] + dx
            weight = jnp.abs(1 - dy - fraction[:, 0]) * jnp.abs(1 - dx - fraction[:, 1])
            inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
            index = jnp.clip((y * columns + x).astype(jnp.int32), 0, cells - 1)
            result = result + jnp.where(inside, weight, 0.0)[:, None] * probs[index]
    return result


def pairwise_js(descriptors):
    """Compute the JS divergence of all pairs, one pair after the other (NumPy)."""
    count = len(descriptors)
    result = np.zeros((count, count), np.float32)

    def entropy(p):
        return -(p * np.log(np.maximum(p, 1e-30))).sum(axis=-1)

    for i in range(count):
        for j in range(count):
            p, q = descriptors[i], descriptors[j]
            divergence = entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
            result[i, j] = divergence.mean()
    return result
