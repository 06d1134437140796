"""Find parts with what `Detector.export` wrote; needs no partdisc: `pip install jax flatbuffers`.

    python run_artifact.py FOLDER IMAGE.npy

FOLDER has model.jaxexport and model.json. IMAGE.npy is uint8 [H, W, 3], RGB, of the size at which
the model looks at photos (`input.framing` in model.json). Rows and columns beyond a multiple of
`input.multiple`, at the bottom and on the right, are cut off. Prints each part that is there: its
name, its point (y, x) in pixels, its score.
"""

import json
import pathlib
import sys

import numpy as np
from jax import export


def main(folder: pathlib.Path, image: pathlib.Path) -> None:
    try:
        about = json.loads((folder / "model.json").read_text())
        model = export.deserialize(bytearray((folder / about["model"]["file"]).read_bytes()))
        pixels, multiple = np.load(image), about["input"]["multiple"]
    except (OSError, ValueError) as error:
        sys.exit(f"FOLDER is what Detector.export writes, IMAGE what np.save writes: {error}")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        sys.exit(f"{image}: {pixels.dtype} {list(pixels.shape)}; allowed is uint8 [H, W, 3]")
    height, width = (side // multiple * multiple for side in pixels.shape[:2])
    if 0 in (height, width):
        sys.exit(f"{image}: {list(pixels.shape[:2])} pixels; each side needs {multiple} at least")
    found = model.call(pixels[None, :height, :width])
    points, scores, present = (np.asarray(found[key])[0] for key in ("points", "scores", "present"))
    for part, (y, x), score, there in zip(about["parts"], points, scores, present, strict=True):
        if there:
            print(f"{part['title']}: ({y:.1f}, {x:.1f}), score {score:.2f}")


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:])) if len(sys.argv) == 3 else sys.exit(__doc__)
