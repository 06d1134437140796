"""A frozen network, a part layer on it, and the parts made of its channels."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from partdisc import devices
from partdisc.backbones import Backbone, Weights, unit_features
from partdisc.data import images
from partdisc.data.bad_images import BadImage
from partdisc.detector import archive, artifact, reading
from partdisc.detector.parts import NO_PARTS, Part, PartSet
from partdisc.detector.pixels import on_original
from partdisc.detector.prediction import Listed, Prediction, Predictions, Reader, Reading
from partdisc.detector.sources import Picture, Source, sources_of
from partdisc.detector.stream import Way, predictions
from partdisc.errors import ConfigError
from partdisc.method.cells import cells_to_pixels
from partdisc.method.detection import DetectSettings
from partdisc.method.facing import Facing
from partdisc.method.part_layer import Layer
from partdisc.paths import user_path


@dataclasses.dataclass(frozen=True, eq=False)
class Detector:
    """Images in, parts out; immutable.

    Attributes:
      backbone: the network.
      weights: its weights and their preprocessing.
      framing: how an image becomes the network's input.
      layer: the part layer.
      params: of the part layer.
      offset: [C], subtracted from every feature.
      settings: how parts are read from the maps.
      batch: images that go through the network at once.
      chosen: the parts that a person reads; none before they are made of the channels.
      choices: the parts for each number of them that may be chosen.
      best: [K], each channel's largest p(channel | cell) in the training images, from which
        the scores that are listed follow: not from the images that it is given.
      facing: how the channels say which way the object faces.
      listed: the channels whose detections are listed.
    """

    backbone: Backbone
    weights: Weights
    framing: images.Framing
    layer: Layer
    params: dict[str, Any]
    offset: np.ndarray
    settings: DetectSettings
    batch: int
    chosen: PartSet = NO_PARTS
    choices: dict[int, PartSet] = dataclasses.field(default_factory=dict)
    best: np.ndarray | None = None
    facing: Facing | None = None
    listed: tuple[Listed, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """What a person reads; none before they are made of the channels."""
        return self.chosen.parts

    @property
    def stride(self) -> float:
        """Pixels of the network's input from one cell that it detects on to the next."""
        return self.backbone.stride / (2 if self.settings.half_stride else 1)

    def with_params(self, params: dict[str, Any]) -> "Detector":
        """Return the same detector with other params of the part layer."""
        return dataclasses.replace(self, params=params)

    def with_choices(
        self, choices: dict[int, PartSet], best: np.ndarray, facing: Facing | None = None
    ) -> "Detector":
        """Return the same detector with parts to choose from, and what goes with its channels."""
        return dataclasses.replace(self, choices=choices, chosen=NO_PARTS, best=best, facing=facing)

    def listing(self, channels: dict[str, int]) -> "Detector":
        """Return the same detector, which lists the detections of these channels by name."""
        listed = (Listed(name, int(k), self.least(k)) for name, k in channels.items())
        return dataclasses.replace(self, listed=tuple(listed))

    def least(self, channel: int) -> float:
        """Return the score from which a channel's detections are listed."""
        return self.settings.min_score * float(self.best[channel])

    def with_parts(self, count: int) -> "Detector":
        """Return the same detector with another number of parts.

        Raises:
          errors.ConfigError: says which numbers there are.
        """
        if count not in self.choices:
            raise ConfigError(
                f"parts: {count}; allowed: {min(self.choices)} to {max(self.choices)}"
                if self.choices
                else "parts: this detector has none; train it to the end"
            )
        return dataclasses.replace(self, chosen=self.choices[count])

    def save(self, path: str | os.PathLike) -> None:
        """Write it to an .npz file, which `partdisc.load` reads; it appears when it is whole.

        Raises:
          errors.WorkdirError: no file can be written there.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        archive.write(user_path(path), fields)

    def export(self, path: str | os.PathLike) -> None:
        """Write `model.jaxexport` and `model.json`, which find the parts without partdisc.

        docs/export.md says what is in them and how they are used.

        Args:
          path: their folder, made where it is absent.

        Raises:
          errors.ConfigError: there are no parts yet.
          errors.WorkdirError: the folder cannot be made.
        """
        if not self.parts:
            self.with_parts(0)  # Raises, and says which numbers there are.
        names = ("backbone", "weights", "framing", "layer", "params", "offset", "chosen")
        fields = {name: getattr(self, name) for name in names}
        model = artifact.Model(**fields, half_stride=self.settings.half_stride)
        artifact.write(user_path(path), model)

    def geometry(self, size: tuple[int, int]) -> images.Geometry:
        """Say how an image of a height and width becomes the network's input."""
        framing, stride = self.framing, self.backbone.stride
        return images.geometry(
            np.asarray(size), None, framing.short_side, stride, framing.max_aspect
        )

    def predict(
        self,
        pictures: Iterable[Picture | Source],
        on_bad: Callable[[BadImage], None] | None = None,
    ) -> Iterator[Prediction]:
        """Find the parts in images, one after the other, in their order.

        Images are read as they are needed and batched by size; memory does not grow.

        Args:
          pictures: paths, PIL images, or arrays uint8 [H, W, 3] or [H, W], of any size.
          on_bad: told of each image that cannot be used, which is then left out; None makes
            it an error.

        Raises:
          errors.DataError: names the image that cannot be used.
        """
        return predictions(self._way(self._look), sources_of(pictures), on_bad)

    def _look(
        self, names: list[str], pixels: np.ndarray, geometry: images.Geometry
    ) -> list[Prediction]:
        """Predict images [B, h, w, 3] of one size, of which there are as many as names."""
        return self.predictions(names, self._features(pixels), geometry)

    def predictions(
        self, names: list[str], features: np.ndarray, geometry: images.Geometry
    ) -> list[Prediction]:
        """Predict images of one size from their features; the arguments are `read`'s."""
        found = self.read(features, geometry)
        return [Prediction.of(self._reader, name, found.take(n)) for n, name in enumerate(names)]

    def maps(self, picture: Picture) -> np.ndarray:
        """Say how probable each part is at each pixel of an image, bilinearly between cells.

        Args:
          picture: a path, a PIL image, or an array uint8 [H, W, 3] or [H, W].

        Returns:
          p(part | pixel) on the upright original, float32 [H, W, k + 1]: the parts in the order
          of their ids, then the background. Large photos take much memory.

        Raises:
          errors.DataError: the image cannot be used.
        """

        def look(names: list[str], pixels: np.ndarray, geometry: images.Geometry):
            found = self.read(self._features(pixels), geometry).take(0)
            maps = np.moveaxis(found.maps, -1, 0)
            return [on_original(maps, found.geometry, self.stride, self.backbone.origin)]

        return next(predictions(self._way(look), sources_of([picture]), None))

    def _way(self, look: Callable[[list[str], np.ndarray, images.Geometry], list[Any]]) -> Way:
        return Way(self.batch, self.framing.max_pixels, self.geometry, look)

    def _features(self, pixels: np.ndarray) -> np.ndarray:
        half = self.settings.half_stride
        return np.asarray(unit_features(self.backbone, self.weights, pixels, half_stride=half))

    @property
    def _reader(self) -> Reader:
        return Reader(self.parts, self.listed, self.stride, self.backbone.origin)

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
        return reading.probabilities(self.layer, self.params, features, grids, self.offset)

    def part_probabilities(
        self, features: np.ndarray, probs: jax.Array, counts: list[int]
    ) -> jax.Array:
        """Return p(part | cell) of maps for several numbers of parts, T parts in all.

        Args:
          features: float16 [n, P, C], unit features.
          probs: [n, P, K + 1], from `probabilities`.
          counts: numbers of parts, of `choices`.

        Returns:
          [n, P, T + 1]: the parts of each number side by side, and the background last.
        """
        found = [self.choices[count].discriminant for count in counts]
        return reading.sets_of(found, features, probs, self.offset)

    def detect(
        self, features: np.ndarray, grids: np.ndarray, geometry: images.Geometry
    ) -> Predictions:
        """Detect all parts in images (section 3.3).

        Args:
          features: float16 [n, P, C], unit features.
          grids: int [n, 2], rows and columns.
          geometry: of the m <= n images that the first maps are of; what follows is left out.

        Returns:
          The predictions for the m images.
        """
        layer, params, found = self.layer, self.params, []
        for n, grid in enumerate(grids[: len(geometry.size)]):
            packed = self._padded(features[n], grid)
            with devices.turn(n):
                probs = reading.probabilities_of(layer, params, packed, grid, self.offset)
                centres = reading.centres_of(layer, params, packed, grid, self.offset)
                found.append((reading.peaks_of(probs, grid, **self._peaks), centres))
        detections, centres = jax.tree.map(lambda *arrays: np.stack(arrays), *found)
        points, mean = (self._original(cells, geometry) for cells in (detections.points, centres))
        return Predictions(points, detections.scores, mean)

    def grids(self, geometry: images.Geometry) -> np.ndarray:
        """Return rows and columns [..., 2] of the maps that it detects on."""
        grids = (np.asarray(geometry.working) // self.backbone.stride).astype(np.int32)
        return 2 * grids - 1 if self.settings.half_stride else grids

    def read(self, features: np.ndarray, geometry: images.Geometry) -> Reading:
        """Read parts, and the detections of listed channels, from maps of one size.

        Args:
          features: float16 [n, P, C], unit features.
          geometry: of the m <= n images that the first maps are of, all of one working size.
        """
        grid = self.grids(geometry)[0]
        columns = np.array([*(one.channel for one in self.listed), self.layer.parts], np.int32)
        ways = reading.Ways(self.offset, self.chosen.discriminant, self.facing, columns)
        found = [
            reading.read(
                self.layer, self.params, ways, self._padded(packed, grid), grid, **self._peaks
            )
            for packed in features[: len(geometry.size)]
        ]
        maps, points, scores, peaks, facing = jax.tree.map(lambda *arrays: np.stack(arrays), *found)
        points, peak_points = (self._original(cells, geometry) for cells in (points, peaks.points))
        maps = maps[:, : grid.prod()].reshape(len(maps), *grid, -1)
        sides = self.box_sides(geometry)
        return Reading(geometry, maps, points, scores, peak_points, peaks.scores, sides, facing)

    def facing_in(self, probs: jax.Array) -> np.ndarray:
        """Say which way the object faces, from -1 to 1, of p(channel | cell) [P, K + 1]."""
        return np.asarray(reading.facing_of(self.facing, probs) if self.facing else 0.0)

    def _original(self, cells: np.ndarray, geometry: images.Geometry) -> np.ndarray:
        """Return the original pixels of points [n, ..., 2] in cells of n images."""
        pixels = cells_to_pixels(cells, self.stride, self.backbone.origin)
        return images.to_original(pixels, geometry)

    def _padded(self, packed: np.ndarray, grid: np.ndarray) -> np.ndarray:
        return reading.padded(packed, grid, most=int(self.grids(self.geometry((1, 10_000))).prod()))

    @property
    def _peaks(self) -> dict[str, float]:
        """How the channels of a map are detected, for `method.detection.detect`."""
        side, settings = self.settings.box / self.stride, self.settings
        return {"box_side": side, "nms_iou": settings.nms_iou, "per_part": settings.per_part}
