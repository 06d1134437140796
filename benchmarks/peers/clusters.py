"""Clustering beside PyTorch, scikit-learn and faiss."""

import faiss
import jax.numpy as jnp
import numpy as np
import sklearn.cluster
import torch
import torch.nn.functional as F

from benchmarks.inputs import CHANNELS, PARTS
from benchmarks.race import Race, Way
from partdisc.method import clusters, kmeans

VECTORS, ITERATIONS, KAPPA = 40_000, 2, 30.0


def _vectors() -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors [n, C] in 600 heaps, and first centres [K, C]."""
    rng = np.random.default_rng(0)
    heaps = rng.normal(size=(600, CHANNELS)).astype(np.float32)
    vectors = rng.normal(size=(VECTORS, CHANNELS)).astype(np.float32)
    vectors += 2 * heaps[rng.integers(0, len(heaps), VECTORS)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, vectors[rng.permutation(VECTORS)[:PARTS]].copy()


def mixture() -> Race:
    """An iteration of the von Mises-Fisher mixture."""
    vectors, start = _vectors()
    device = jnp.asarray(vectors)
    first = clusters.Mixture(jnp.asarray(start), jnp.full(PARTS, 1.0 / PARTS))
    tensor, centres = torch.from_numpy(vectors), torch.from_numpy(start)
    shares = torch.full((PARTS,), 1.0 / PARTS)

    @torch.inference_mode()
    def theirs():
        joint = KAPPA * (tensor @ centres.T) + shares.log()
        responsibility = (joint - joint.logsumexp(1)[:, None]).exp()
        return F.normalize(responsibility.T @ tensor, dim=1).numpy(), responsibility.mean(0).numpy()

    def ours():
        return clusters.em_step(first, device, KAPPA)

    apart = np.abs(np.asarray(ours()[0].centres) - theirs()[0]).max()
    ways = [Way("partdisc", ours, 1), Way("torch", theirs, 1)]
    return Race("vMF iteration", "iterations", ways, [f"largest difference: {apart:.0e}"])


def lloyd() -> Race:
    """Iterations of k-means."""
    vectors, start = _vectors()
    device, tensor = jnp.asarray(vectors), torch.from_numpy(vectors)

    def ours():
        centres = jnp.asarray(start)
        for _ in range(ITERATIONS):
            centres, distance = kmeans.lloyd_step(centres, device)
            float(distance)
        return centres

    @torch.inference_mode()
    def by_torch():
        centres = torch.from_numpy(start)
        for _ in range(ITERATIONS):
            owner = (centres.square().sum(1) - 2 * tensor @ centres.T).argmin(1)
            sums = torch.zeros_like(centres).index_add_(0, owner, tensor)
            centres = sums / owner.bincount(minlength=PARTS).clamp(min=1)[:, None]
        return centres.numpy()

    def by_sklearn():
        options = {"n_init": 1, "max_iter": ITERATIONS, "tol": 0, "algorithm": "lloyd"}
        return sklearn.cluster.KMeans(PARTS, init=start, **options).fit(vectors).cluster_centers_

    def by_faiss():
        options = {"max_points_per_centroid": VECTORS, "min_points_per_centroid": 1}
        model = faiss.Kmeans(CHANNELS, PARTS, niter=ITERATIONS, seed=0, **options)
        model.train(vectors, init_centroids=start)
        return model.centroids

    # A cluster that lost all of its vectors starts again with us, and is nothing with PyTorch.
    theirs = by_torch()
    apart = np.abs(np.asarray(ours()) - theirs)[np.any(theirs != 0, axis=1)].max()
    peers = {"torch": by_torch, "scikit-learn": by_sklearn, "faiss": by_faiss}
    ways = [Way(name, work, ITERATIONS) for name, work in ({"partdisc": ours} | peers).items()]
    return Race("k-means iteration", "iterations", ways, [f"largest difference: {apart:.0e}"])
