"""Examine a data set: are all files there, sound, and what their lists say?"""

from typing import NamedTuple

import numpy as np

from partdisc.data import SMALL, Listed, record
from partdisc.data.bad_images import BadImage
from partdisc.data.contents import Content, Progress
from partdisc.data.coordinates import LEAST, Suspicion, suspect_boxes, suspect_points
from partdisc.data.preparation import Seen, Table
from partdisc.data.settings import DataSettings

# From the mildest on; the last two change the exit status of a check.
SEVERITIES = ("ok", "note", "warning", "error")

# Official numbers of train, fit and test images by name and splits (category for
# vehicle_part); of CelebA in the wild, as SCOPS reports them.
OFFICIAL = {
    ("celeba", "official"): (161_962, 19_000, 1_000),
    ("celeba", "mafl"): (19_000, 19_000, 1_000),
    ("celeba_wild", "official"): (161_962, 19_000, 1_000),
    ("celeba_wild", "mafl"): (19_000, 19_000, 1_000),
    ("celeba_wild", "scops"): (45_609, 5_379, 283),
    ("mtfl", "official"): (10_000, 10_000, 2_995),
    ("cub", "official"): (5_994, 5_994, 5_794),
    ("vehicle_part", "aeroplane"): (849, 849, 824),
    ("vehicle_part", "bicycle"): (373, 373, 407),
    ("vehicle_part", "bus"): (517, 517, 498),
    ("vehicle_part", "car"): (2_000, 2_000, 2_000),
    ("vehicle_part", "motorbike"): (315, 315, 299),
    ("vehicle_part", "train"): (495, 495, 479),
}
# Boxes and points may be rounded; one further out than this many pixels is outside.
SLACK = 1.5


class Finding(NamedTuple):
    """One result of the examination.

    Attributes:
        severity: one of `SEVERITIES`.
        what: was examined.
        found: in words and figures.
        names: of the images concerned.
    """

    severity: str
    what: str
    found: str
    names: tuple[str, ...] = ()


class Examined(NamedTuple):
    """What an examination gave: its findings in their order, and the sound images."""

    findings: list[Finding]
    table: Table


def examine(listed: Listed, progress: Progress | None = None) -> Examined:
    """Examine every image and annotation of a data set.

    Args:
        listed: the data set, all of its images.
        progress: wraps the records, given their number and a label.

    Returns:
        The findings, and what was seen of the sound images.
    """
    wanted, listing, records = listed.wanted, listed.listing, listed.records
    gathered = listed.gather()
    looked = gathered.look_at_all(records)
    for _ in progress(looked, len(records), "examining") if progress else looked:
        pass
    seen = gathered.seen
    named, extra = [], []
    for one in listing.problems:
        (extra if one.reason.startswith(record.UNLISTED) else named).append(one)
    findings = [
        *_counts(wanted, listing),
        *(Finding("note", "left out", note) for note in listing.notes),
        _bad("listed, but unusable or absent", named, len(records), wanted),
        _bad("there, but not listed", extra, len(records), wanted),
        _bad("unreadable images", gathered.problems, len(records), wanted),
        _odd_images(gathered.oddities),
        *_odd(listing, wanted),
        _sizes(seen),
        _small(seen),
        *_duplicates(seen, listed.contents),
        *_annotation(listed, seen),
    ]
    return Examined(findings, gathered.table())


def worst(findings: list[Finding]) -> str:
    """Return the gravest severity of findings, "ok" where there are none."""
    return max((one.severity for one in findings), key=SEVERITIES.index, default="ok")


def _counts(wanted: DataSettings, listing: record.Listing) -> list[Finding]:
    counts = tuple(sum(split in one.splits for one in listing.records) for split in record.SPLITS)
    text = ", ".join(f"{n:,} {split}" for n, split in zip(counts, record.SPLITS, strict=True))
    kind = wanted.category if wanted.name == "vehicle_part" else wanted.splits
    # One species is a part of the set on purpose.
    partial = wanted.name == "cub" and wanted.category
    official = None if partial else OFFICIAL.get((wanted.name, kind))
    if official is None:
        findings = [Finding("ok", "images of the splits", text)]
    elif counts == official:
        findings = [Finding("ok", "images of the splits", f"{text}: the official numbers")]
    else:
        numbers = ", ".join(f"{n:,}" for n in official)
        findings = [Finding("warning", "images of the splits", f"{text}; official: {numbers}")]
    if listing.landmark_names:
        lists = f" in {', '.join(map(str, listing.sources))}" if listing.sources else ""
        for split, count in zip(record.SPLITS, counts, strict=True):
            if not count:
                found = f"no {split} images{lists}"
                findings.append(Finding("error", "images of the splits", found))
    return findings


def _bad(what: str, problems: list[BadImage], sound: int, wanted: DataSettings) -> Finding:
    if not problems:
        return Finding("ok", what, "none")
    share = len(problems) / (len(problems) + sound)
    severity = "error" if share > wanted.max_bad_fraction else "warning"
    first = problems[0]
    return Finding(
        severity,
        what,
        f"{len(problems):,}, such as {first.name}: {first.reason}",
        tuple(f"{one.name}: {one.reason}" for one in problems),
    )


def _odd(listing: record.Listing, wanted: DataSettings) -> list[Finding]:
    if not listing.annotations:
        return []
    sound = listing.annotations - len(listing.odd)
    return [_bad("annotations with a fault", list(listing.odd), sound, wanted)]


def _odd_images(oddities: list[BadImage]) -> Finding:
    what = "images read in a way of their own"
    if not oddities:
        return Finding("ok", what, "none")
    first = oddities[0]
    found = f"{len(oddities):,}, such as {first.name}: {first.reason}"
    return Finding("note", what, found, tuple(f"{one.name}: {one.reason}" for one in oddities))


def _small(seen: list[Seen]) -> Finding:
    names = [each.one.key for each in seen if min(each.size) < SMALL]
    return _named("warning", f"images under {SMALL} pixels on a side", names)


def _sizes(seen: list[Seen]) -> Finding:
    if not seen:
        return Finding("error", "sizes", "no image could be read")
    sides = np.array([one.size for one in seen])
    low, middle, high = (np.quantile(sides, q, axis=0).astype(int) for q in (0, 0.5, 1))
    return Finding(
        "ok",
        "sizes",
        f"{low[0]} to {high[0]} x {low[1]} to {high[1]}, median {middle[0]} x {middle[1]} pixels",
    )


def _duplicates(seen: list[Seen], contents: dict[str, Content]) -> list[Finding]:
    """Find files of the same content: in test and another split they leak."""
    by_content: dict[str, list[record.Record]] = {}
    for each in seen:
        by_content.setdefault(contents[each.one.key].hash, []).append(each.one)
    leaks, twice = [], []
    for same in by_content.values():
        # Several objects of one image are one file.
        names = {one.key.rpartition("#")[0] or one.key: one for one in same}
        in_test = ["test" in one.splits for one in same]
        text = " = ".join(one.key for one in same)
        if any(in_test) and not all(in_test):
            leaks.append(text)
        elif len(names) > 1:
            twice.append(text)
    return [
        _named("error", "the same image in test and another split", leaks),
        _named("warning", "the same image twice", twice),
    ]


def _annotation(listed: Listed, seen: list[Seen]) -> list[Finding]:
    listing = listed.listing
    if not listing.landmark_names:
        return []
    points_out, boxes_out, boxless, empty = [], [], [], []
    annotated = np.zeros(len(listing.landmark_names), int)
    for one in seen:
        limit = np.array(one.size) - 0.5
        known = np.isfinite(one.points).all(-1)
        annotated += known.any(-1)
        outside = (one.points < -0.5 - SLACK) | (one.points > limit + SLACK)
        if (outside.any(-1) & known).any():
            points_out.append(one.one.key)
        if np.isfinite(one.box).all():
            if (one.box[:2] < -0.5 - SLACK).any() or (one.box[2:] > limit + SLACK).any():
                boxes_out.append(one.one.key)
        else:
            boxless.append(one.one.key)
        if one.one.splits != ("train",) and not known.any():
            empty.append(one.one.key)
    never = [
        name for name, count in zip(listing.landmark_names, annotated, strict=True) if not count
    ]
    findings = [
        *_coordinates(listed, seen),
        _named("warning", "images with landmarks outside", points_out),
        _named(
            "error" if _covers_a_split(empty, seen) else "warning",
            "fit and test images without any landmark",
            empty,
        ),
        _named("warning", "landmarks that no image shows", never),
    ]
    if len(boxless) < len(seen):
        findings.append(_named("note", "images with boxes that reach outside", boxes_out))
        findings.append(_named("warning", "images without a box", boxless))
    return findings


def _coordinates(listed: Listed, seen: list[Seen]) -> list[Finding]:
    """Say whether points and boxes make sense as pixels, and whether they agree."""
    if not seen:
        return []
    images = listed.images(
        [one.one.key for one in seen],
        np.array([one.size for one in seen]),
        np.array(["test" in one.one.splits for one in seen]),
    )
    points = np.array([one.points.reshape(-1, 2) for one in seen])
    boxes = np.array([one.box for one in seen])
    known, boxed = np.isfinite(points).all(axis=-1), np.isfinite(boxes).all(axis=-1)
    findings = _suspected("coordinates", known.sum(), suspect_points(points, images))
    if boxed.any():
        found = suspect_boxes(boxes, images)
        findings += _suspected("coordinates of boxes", boxed.sum(), found)
        findings += _in_boxes(points[boxed], boxes[boxed, None])
    return findings


def _suspected(what: str, count: int, found: list[Suspicion]) -> list[Finding]:
    if not found and count < LEAST:
        return [Finding("note", what, f"{count} are too few to tell whether they are pixels")]
    if not found:
        return [Finding("ok", what, "make sense as pixels")]
    return [Finding("error" if one.sure else "warning", what, one.text) for one in found]


def _in_boxes(points: np.ndarray, boxes: np.ndarray) -> list[Finding]:
    """Say how many points [N, L, 2] lie in the boxes [N, 1, 4] of their objects, or near them."""
    known = np.isfinite(points).all(axis=-1)
    if known.sum() < LEAST:
        return []
    near = 0.1 * (boxes[..., 2:] - boxes[..., :2]) + SLACK
    inside = (points >= boxes[..., :2] - near) & (points <= boxes[..., 2:] + near)
    share = inside.all(axis=-1)[known].mean()
    found = f"{share:.0%} of the points"
    if share < 0.5:
        found += ": points or boxes are of other images, or no pixels"
    return [Finding("warning" if share < 0.5 else "ok", "inside the objects' boxes", found)]


def _covers_a_split(keys: list[str], seen: list[Seen]) -> bool:
    """Say whether these are all images of the fit or of the test split."""
    for split in ("fit", "test"):
        members = {one.one.key for one in seen if split in one.one.splits}
        if members and members <= set(keys):
            return True
    return False


def _named(severity: str, what: str, names: list[str]) -> Finding:
    if not names:
        return Finding("ok", what, "none")
    return Finding(severity, what, f"{len(names):,}, such as {names[0]}", tuple(names))
