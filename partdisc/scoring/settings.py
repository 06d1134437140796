"""What is measured of a run: from the config to typed settings."""

from typing import Any, NamedTuple

from partdisc.config import split_names


class Scoring(NamedTuple):
    """What is measured, and how.

    Attributes:
      protocols: of regression; the first one's errors stand in the main table.
      detection: protocols; the first one chooses the channels.
      extras: names of `extras.EXTRAS`.
      channel_selection: the split that chooses a channel for each part, `fit` or `test`.
      threshold: of a distance, as a share of the normaliser.
      iou: of boxes, what a match must exceed.
      min_firing: channels whose mean best score is below this share of the strongest
        channel's are not regressed from.
      alignment_images: of which the alignment of pools is measured, at most.
      box: side of a part's box, pixels at the short side of the network's input.
      seed: of all draws.
    """

    protocols: tuple[str, ...]
    detection: tuple[str, ...]
    extras: tuple[str, ...]
    channel_selection: str
    threshold: float
    iou: float
    min_firing: float
    alignment_images: int
    box: float
    seed: int

    @property
    def names(self) -> dict[str, Any]:
        """What figures are measured by, for results.json."""
        return {
            "regression": self.protocols[0],
            "detection": ",".join(self.detection),
            "channel_selection": self.channel_selection,
            "threshold": self.threshold,
            "iou": self.iou,
            "alignment": "D",
        }


def scoring_settings(config: Any) -> Scoring:
    """Take from a config what is measured."""
    options = config.evaluation
    return Scoring(
        protocols=tuple(split_names(options.protocols)),
        detection=tuple(split_names(options.detection)),
        extras=tuple(split_names(options.extras)),
        channel_selection=options.channel_selection,
        threshold=options.threshold,
        iou=options.iou,
        min_firing=options.min_firing,
        alignment_images=options.alignment_images,
        box=config.detection.box,
        seed=config.seed,
    )
