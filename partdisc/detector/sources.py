"""The images that parts are looked for in: a folder, a pattern, a list, or images in memory."""

import glob
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from partdisc.data import decoding, images
from partdisc.data.files import find_files
from partdisc.data.lists import read_lines
from partdisc.data.preparation import check_usable
from partdisc.data.record import ENDINGS, may_be_image
from partdisc.errors import DataError, shortened
from partdisc.paths import user_path

# A picture: a file's path, a PIL image, or an array uint8 [H, W, 3] or [H, W].
Picture = str | os.PathLike | Image.Image | np.ndarray


class Source(NamedTuple):
    """One image to look at.

    Attributes:
      name: in the output.
      picture: the file, or the image itself.
    """

    name: str
    picture: Picture


def find_sources(given: str) -> list[Source]:
    """List the images that a user names, in a fixed order.

    Args:
      given: a folder (all images below it, by their names), a pattern with `*`, `?` or `[`
        (`**` goes into folders), a text file with a path a line (in its order; `#` begins a
        comment; paths are relative to it), or one image.

    Raises:
      errors.DataError: there is no image by that name, or the text file is no text.
    """
    path = user_path(given)
    if path.is_dir():
        files = find_files(path)
        names = [name for name in files if name.lower().endswith(ENDINGS)]
        # Reading them says what is wrong.
        names += [name for name in files.unread if may_be_image(name)]
        found = [Source(name, path / name) for name in sorted(names)]
    elif path.suffix.lower() == ".txt" and path.is_file():
        lines = (line.partition("#")[0].strip() for line in read_lines(path))
        found = [Source(line, path.parent / user_path(line)) for line in lines if line]
    elif path.is_file():
        found = [Source(path.name, path)]
    else:
        files = sorted(glob.glob(str(path), recursive=True))
        found = [
            Source(file, pathlib.Path(file))
            for file in files
            if os.path.isfile(file) or not os.path.exists(file)  # A broken link is said to be one.
        ]
    if not found:
        raise DataError(
            f"{given}: no image there; allowed are a folder with {', '.join(ENDINGS)} files, a "
            "pattern such as 'photos/*.jpg', a .txt file with a path a line, or one image"
        )
    return found


def sources_of(pictures: Iterable[Picture | Source]) -> Iterator[Source]:
    """Name pictures: files by their paths, others by their places, from 0.

    Raises:
      errors.DataError: it is one picture, not several.
    """
    if isinstance(pictures, str | os.PathLike | Image.Image) or (
        isinstance(pictures, np.ndarray) and pictures.ndim < 4 and pictures.shape[-1] == 3
    ):
        raise DataError(f"{_said(pictures)} is one picture or folder; give a list: [picture]")
    for place, one in enumerate(pictures):
        if isinstance(one, Source):
            yield one
        elif isinstance(one, str | os.PathLike):
            yield Source(os.fspath(one), one)
        else:
            yield Source(str(place), one)


def prepare(
    picture: Picture, framed: Callable[[tuple[int, int]], images.Geometry], max_pixels: int
) -> tuple[images.Geometry, np.ndarray]:
    """Return how a picture becomes the network's input, and the input, uint8 [h, w, 3].

    Args:
      picture: any.
      framed: from the height and width of an image to its geometry.
      max_pixels: of an image that is read from a file.

    Raises:
      errors.DataError: it is no image, damaged, too large, or a strip. Gives the reason alone.
    """
    if not isinstance(picture, str | os.PathLike):
        pixels = load(picture, max_pixels)
        return (geometry := framed(pixels.shape[:2])), images.prepare(pixels, geometry)
    data = _content(picture)
    size = decoding.read_frame(data).upright
    check_usable(size, np.full(4, np.nan))
    return (geometry := framed(size)), images.read(data, geometry, max_pixels=max_pixels)


def load(picture: Picture, max_pixels: int) -> np.ndarray:
    """Return a picture as upright RGB, uint8 [H, W, 3].

    Args:
      picture: any.
      max_pixels: of an image that is read from a file.

    Raises:
      errors.DataError: it is no image, damaged, too large, or a strip. Gives the reason alone.
    """
    pixels = pixels_of(picture, max_pixels)
    check_usable(pixels.shape[:2], np.full(4, np.nan))
    return pixels


def _content(path: str | os.PathLike) -> bytes:
    try:
        return user_path(path).read_bytes()
    except OSError as error:
        raise DataError(error.strerror or str(error)) from None


def pixels_of(picture: Any, max_pixels: int) -> np.ndarray:
    """Return any picture, as of `load`, a strip too; raises errors.DataError."""
    if isinstance(picture, str | os.PathLike):
        return decoding.decode(_content(picture), max_pixels=max_pixels)
    if isinstance(picture, Image.Image):
        try:
            return decoding.upright_rgb(picture)
        except OSError as error:  # it is read when it is looked at
            raise DataError(f"damaged: {error}") from None
    array = np.asarray(picture)
    if array.dtype == np.uint8 and array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=-1)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise DataError(
            f"{_said(picture)}; allowed is a path, a PIL image, or an array uint8 [H, W, 3] or "
            "[H, W]"
        )
    return array


def _said(picture: Any) -> str:
    """Say what was given for a picture."""
    if isinstance(picture, np.ndarray):
        return f"an array of {picture.dtype} {list(picture.shape)}"
    if isinstance(picture, str | os.PathLike):
        return os.fspath(picture)
    return f"{shortened(picture)} of type {type(picture).__name__}"
