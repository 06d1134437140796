"""partdisc: discover the parts of an object class from unlabelled images.

A JAX/Flax implementation of "Unsupervised Part Discovery via Feature
Alignment" (Guo, Bai, Zhang, Kortylewski, Yuille, 2020).

Notation, kept everywhere in the package:

  B  batch                      J  neighbours in a pool of similar images
  N  images                     M  matches between two feature maps
  P  cells of a feature map     T  hypotheses of a transform
  C  backbone channels          L  annotated landmarks (evaluation only)
  K  parts; channel K, the last of K + 1, is the background

* Points are `(y, x)`, boxes `(y0, x0, y1, x1)`. An unknown or invisible point
  is NaN.
* Pixel coordinates put the centres of pixels at integers: the top left pixel's
  centre is (0, 0) and an image [H, W] covers [-0.5, H - 0.5] x [-0.5, W - 0.5].
* Feature coordinates are in cells, with cell centres at integers. Cell `i` has
  its centre at `stride * i + origin` pixels of the resized image, where the
  backbone's receptive field has it; detection works on cells half a stride apart.
* A feature map is a packed list of cells, `features [N, P, C]`, with its
  `grid [N, 2]` (rows, columns): cell `p` sits at `(p // columns, p % columns)`
  and is valid while `p < rows * columns`. Portrait and landscape images share
  one static shape.
* `probs [P, K + 1]` are p(part | cell).
* A transform is a 3 x 3 matrix acting on the columns `(y, x, 1)`, and maps
  cells of the neighbour to cells of the target.
"""

__version__ = "0.1.0"

# The public names, imported when they are first used: `import partdisc` costs nothing.
_PUBLIC = {"Detector": "detector", "Prediction": "detector", "discover": "api", "load": "detector"}
__all__ = [*_PUBLIC]


def __getattr__(name: str):
    import importlib

    if name not in _PUBLIC:
        raise AttributeError(f"module 'partdisc' has no attribute '{name}'")
    return getattr(importlib.import_module(f"partdisc.{_PUBLIC[name]}"), name)
