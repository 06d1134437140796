"""A training step beside PyTorch's autograd, OpenCV's RANSAC and Algorithm 1 in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.inputs import CELLS, GRID, PARTS, images, positions
from benchmarks.peers.alignment import SEARCHES, estimate, mutual
from benchmarks.race import Race, Way
from partdisc.config import base_config
from partdisc.discovery.images import Images, gather
from partdisc.discovery.settings import step_settings
from partdisc.discovery.step import initial_state, step_members, train_step
from partdisc.discovery.supervision import StepSettings, forward, supervise
from partdisc.method.part_layer import initial_params

IMAGES, BATCH, POOL = 64, 4, 15


def algorithm_1(mean: np.ndarray, open_cells: np.ndarray, capacity: int) -> np.ndarray:
    """Label the cells of a mean map [P, K] by the paper's loop: the largest value that is left."""
    mean = np.where(open_cells[:, None], mean, -1.0)
    labels, taken = np.full(len(mean), -1), np.zeros(mean.shape[1], int)
    for _ in range(int(open_cells.sum())):
        cell, channel = divmod(int(mean.argmax()), mean.shape[1])
        labels[cell] = channel
        mean[cell] = -1.0
        taken[channel] += 1
        if taken[channel] == capacity:
            mean[:, channel] = -1.0
    return labels


def otsu(values: np.ndarray) -> float:
    """Return the value up to which the lower of Otsu's two classes of values [n] goes."""
    values = np.sort(values)
    lower = np.arange(1, len(values))
    sums = np.cumsum(values)[:-1]
    apart = sums / lower - (values.sum() - sums) / (len(values) - lower)
    return values[np.argmax(lower * (len(values) - lower) * apart**2)]


class TorchStep:
    """The step as one would write it with PyTorch, on the same images, pools and params.

    Attributes:
      labels: int [B, P] of the last step.
    """

    def __init__(self, features, saliency, pools, settings: StepSettings, params):
        """Copy what the step needs."""
        self.features, self.saliency = torch.from_numpy(features), torch.from_numpy(saliency)
        self.pools, self.settings = pools, settings
        layer = np.concatenate([params["centres"], np.asarray(params["background"])[None]])
        self.weight = torch.nn.Parameter(torch.tensor(layer))
        self.optimizer = torch.optim.Adagrad([self.weight], lr=base_config().train.learning_rate)
        ones = np.ones((CELLS, 1), np.float32)
        self.homogeneous = torch.from_numpy(np.concatenate([positions(), ones], axis=1))
        self.labels = np.full((BATCH, CELLS), -1)

    def _search(self, unit: torch.Tensor, search: tuple) -> np.ndarray:
        """Return transforms [B, J, 3, 3] of the neighbours to their targets."""
        found = np.tile(np.eye(3), (BATCH, POOL, 1, 1))
        for b in range(BATCH):
            for j in range(POOL):
                threshold = self.settings.matching.threshold
                affine = estimate(*mutual(unit[b, 0], unit[b, 1 + j], threshold), search)
                if affine is not None and abs(np.linalg.det(affine[:, :2])) > 1e-3:
                    found[b, j, :2] = affine
        return found

    def step(self, search: tuple, transforms: np.ndarray | None = None) -> float:
        """Do a step on the first images, with transforms found or given; return the loss."""
        targets = np.arange(BATCH)
        index = np.concatenate([targets[:, None], self.pools[targets]], axis=1)
        features = self.features[torch.from_numpy(index).long()].float()
        kappa = self.settings.layer.kappa
        probs = (kappa * features @ F.normalize(self.weight, dim=1).T).softmax(-1)
        with torch.no_grad():
            peaks = probs / probs.amax(2, keepdim=True)
            if transforms is None:
                transforms = self._search(F.normalize(peaks, dim=-1), search)
            inverse = torch.from_numpy(np.linalg.inv(transforms)[..., :2, :].astype(np.float32))
            at = self.homogeneous @ inverse.transpose(-1, -2)
            span = torch.tensor([GRID[0] - 1.0, GRID[1] - 1.0])
            grids = (2 * at / span - 1).flip(-1).reshape(BATCH * POOL, *GRID, 2)

        def warp(maps: torch.Tensor) -> torch.Tensor:
            channels = maps.shape[-1]
            maps = maps.reshape(-1, *GRID, channels).permute(0, 3, 1, 2)
            warped = F.grid_sample(maps, grids, align_corners=True)
            return warped.permute(0, 2, 3, 1).reshape(BATCH, POOL, CELLS, channels)

        with torch.no_grad():
            coverage = warp(torch.ones(BATCH, POOL, CELLS, 1)).sum(1)
            self._label(peaks, self.saliency[torch.from_numpy(index).long()], warp, coverage)
        mean = (probs[:, 0] + warp(probs[:, 1:]).sum(1)) / (1 + coverage)
        wanted = torch.from_numpy(self.labels)
        picked = mean.gather(2, wanted.clamp(min=0)[..., None])[..., 0].clamp(min=1e-20)
        counted = (wanted >= 0).float()
        loss = (-(picked.log() * counted).sum(1) / counted.sum(1).clamp(min=1)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def _label(self, peaks, saliency, warp, coverage) -> None:
        seen = (warp(peaks[:, 1:]).sum(1) / coverage.clamp(min=1e-6)).numpy()
        light = warp(saliency[:, 1:, :, None]).sum(1)[..., 0] + saliency[:, 0]
        light = (light / (coverage[..., 0] + 1)).numpy() ** 3
        for b in range(BATCH):
            covered = coverage[b, :, 0].numpy() > 1e-3
            dark = light[b] <= otsu(light[b][covered])
            capacity = self.settings.labels.capacity
            self.labels[b] = algorithm_1(seen[b, :, :PARTS], covered & ~dark, capacity)
            self.labels[b][covered & dark] = PARTS


def step() -> Race:
    """Four targets with 15 neighbours each."""
    rng = np.random.default_rng(0)
    features = images(rng, IMAGES)
    saliency = rng.uniform(0.1, 1, (IMAGES, CELLS)).astype(np.float32)
    pools = np.stack([rng.permutation(IMAGES)[:POOL] for _ in range(IMAGES)]).astype(np.int32)
    settings = step_settings(base_config())
    vectors = features[:16].reshape(-1, features.shape[-1]).astype(np.float32)
    centres = vectors[rng.permutation(len(vectors))[:PARTS]]
    params = initial_params(centres, vectors, background=settings.layer.background)
    grids = jnp.tile(jnp.array(GRID, jnp.int32), (IMAGES, 1))
    offset = jnp.zeros(features.shape[-1])
    on_device = Images(jnp.asarray(features), grids, jnp.asarray(saliency), offset)
    members = step_members(settings, pools, np.arange(BATCH))
    key = jax.random.key(0)

    batch = gather(on_device, members)
    keys = jax.random.split(jax.random.fold_in(key, 0), BATCH)
    first = jax.jit(
        lambda params, batch: supervise(keys, settings, batch, forward(settings, params, batch))
    )(params, batch)
    state, metrics = train_step(
        settings, initial_state(settings, jax.tree.map(jnp.copy, params)), batch, key
    )
    peer = TorchStep(features, saliency, pools, settings, params)
    loss = peer.step(SEARCHES["cv2 RANSAC, 256 iterations"], np.asarray(first.alignment.transform))
    same = np.mean(peer.labels == np.asarray(first.labels))
    layer = peer.weight.detach().numpy()[:PARTS]
    # Where a gradient is nearly 0, its first step's sign, which is all that Adagrad takes, is open.
    equal = np.mean(np.abs(np.asarray(state.params["centres"]) - layer) < 1e-3)
    seen = [
        f"with the same transforms: labels that agree {100 * same:.1f} %, loss "
        f"{float(metrics['loss']):.4f} and {loss:.4f}, params within 1e-3 {100 * equal:.1f} %",
        f"inliers: {100 * metrics['inliers'] / metrics['matches']:.0f} % of "
        f"{metrics['matches']:.0f} matches a pair",
    ]

    def ours():
        nonlocal state
        state, shown = train_step(settings, state, gather(on_device, members), key)
        return shown

    ways = [Way("partdisc", ours, 1)]
    for name in ("cv2 RANSAC, 256 iterations", "cv2 RANSAC, as it comes", "cv2 USAC_DEFAULT, 256"):
        ways.append(Way(f"torch + {name}", functools.partial(peer.step, SEARCHES[name]), 1))
    return Race("training step", "steps", ways, seen)
