"""The detector: images in, parts out; all that prediction needs, and nothing else."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from partdisc.backbones import Backbone, Weights
from partdisc.data import images
from partdisc.method.cells import cells_to_pixels
from partdisc.method.detection import DetectSettings, detect
from partdisc.method.part_layer import Layer, packed_probabilities, part_centres

# Images of one pass of the part layer.
BATCH = 8


class Predictions(NamedTuple):
    """What a detector says of n images, in original pixels.

    Attributes:
      points: [n, K, D, 2], (y, x) of the detections, strongest first.
      scores: [n, K, D], p(part | cell) at each, -inf in unused slots.
      mean: [n, K, 2], (y, x) where each part should be, `part_centres`.
    """

    points: np.ndarray
    scores: np.ndarray
    mean: np.ndarray

    @property
    def peak(self) -> np.ndarray:
        """[n, K, 2], the strongest detection of each part; NaN where there is none."""
        found = np.isfinite(self.scores[:, :, 0])
        return np.where(found[..., None], self.points[:, :, 0], np.nan)


@dataclasses.dataclass(frozen=True, eq=False)
class Detector:
    """A frozen network, a part layer on it, and how parts are read from its maps.

    Attributes:
      backbone: the network.
      weights: its weights and their preprocessing.
      framing: how an image becomes the network's input.
      layer: the part layer.
      params: of the part layer.
      offset: [C], subtracted from every feature.
      settings: how parts are read from the maps.
    """

    backbone: Backbone
    weights: Weights
    framing: images.Framing
    layer: Layer
    params: dict[str, Any]
    offset: np.ndarray
    settings: DetectSettings

    @property
    def stride(self) -> float:
        """Pixels of the network's input from one cell that it detects on to the next."""
        return self.backbone.stride / (2 if self.settings.half_stride else 1)

    def with_params(self, params: dict[str, Any]) -> "Detector":
        """Return the same detector with other params of the part layer."""
        return dataclasses.replace(self, params=params)

    def cell_matrix(self, geometry: images.Geometry) -> np.ndarray:
        """Return the matrices [..., 3, 3] that take original pixels to the cells it detects on."""
        return images.cell_matrix(geometry, self.stride, self.backbone.origin)

    def box_sides(self, geometry: images.Geometry) -> np.ndarray:
        """Return the side [n] of a part's box in n images, original pixels."""
        return self.settings.box / self.framing.scale(geometry.crop)

    def probabilities(self, features: np.ndarray, grids: np.ndarray) -> jax.Array:
        """Return p(part | cell) of maps.

        Args:
          features: float16 [n, P, C], unit features.
          grids: int [n, 2], rows and columns.

        Returns:
          probs [n, P, K + 1], zero on cells that do not exist.
        """
        return _probabilities(self.layer, self.params, features, grids, self.offset)

    def detect(
        self, features: np.ndarray, grids: np.ndarray, geometry: images.Geometry
    ) -> Predictions:
        """Detect all parts in images (section 3.3).

        Args:
          features: float16 [n, P, C], unit features.
          grids: int [n, 2], rows and columns.
          geometry: of the m <= n images that the first maps are of; what follows them fills
            a batch up and is left out.

        Returns:
          The predictions for the m images.
        """
        found = _detect(
            self.params,
            features,
            grids,
            self.offset,
            layer=self.layer,
            box_side=self.settings.box / self.stride,
            nms_iou=self.settings.nms_iou,
            per_part=self.settings.per_part,
        )
        detections, centres = jax.tree.map(
            lambda array: np.asarray(array)[: len(geometry.size)], found
        )
        points, mean = (
            images.to_original(cells_to_pixels(cells, self.stride, self.backbone.origin), geometry)
            for cells in (detections.points, centres)
        )
        return Predictions(points, detections.scores, mean)


@functools.partial(jax.jit, static_argnames=("layer", "box_side", "nms_iou", "per_part"))
def _detect(params, features, grids, offset, *, layer, **options):
    def one(image):
        packed, grid = image
        probs = packed_probabilities(layer, params, packed, grid, offset)
        centres = part_centres(layer, params, packed, grid, offset)
        return detect(probs, grid, **options), centres

    return jax.lax.map(one, (features, grids), batch_size=BATCH)


@functools.partial(jax.jit, static_argnums=0)
def _probabilities(layer: Layer, params: Any, features, grids, offset) -> jax.Array:
    one = functools.partial(packed_probabilities, layer, params, offset=offset)
    return jax.lax.map(lambda image: one(*image), (features, grids))
