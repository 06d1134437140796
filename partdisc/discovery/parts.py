"""Make parts that a person reads of a trained layer's channels, and say what is known of each."""

import functools
import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc.detector import (
    MOST,
    Detector,
    PartSet,
    discriminant_arrays,
    largest_piece,
    make_parts,
    part_sets,
)
from partdisc.discovery.part_equivariance import part_shifts
from partdisc.discovery.part_evidence import Evidence, Mirrored, gather_evidence
from partdisc.discovery.run import Run
from partdisc.method import parts as cutting
from partdisc.method.cells import centred
from partdisc.method.discriminant import Discriminant, fit_discriminant, part_maps
from partdisc.method.facing import Facing, fit_facing
from partdisc.method.part_layer import packed_probabilities
from partdisc.progress import Progress, say
from partdisc.workdir import Workdir, digest

# Raised whenever parts.npz means something else.
FORMAT = 3
# The mirrored image counts twice: its places are known exactly, those of the pool are found.
MIRROR = 2.0
# `auto` takes the most parts whose partition by half of the images is that by the other half
# to this adjusted Rand index, and each of which the halves find again to this overlap; both are
# means of so many ways to halve them.
STABLE, AGAIN, HALVINGS = 0.7, 0.5, 3
COUNTS = range(2, MOST + 1)
# Images on which the parts are looked at, at most, and how many at a time.
SAMPLE, CHUNK = 240, 16


class Partition(NamedTuple):
    """The channels cut into a number of parts.

    Attributes:
      labels: int [K], the part of each channel.
      stability: adjusted Rand index of the partitions by halves of the images.
      kept: [parts], how much of each part the halves find again, from 0 to 1.
      discriminant: says which part a cell of the object is.
    """

    labels: np.ndarray
    stability: float
    kept: np.ndarray
    discriminant: Discriminant


def parts_stage(config: Any, workdir: Workdir, run: Run) -> Detector:
    """Make parts of the detector's channels, or reuse them; return the detector with them."""
    detector = run.detector
    counts = [count for count in COUNTS if count <= detector.layer.parts]
    wanted = 0 if config.parts.wanted == "auto" else int(config.parts.wanted)
    params = {name: np.asarray(value) for name, value in detector.params.items()}
    constants = (FORMAT, MIRROR, STABLE, AGAIN, cutting.WALK)
    made_of = (run.start.key, run.pools.key, params, config.detection.half_stride)
    key = digest(*constants, *made_of, config.seed)
    saved = workdir.load("parts.npz", key)
    if saved is None:
        evidence, mirrored = gather_evidence(run)
        partitions = partition(evidence, counts, config.seed)
        choices, best = _look(run, evidence, mirrored, partitions)
        facing = fit_facing(*np.moveaxis(evidence.peaks[..., :-1], 1, 0))
        saved = {
            "choices": json.dumps([[part._asdict() for part in one.parts] for one in choices]),
            "stability": np.array([p.stability for p in partitions]),
            "auto": most_stable(partitions),
            "best": best,
            "facing_weights": np.asarray(facing.weights),
            "facing_bias": np.asarray(facing.bias),
        }
        saved |= discriminant_arrays(choices)
        workdir.save("parts.npz", key, **saved)
    made = part_sets(json.loads(str(saved["choices"])), saved)
    count = wanted or int(saved["auto"])
    say(f"parts: {count}" + ("" if wanted else ", the most that are stable"))
    facing = Facing(saved["facing_weights"], saved["facing_bias"])
    return detector.with_choices(made, saved["best"], facing).with_parts(count)


def most_stable(partitions: list[Partition]) -> int:
    """Return the largest number of parts that is stable, as a whole and each part; or the least."""
    stable = (len(p.kept) for p in partitions if p.stability >= STABLE and p.kept.min() >= AGAIN)
    return max(stable, default=min(len(p.kept) for p in partitions))


def affinity(pools: np.ndarray, mirrored: np.ndarray) -> jax.Array:
    """Put the evidence of some blocks together: [K, K]."""
    both = (jnp.asarray(blocks.sum(axis=0)) for blocks in (pools, mirrored))
    aligned, flipped = map(cutting.affinity, both)
    return aligned + MIRROR * flipped


def partition(evidence: Evidence, counts: list[int], seed: int) -> list[Partition]:
    """Cut the channels into each number of parts, and say how stable that is."""
    embed = functools.partial(jax.jit(cutting.embed, static_argnames="most"), most=MOST)
    fit, key = jax.jit(fit_discriminant), jax.random.key(seed)
    whole = affinity(evidence.pools, evidence.mirror)
    mass = np.asarray(whole.sum(axis=1))
    embedding = embed(whole)
    halves = []
    for halving in range(HALVINGS):
        order = np.random.default_rng([seed, halving]).permutation(len(evidence.pools))
        for half in np.array_split(order, 2):
            halves.append(embed(affinity(evidence.pools[half], evidence.mirror[half])))
    found = []
    for count in counts:
        cut = functools.partial(cutting.cut, mass=mass, parts=jnp.int32(count))
        labels, *others = (
            np.asarray(cut(jax.random.fold_in(key, n), one))
            for n, one in enumerate([embedding, *halves])
        )
        alike = [
            cutting.partition_agreement(a, b, mass, most=MOST)
            for a, b in zip(others[::2], others[1::2], strict=True)
        ]
        kept = np.mean([_kept(labels, other, mass, count) for other in others], axis=0)
        # Of MOST columns for all of them, which is compiled once.
        fitted = fit(evidence.moments, jax.nn.one_hot(labels, MOST))
        discriminant = Discriminant(*(np.asarray(field)[..., :count] for field in fitted))
        found.append(Partition(labels, float(np.mean(alike)), kept, discriminant))
    return found


def _kept(labels: np.ndarray, other: np.ndarray, mass: np.ndarray, count: int) -> np.ndarray:
    """Return the largest overlap (of the union) of each part with one of another partition."""
    table = np.zeros((count, count))
    np.add.at(table, (labels, other), mass)
    union = table.sum(axis=1)[:, None] + table.sum(axis=0)[None] - table
    return (table / np.maximum(union, 1e-12)).max(axis=1)


class Looked(NamedTuple):
    """What n images show of the parts, for all numbers of parts side by side, T parts in all.

    Attributes:
      scores: [n, T].
      areas: [n, T], share of the object's cells.
      places: [n, T, 2], (y, x) of the mean cell in the object's box; NaN where it has none.
      mirror_scores: [m, T], in the images that were mirrored too.
      shifts: [m, T], of the parts' points by mirroring them, shares of the object's box.
    """

    scores: np.ndarray
    areas: np.ndarray
    places: np.ndarray
    mirror_scores: np.ndarray
    shifts: np.ndarray


def _look(
    run: Run, evidence: Evidence, mirrored: Mirrored, partitions: list[Partition]
) -> tuple[list[PartSet], np.ndarray]:
    """Look for the parts in a sample of the training images.

    Returns:
      The parts for each number of them, and the best score of each channel [K].
    """
    train = run.inputs.dataset.splits["train"]
    sample = np.sort(np.random.default_rng(run.seed).permutation(train)[:SAMPLE])
    discriminants = [p.discriminant for p in partitions]
    rows, best = [], np.zeros(run.detector.layer.parts, np.float32)
    with Progress("parts seen", total=len(sample), unit="images") as progress:
        for start in range(0, len(sample), CHUNK):
            index = sample[start : start + CHUNK]
            features, grids = run.features.take_fine(index)
            fill = CHUNK - len(index)
            found = _seen(
                run.detector.layer,
                run.detector.params,
                discriminants,
                np.pad(features, ((0, fill), (0, 0), (0, 0))),
                np.pad(grids, ((0, fill), (0, 0)), constant_values=1),
                run.detector.offset,
            )
            *found, peaks = map(np.asarray, found)
            best = np.maximum(best, peaks[: len(index)].max(axis=0))
            for one in zip(*found, grids, strict=False):
                rows.append(_in_object(*one, [len(p.kept) for p in partitions]))
                progress.advance(1)
    looked = (np.stack(fields) for fields in zip(*rows, strict=True))
    looked = Looked(*looked, *part_shifts(run, mirrored, discriminants))
    ends = np.cumsum([len(p.kept) for p in partitions])
    return [
        _describe(evidence, one, Looked(*(f[:, end - len(one.kept) : end] for f in looked)))
        for one, end in zip(partitions, ends, strict=True)
    ], best


@functools.partial(jax.jit, static_argnums=0)
def _seen(layer, params, discriminants, features, grids, offset):
    """Return scores [n, T], winning parts [n, P, partitions], p(object) [n, P], peaks [n, K]."""

    def one(image):
        probs = packed_probabilities(layer, params, *image, offset)
        own = centred(image[0], offset)
        maps = [part_maps(one, own, probs)[:, :-1] for one in discriminants]
        winners = jnp.stack([jnp.argmax(m, axis=1).astype(jnp.uint8) for m in maps], axis=1)
        scores = jnp.concatenate([jnp.max(m, axis=0) for m in maps])
        parts = probs[:, :-1]
        return scores, winners, jnp.sum(parts, axis=1), jnp.max(parts, axis=0)

    return jax.lax.map(one, (features, grids))


def _in_object(scores, winners, foreground, grid, counts):
    """Return the scores, areas and places of one image's parts in its object."""
    cells = int(grid.prod())
    piece = largest_piece(foreground[:cells].reshape(grid) > 0.5)
    areas, places = np.zeros(len(scores)), np.full((len(scores), 2), np.nan)
    if piece.any():
        position = np.argwhere(piece)
        low = position.min(axis=0)
        side = position.max(axis=0) - low + 1
        inside = (position - low + 0.5) / side
        first = 0
        for column, count in enumerate(counts):
            won = winners[:cells].reshape(*grid, -1)[piece][:, column]
            number = np.bincount(won, minlength=count)[:count]
            total = np.stack([np.bincount(won, inside[:, a], count)[:count] for a in (0, 1)], 1)
            areas[first : first + count] = number / len(position)
            seen = number > 0
            places[first : first + count][seen] = total[seen] / number[seen, None]
            first += count
    return scores, areas, places


def _describe(evidence: Evidence, cut: Partition, looked: Looked) -> PartSet:
    """Put together what is known of the parts of one partition, by falling presence."""
    count = len(cut.kept)
    member = np.eye(count)[cut.labels]
    joints = [
        member.T @ joint[:-1, :-1] @ member
        for joint in (evidence.pools.sum(axis=0), evidence.mirror.sum(axis=0), evidence.beside)
    ]
    agreement, mirrored = (np.diag(j) / np.maximum(j.sum(axis=1), 1e-12) for j in joints[:2])
    contact = joints[2] + joints[2].T
    np.fill_diagonal(contact, 0.0)
    thresholds = np.array([threshold(scores) for scores in looked.scores.T])
    present = looked.scores >= thresholds
    presence = present.mean(axis=0)
    counted = looked.mirror_scores >= thresholds
    order = np.lexsort((-looked.areas.mean(axis=0), -presence))
    ids = np.empty(count, int)
    ids[order] = np.arange(1, count + 1)
    parts = make_parts(
        {
            "channels": np.flatnonzero(cut.labels == k).tolist(),
            "presence": presence[k],
            "maximum": looked.scores[:, k].max(),
            "threshold": thresholds[k],
            "area": looked.areas[present[:, k], k].mean() if presence[k] else 0.0,
            "place": _centre(looked.places[:, k]),
            "agreement": agreement[k],
            "mirror": mirrored[k],
            "stability": cut.kept[k],
            "equivariance": looked.shifts[counted[:, k], k].mean() if counted[:, k].any() else 1.0,
            "neighbours": [int(ids[n]) for n in np.argsort(-contact[k])[:3] if contact[k, n] > 0],
        }
        for k in order
    )
    weights, bias = (np.asarray(array)[..., order] for array in cut.discriminant)
    return PartSet(parts, Discriminant(weights, bias))


def _centre(places: np.ndarray) -> tuple[float, float]:
    known = np.isfinite(places).all(axis=1)
    return tuple(places[known].mean(axis=0).tolist()) if known.any() else (0.5, 0.5)


def threshold(scores: np.ndarray) -> float:
    """Return the score from which a part counts as present: half of what it mostly reaches."""
    return 0.5 * float(np.quantile(scores, 0.9))
