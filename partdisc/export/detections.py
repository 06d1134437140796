"""The detections of a run as a list, whatever the format they are written in."""

from typing import NamedTuple

import numpy as np

from partdisc.data import images
from partdisc.detector import Detector, Predictions


class Detection(NamedTuple):
    """One instance of a part in an image.

    Attributes:
      image: its name in the data set.
      part: its name.
      channel: of the part layer that found it.
      score: p(part | cell) at the peak, in [0, 1].
      point: (y, x), original pixels.
      box: (y0, x0, y1, x1), original pixels; it may reach past the image.
    """

    image: str
    part: str
    channel: int
    score: float
    point: list[float]
    box: list[float]


def list_detections(
    detector: Detector,
    names: list[str],
    geometry: images.Geometry,
    found: Predictions,
    parts: dict[str, int],
) -> list[Detection]:
    """List the detections of parts in n images.

    Args:
      detector: what found them.
      names: of the images.
      geometry: of the images.
      found: the predictions for the images.
      parts: name -> channel that answers for it.

    Returns:
      The detections whose score is at least what the detector lists of the channel; by part,
      then image, strongest first.
    """
    half = 0.5 * detector.box_sides(geometry)
    listed = []
    for part, channel in parts.items():
        scores = found.scores[:, channel]
        enough = scores >= detector.least(channel)
        for n, d in np.argwhere(enough & np.isfinite(scores)):
            point = found.points[n, channel, d]
            listed.append(
                Detection(
                    image=names[n],
                    part=part,
                    channel=int(channel),
                    score=round(float(scores[n, d]), 4),
                    point=[round(value, 2) for value in point.tolist()],
                    box=[round(v, 2) for v in (*(point - half[n]), *(point + half[n]))],
                )
            )
    return listed
