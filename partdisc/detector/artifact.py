"""A detector for programs that have JAX but not partdisc: one function of pixels, and its facts."""

import dataclasses
import hashlib
import importlib.metadata
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from partdisc.backbones import Backbone, Weights, encode
from partdisc.data.images import Framing
from partdisc.detector.parts import PartSet
from partdisc.detector.reading import parts_of
from partdisc.errors import WorkdirError
from partdisc.method.cells import cells_to_pixels
from partdisc.method.part_layer import Layer, packed_probabilities
from partdisc.workdir import atomic, write_json

MODEL, ABOUT = "model.jaxexport", "model.json"
# Raised whenever the files mean something else.
FORMAT = 1
PLATFORMS = ("cpu", "cuda")

_FRAMING = (
    "Take the whole photo, upright, in RGB, what is transparent on white. Its sides in cells: "
    "short = max(1, floor(short_side / multiple + 0.5)), "
    "longest = max(short, floor(short * max_aspect)), and each side is "
    "floor(min(short * side / shorter side, longest) + 0.5). Resize it to multiple * cells pixels, "
    "bilinearly with antialiasing (Pillow's BILINEAR). A coordinate p of the input is "
    "(p + 0.5) * side of the photo / side of the input - 0.5 of the photo, for y and x alone."
)
_OUTPUTS = {
    "maps": "p(part | cell), 0 to 1, of the parts in their order, then of the background; sum 1",
    "points": "(y, x) of each part, pixels of the input; there is always one",
    "scores": "the largest p(part | cell) of each part, 0 to 1",
    "present": "whether the score reaches the part's threshold",
}
_LICENCE = (
    "partdisc is under Apache-2.0. The network's weights inside are not partdisc's: unless they "
    "are random, they are their publisher's (see origin), as a rule trained on ImageNet. The "
    "publisher's terms hold for them: read these before you pass the model on."
)


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """What is exported of a detector; the attributes are the detector's own.

    Attributes:
      half_stride: whether cells are half a stride apart, as in its settings.
    """

    backbone: Backbone
    weights: Weights
    framing: Framing
    layer: Layer
    params: dict[str, Any]
    offset: jax.Array
    chosen: PartSet
    half_stride: bool

    @property
    def stride(self) -> float:
        """Pixels of the network's input from one cell to the next."""
        return self.backbone.stride / (2 if self.half_stride else 1)

    def find(self, pixels: jax.Array) -> dict[str, jax.Array]:
        """Find the parts in images of one size.

        Args:
          pixels: uint8 [b, h, w, 3], RGB, the network's input; b, h and w may be symbolic.

        Returns:
          `maps` [b, rows, columns, k + 1], `points` [b, k, 2], `scores` [b, k] and `present`
          bool [b, k], which `_OUTPUTS` describes.
        """
        batch, *sides, _ = pixels.shape
        rows, columns = (side // self.backbone.stride for side in sides)
        if self.half_stride:
            rows, columns = 2 * rows - 1, 2 * columns - 1
        grid = jnp.array([rows, columns], jnp.int32)

        def read(packed):
            probs = packed_probabilities(self.layer, self.params, packed, grid, self.offset)
            return parts_of(self.chosen.discriminant, packed, probs, grid, self.offset)

        features = encode(
            self.weights.params,
            pixels,
            backbone=self.backbone,
            preprocessing=self.weights.preprocessing,
            half_stride=self.half_stride,
        )
        maps, cells, scores = jax.vmap(read)(features)
        thresholds = jnp.array([[part.threshold for part in self.chosen.parts]], jnp.float32)
        return {
            "maps": maps.reshape(batch, rows, columns, len(self.chosen.parts) + 1),
            "points": cells_to_pixels(cells, self.stride, self.backbone.origin),
            "scores": scores,
            "present": scores >= thresholds,
        }


def write(folder: pathlib.Path, model: Model) -> None:
    """Write `model.jaxexport` and `model.json`; either appears when it is whole.

    Args:
      folder: made where it is absent.
      model: what is exported; it has parts.

    Raises:
      errors.WorkdirError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkdirError(
            f"{folder}: no folder can be made there ({error.strerror}); name another"
        ) from None
    exported = _exported(model)
    program = bytes(exported.serialize())
    with atomic(folder / MODEL) as temporary:
        temporary.write_bytes(program)
    write_json(folder / ABOUT, _about(model, exported, hashlib.sha256(program).hexdigest()))


def _exported(model: Model) -> export.Exported:
    """Trace the model for images of any number and size."""
    side = model.backbone.stride
    shape = export.symbolic_shape(
        f"b, {side} * r, {side} * c, 3",
        # It always holds. With it, JAX sees that (2 r - 1)(2 c - 1) cells are one at least.
        constraints=["2 * r * c >= r + c"],
    )
    pixels = jax.ShapeDtypeStruct(shape, jnp.uint8)
    return export.export(jax.jit(model.find), platforms=PLATFORMS)(pixels)


def _about(model: Model, exported: export.Exported, digest: str) -> dict[str, Any]:
    """Return the content of model.json."""
    network, weights = model.backbone, model.weights
    (pixels,), results = exported.in_avals, exported.out_tree.unflatten(exported.out_avals)
    return {
        "format": FORMAT,
        "model": {"file": MODEL, "sha256": digest, "platforms": PLATFORMS},
        "input": {
            "dtype": pixels.dtype.name,
            "shape": f"[{', '.join(map(str, pixels.shape))}]",
            "layout": "images, rows, columns, RGB; r and c are the sides over multiple",
            "multiple": network.stride,
            "framing": {
                "short_side": model.framing.short_side,
                "max_aspect": model.framing.max_aspect,
                "crop": "none",
                "filter": "bilinear, antialiased",
                "meaning": _FRAMING,
            },
        },
        "geometry": {
            "stride": model.stride,
            "origin": network.origin,
            "half_stride": model.half_stride,
            "meaning": "Cell i of the maps has its centre at stride * i + origin, pixels of the "
            "input, for rows and columns alike. Pixel centres are whole numbers.",
        },
        "outputs": {
            name: {
                "dtype": results[name].dtype.name,
                "shape": f"[{', '.join(map(str, results[name].shape))}]",
                "meaning": meaning,
            }
            for name, meaning in _OUTPUTS.items()
        },
        "parts": [{"title": part.title, **part._asdict()} for part in model.chosen.parts],
        "backbone": {
            "name": network.name,
            "layer": network.layer,
            "weights": {"sha256": weights.digest, "origin": weights.origin},
        },
        "licence": _LICENCE,
        "versions": {
            "partdisc": importlib.metadata.version("partdisc"),
            "jax": jax.__version__,
            "calling_convention": exported.calling_convention_version,
        },
    }
