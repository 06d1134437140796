"""Ways to make parts of a trained layer's channels, beside each other, on labelled images.

  python -m benchmarks.part_recipes --config=configs/cub.py --workdir=runs/cub

takes up a run that was trained to its end; give the config as the run had it. Labels measure and
choose nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from ml_collections import config_flags

from partdisc import experiment
from partdisc.detector import Detector
from partdisc.discovery.part_evidence import Evidence, gather_evidence
from partdisc.discovery.run import Run
from partdisc.method import parts as cutting
from partdisc.method.cells import centred, normalise
from partdisc.method.discriminant import Discriminant, fit_discriminant, part_maps
from partdisc.method.facing import Facing, facing_of, fit_facing
from partdisc.method.kmeans import fit_centres
from partdisc.progress import table
from partdisc.scoring.keypoints import KeypointProbs, keypoint_probs
from partdisc.scoring.readable import presence_auc
from partdisc.workdir import Workdir

_CONFIG = config_flags.DEFINE_config_file("config")
_WORKDIR = flags.DEFINE_string("workdir", None, "The run's.", required=True)

COUNTS = (4, 8, 16)
# What the affinities weigh: of aligned pools, of cells beside, of mirrored images.
MIXES = {
    "J": (1.0, 0.0, 0.0),
    "J + O": (1.0, 1.0, 0.0),
    "J + F": (1.0, 0.0, 1.0),
    "J + 2F": (1.0, 0.0, 2.0),
    "J + 4F": (1.0, 0.0, 4.0),
    "F": (0.0, 0.0, 1.0),
    "J + O + F": (1.0, 1.0, 1.0),
}
# Training images whose cells k-means sees, and cells of each.
SAMPLE, CELLS = 200, 100


class Channels(NamedTuple):
    """Parts that are sums of channels: [K + 1, k + 1], the background last in both."""

    member: np.ndarray

    def read(self, features: np.ndarray, probs: np.ndarray) -> np.ndarray:
        """Return p(part | cell) [P, k + 1] of features [P, C] and p(channel | cell)."""
        return probs @ self.member


class Discriminated(NamedTuple):
    """Parts that a discriminant of joined channels reads from the features, as a detector does.

    Attributes:
      detector: what says where the background is.
      discriminant: of the parts.
    """

    detector: Detector
    discriminant: Discriminant

    def read(self, features: np.ndarray, probs: np.ndarray) -> np.ndarray:
        """Return p(part | cell) [P, k + 1] of features [P, C] and p(channel | cell)."""
        own = centred(features, self.detector.offset)
        return np.asarray(part_maps(self.discriminant, own, probs))


class Clusters(NamedTuple):
    """Parts that are clusters of features, where the cell is not background.

    Attributes:
      detector: what says where the background is.
      centres: [k, C].
    """

    detector: Detector
    centres: np.ndarray

    def read(self, features: np.ndarray, probs: np.ndarray) -> np.ndarray:
        """Return p(part | cell) [P, k + 1] of features [P, C] and p(channel | cell)."""
        labels = nearest(np.asarray(centred(features, self.detector.offset)), self.centres)
        member = np.eye(len(self.centres))[labels]
        return np.hstack([member * (1.0 - probs[:, -1:]), probs[:, -1:]])


Parts = Channels | Discriminated | Clusters
# Makes so many parts.
Recipe = Callable[[int], Parts]


def features_at_keypoints(run: Run) -> tuple[KeypointProbs, np.ndarray]:
    """Return what the channels say at the keypoints, and the features [n, L, C] there."""
    channels = run.detector.layer.parts + 1

    def both(features: np.ndarray, grids: np.ndarray) -> np.ndarray:
        probs = np.asarray(run.detector.probabilities(features, grids))
        return np.concatenate([probs, np.asarray(features, np.float32)], axis=-1)

    seen = keypoint_probs(run, run.detector, both)
    probs, features = np.split(seen.probs, [channels], axis=-1)
    return seen._replace(probs=probs), features


def at_keypoints(seen: KeypointProbs, features: np.ndarray, parts: Parts) -> dict[str, float]:
    """Compare the parts at the keypoints with the keypoints: %."""
    known = np.isfinite(features).all(axis=-1)
    found = parts.read(features[known], seen.probs[known])
    maps = np.full((*known.shape, found.shape[-1]), np.nan)
    maps[known] = found
    return seen.agreement(maps)


def of_channels(labels: np.ndarray, parts: int) -> Channels:
    """Make parts of channels by the part of each, int [K]."""
    return Channels(np.eye(parts + 1, dtype=np.float32)[np.append(labels, parts)])


def joined(
    evidence: Evidence, weights: tuple[float, ...], seed: int, walk: int = cutting.WALK
) -> Recipe:
    """Join channels by a mix of the evidence."""
    joints = (evidence.pools.sum(axis=0), evidence.beside, evidence.mirror.sum(axis=0))
    mixed = sum(w * cutting.affinity(jnp.asarray(j)) for w, j in zip(weights, joints, strict=True))
    embedding = cutting.embed(mixed, most=max(COUNTS), walk=walk)
    mass = mixed.sum(axis=1)

    def make(parts: int) -> Channels:
        labels = cutting.cut(jax.random.key(seed), embedding, mass, jnp.int32(parts))
        return of_channels(np.asarray(labels), parts)

    return make


def discriminated(detector: Detector, evidence: Evidence, recipe: Recipe) -> Recipe:
    """Read the parts of a recipe by their discriminant."""

    def make(parts: int) -> Discriminated:
        member = jnp.asarray(recipe(parts).member[:-1, :-1])
        return Discriminated(detector, fit_discriminant(evidence.moments, member))

    return make


def by_direction(run: Run) -> Recipe:
    """Join channels of alike directions."""
    directions = np.asarray(normalise(run.detector.params["centres"]))

    def make(parts: int) -> Channels:
        return of_channels(nearest(directions, centres_of(directions, parts, run.seed)), parts)

    return make


def by_feature(run: Run) -> Recipe:
    """Cluster the features of the training cells that are not background."""
    rng = np.random.default_rng(run.seed)
    rows = []
    for image in np.sort(rng.permutation(run.inputs.dataset.splits["train"])[:SAMPLE]):
        features, grids = run.features.take_fine(np.array([image]))
        probs = np.asarray(run.detector.probabilities(features, grids))[0, : grids[0].prod()]
        rows.append(features[0, rng.permutation(np.flatnonzero(probs[:, -1] < 0.5))[:CELLS]])
    vectors = np.asarray(centred(np.concatenate(rows), run.detector.offset))

    def make(parts: int) -> Clusters:
        return Clusters(run.detector, centres_of(vectors, parts, run.seed))

    return make


def centres_of(vectors: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """Return the centres [k, C] that k-means finds in vectors [n, C]."""
    fit = {"iterations": 100, "tolerance": 1e-6, "seeding_vectors": len(vectors), "seed": seed}
    return np.asarray(fit_centres(vectors, parts=parts, **fit))


def nearest(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the nearest of the centres [k, C] for each vector [n, C]: int [n]."""
    return (np.sum(centres**2, axis=1)[None] - 2.0 * vectors @ centres.T).argmin(axis=1)


def part_scores(run: Run, facing: Facing, made: list[Parts]) -> list[np.ndarray]:
    """Return the scores [n, 3 k] in the n test images: of parts, their sides a, their sides b."""
    rows: list[list[np.ndarray]] = [[] for _ in made]
    for image in run.inputs.dataset.splits["test"]:
        features, grids = run.features.take_fine(np.array([image]))
        cells = grids[0].prod()
        probs = np.asarray(run.detector.probabilities(features, grids))[0, :cells]
        share = 0.5 * (1.0 + float(facing_of(facing, probs)))
        for kept, parts in zip(rows, made, strict=True):
            score = parts.read(features[0, :cells], probs)[:, :-1].max(axis=0)
            kept.append(np.concatenate([score, share * score, (1.0 - share) * score]))
    return [np.stack(kept) for kept in rows]


def measure(run: Run) -> list[list[str]]:
    """Measure each recipe: NMI and ARI at keypoints for each number of parts, presence AUC."""
    evidence, _ = gather_evidence(run)
    facing = fit_facing(*np.moveaxis(evidence.peaks[..., :-1], 1, 0))
    recipes = {name: joined(evidence, mix, run.seed) for name, mix in MIXES.items()}
    for name in ("J + F", "J + 2F", "J + O + F"):
        recipes[f"{name}, discriminant"] = discriminated(run.detector, evidence, recipes[name])
    plain = joined(evidence, MIXES["J + 2F"], run.seed, walk=0)
    recipes["J + 2F, no walk, discriminant"] = discriminated(run.detector, evidence, plain)
    if "centres" in run.detector.params:
        recipes["k-means of directions"] = by_direction(run)
    recipes["k-means of features"] = by_feature(run)
    points = run.inputs.dataset.instances[run.inputs.dataset.splits["test"]]
    there = np.isfinite(points).all(axis=-1).any(axis=-1)
    seen, features = features_at_keypoints(run)
    made = [recipe(count) for recipe in recipes.values() for count in COUNTS]
    cells = []
    for parts, scores in zip(made, part_scores(run, facing, made), strict=True):
        found = at_keypoints(seen, features, parts)
        plain = presence_auc(scores[:, : scores.shape[1] // 3], there)
        figures = (found["nmi_full"], found["ari_full"], plain, presence_auc(scores, there))
        cells.append(" ".join(f"{figure:5.1f}" for figure in figures))
    grid = iter(cells)
    return [[name, *(next(grid) for _ in COUNTS)] for name in recipes]


def main(argv: list[str]) -> None:
    """Print the table for one run."""
    config = _CONFIG.value
    with Workdir(_WORKDIR.value) as workdir:
        wanted = experiment.look(config, workdir, "trained")
        rows = measure(experiment.discover(config, workdir, wanted, readable=False))
    title = f"{workdir.path.name}: NMI, ARI, presence AUC, and that with sides, %"
    table(title, ["recipe", *(f"{count} parts" for count in COUNTS)], rows)


if __name__ == "__main__":
    app.run(main)
