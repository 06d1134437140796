"""The untrained detector: clusters of the training features (section 3.1)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from partdisc import devices
from partdisc.detector import Detector
from partdisc.discovery.features import Features
from partdisc.discovery.inputs import Inputs
from partdisc.errors import ConfigError, WorkdirError
from partdisc.method import clusters, factors, kmeans
from partdisc.method.cells import centred, normalise
from partdisc.method.detection import DetectSettings
from partdisc.method.part_layer import initial_params, make_layer
from partdisc.progress import Progress
from partdisc.workdir import Workdir, digest

# Vectors that place the background, or the scale of the factors, among the features.
BACKGROUND_VECTORS = 20_000
CLUSTERS = "clusters.npz"


class Start(NamedTuple):
    """What training starts from: the paper's *Clustering*, or one of the baselines like it.

    Attributes:
      detector: with the untrained part layer.
      key: names all that it depends on.
    """

    detector: Detector
    key: str

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What a file keeps of it: the params of the layer, and the offset."""
        params = {name: np.asarray(value) for name, value in self.detector.params.items()}
        return params | {"offset": self.detector.offset}


class ClusterSettings(NamedTuple):
    """How features are clustered.

    Attributes:
      kind: one of `clusters.KINDS`.
      parts: K.
      kappa: of `vmf`.
      background: how the background starts, one of `part_layer.BACKGROUNDS`.
      center: whether the mean feature is subtracted from all.
      cells_per_image: that are drawn.
      most: cells of all images together, if one of each is not more.
      border: cells at the border that are left out.
      iterations: at most.
      tolerance: stop where the objective changes by less.
      seeding_vectors: vectors among which the first centres are sought, at most.
      seed: of the draws.
    """

    kind: str
    parts: int
    kappa: float
    background: str
    center: bool
    cells_per_image: int
    most: int
    border: int
    iterations: int
    tolerance: float
    seeding_vectors: int
    seed: int


def clusters_stage(
    config: Any,
    workdir: Workdir,
    inputs: Inputs,
    features: Features,
    kept: Mapping[str, str] | None = None,
) -> Start:
    """Cluster the training features and build the untrained detector, or reuse it.

    Args:
      config: the whole config.
      workdir: of the run.
      inputs: data set and frozen network.
      features: the cache.
      kept: the files that may hold the clusters that the layer started from, of other images,
        where it goes on from another training; each with its key, the best first.

    Raises:
      errors.WorkdirError: none of them does any more.
    """
    parts = config.parts
    settings = ClusterSettings(
        parts=parts.count,
        kappa=parts.kappa,
        background=parts.background,
        center=config.backbone.center,
        seed=config.seed,
        **config.clusters,
    )
    if kept:
        saved = _kept(workdir, kept)
        key = digest(saved)
    else:
        layer = {name: value for name, value in parts.items() if name != "wanted"}
        made_of = (inputs.key, inputs.names("train"))
        key = digest(*made_of, config.seed, layer, config.clusters, config.backbone.center)
        saved = workdir.load(CLUSTERS, key)
    if saved is None:
        saved = cluster(settings, features, inputs.dataset.splits["train"])
        workdir.save(CLUSTERS, key, **saved)
    detector = Detector(
        inputs.backbone,
        inputs.weights,
        inputs.framing,
        make_layer(
            settings.kind,
            parts=settings.parts,
            kappa=settings.kappa,
            background=settings.background,
        ),
        {name: jnp.asarray(value) for name, value in saved.items() if name != "offset"},
        saved["offset"],
        DetectSettings(**config.detection),
        config.backbone.batch,
    )
    return Start(detector, key)


def _kept(workdir: Workdir, kept: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the arrays of the first of the files that is sound."""
    for name, key in kept.items():
        if (saved := workdir.load(name, key)) is not None:
            return saved
    raise WorkdirError(
        f"{workdir.path / next(iter(kept))} does not hold the clusters any more that the layer "
        "started from, so that it cannot be evaluated or go on; --mode=predict still finds its "
        "parts in photos. Give another --workdir, or --overwrite to train anew"
    )


def cluster(
    settings: ClusterSettings, features: Features, index: np.ndarray
) -> dict[str, np.ndarray]:
    """Cluster cells of images [N]; return the params of the part layer, and the offset."""
    image, cell = clusters.sample_cells(
        features.coarse_grids(index),
        per_image=max(1, min(settings.cells_per_image, settings.most // len(index))),
        border=settings.border,
        seed=settings.seed,
    )
    vectors = features.vectors(index[image], cell).astype(np.float32)
    offset = vectors.mean(axis=0) if settings.center else np.zeros_like(vectors[0])
    vectors = np.asarray(jax.jit(centred)(vectors, offset))
    if settings.kind == "nmf" and vectors.min() < 0:
        raise ConfigError(
            "config.clusters.kind is nmf, which needs features that are never negative; those of "
            "this backbone's layer are; set it to vmf or kmeans"
        )
    rng = np.random.default_rng(settings.seed)
    sample = vectors[rng.permutation(len(vectors))[:BACKGROUND_VECTORS]]
    params = _untrained(settings, vectors, sample)
    return {name: np.asarray(value) for name, value in params.items()} | {"offset": offset}


def _untrained(
    settings: ClusterSettings, vectors: np.ndarray, sample: np.ndarray
) -> dict[str, Any]:
    """Cluster the vectors [n, C] as their kind says; return the params of its layer."""
    kind = settings.kind
    vectors = devices.split(vectors)
    with Progress("clusters", total=settings.iterations, unit="steps") as progress:
        measure = "log likelihood" if kind == "vmf" else "mean squared distance"
        fit = {
            "parts": settings.parts,
            "iterations": settings.iterations,
            "tolerance": settings.tolerance,
            "seeding_vectors": settings.seeding_vectors,
            "seed": settings.seed,
            "after_step": lambda _, value: progress.advance(1, f"{measure} {value:.3f}"),
        }
        if kind == "nmf":
            return factors.initial_params(factors.fit_basis(vectors, **fit), sample)
        if kind == "kmeans":
            centres = normalise(kmeans.fit_centres(vectors, **fit))
        else:
            centres = clusters.fit_mixture(vectors, kappa=settings.kappa, **fit).centres
    return initial_params(np.asarray(centres), sample, background=settings.background)
