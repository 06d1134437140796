"""The straightforward version of each stage, as one would write it first, to measure against."""

import jax.numpy as jnp
import numpy as np


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


def matrices(warps, cells):
    """Return warps [J, P, 4] as matrices [P, J, P]."""
    found = np.zeros((warps.cells.shape[1], len(warps.cells), cells), np.float32)
    for j, (index, weight) in enumerate(zip(*map(np.asarray, warps), strict=True)):
        np.add.at(found[:, j], (np.arange(len(index))[:, None], index), weight)
    return jnp.asarray(found)


def matrix_mean(own, others, matrices):
    """Average a map [P, K] and others [J, P, K] that matrices [P, J, P] warp to it."""
    total = own + jnp.einsum("pjq,jqk->pk", matrices, others)
    return total / (1.0 + jnp.sum(matrices, axis=(1, 2)))[:, None]


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
