"""Weights that others publish: where they are, and the digests of their bytes."""

import hashlib
import pathlib
from typing import NamedTuple

from partdisc.errors import WeightsError

# What a file of weights is called in the folder of any network of the Hugging Face Hub.
HUB_FILE = "model.safetensors"


class Published(NamedTuple):
    """A published file.

    Attributes:
      file: its name, here.
      algorithm: of the digest.
      digest: what the hex digest of its bytes begins with.
      url: where it is; "" where it is not fetched by itself.
      size: MB.
    """

    file: str
    algorithm: str
    digest: str
    url: str = ""
    size: int = 0


def _hub(name: str, repository: str, revision: str, digest: str, size: int) -> Published:
    """Name a file of the Hugging Face Hub; the revision fixes its bytes, too."""
    url = f"https://huggingface.co/facebook/{repository}/resolve/{revision}/{HUB_FILE}"
    return Published(f"{name}-{digest[:8]}.safetensors", "sha256", digest, url, size)


# What is downloaded where a backbone's weights are not found. The network with registers of
# width 384 is not here: we know no digest of its file.
DOWNLOADS = {
    "vgg16": Published(
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5",
        "6d6bbae143d832006294945121d1f1fc",
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        56,
    ),
    "dinov2_vits14": _hub(
        "dinov2_vits14",
        "dinov2-small",
        "ed25f3a31f01632728cabb09d1542f84ab7b0056",
        "ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1",
        88,
    ),
    "dinov2_vitb14": _hub(
        "dinov2_vitb14",
        "dinov2-base",
        "f9e44c814b77203eaa57a6bdbbd535f21ede1415",
        "d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841",
        346,
    ),
    "dinov2_vitb14_reg": _hub(
        "dinov2_vitb14_reg",
        "dinov2-with-registers-base",
        "a1d738ccfa7ae170945f210395d99dde8adb1805",
        "7a6f7b3b9fa4b8732e707476a03cd6cdce210048582f21aafb7991c17d98e362",
        346,
    ),
}
_OTHERS = (Published("vgg16-397923af.pth", "sha256", "397923af"),)


def check_digest(path: pathlib.Path, name: str) -> None:
    """Compare a file with the published one of some name.

    Args:
      path: the file.
      name: that it is published under; any digest will do for a name that nobody publishes.

    Raises:
      WeightsError: it is another file, or a damaged one.
    """
    files = (*DOWNLOADS.values(), *_OTHERS)
    known = next((each for each in files if each.file == name), None)
    if known is None:
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, known.algorithm).hexdigest()
    if not found.startswith(known.digest):
        raise WeightsError(
            f"{path}: {known.algorithm} {found[: len(known.digest)]}, but the published {name} "
            f"has {known.digest}; fetch it again, or rename it if it is meant to differ"
        )
