"""The drawn object: an excavator that faces right, with ten landmarks.

Drawn in its own units: the ground is y = 0, up is negative, and the machine
without its boom is about 0.7 wide.
"""

from typing import NamedTuple

import numpy as np

from partdisc.data.drawing import Colour, Shape, bar, box, disc, shade, transform

LANDMARKS = (
    "rear wheel",
    "front wheel",
    "counterweight",
    "exhaust",
    "cab window",
    "beacon",
    "boom joint",
    "elbow",
    "wrist",
    "bucket",
)

_PAINTS = (
    (246, 190, 40), (240, 130, 40), (214, 60, 50), (70, 140, 210), (90, 170, 80), (160, 100, 180),
    (240, 240, 232), (60, 175, 170), (232, 110, 150),
)  # fmt: skip
_RUBBER, _STEEL, _GLASS = (62, 60, 66), (150, 152, 160), (176, 222, 240)


class Excavator(NamedTuple):
    """One excavator in its own units.

    Attributes:
        shapes: from back to front.
        landmarks: (y, x) in the order of `LANDMARKS` [10, 2].
        paint: colour of its body.
    """

    shapes: list[Shape]
    landmarks: np.ndarray
    paint: Colour


def make(rng: np.random.Generator) -> Excavator:
    """Draw lots for an excavator: pose of boom, arm and bucket, running gear, colours."""
    paint = _PAINTS[rng.integers(len(_PAINTS))]
    dark = shade(paint, 0.72) if rng.random() < 0.6 else (88, 88, 98)
    rim = (paint, _STEEL, (236, 220, 180))[rng.integers(3)]
    gear, wheels = _tracks(rim) if rng.random() < 0.65 else _tyres(rim, dark)
    house, fixed = _house(paint, dark, rng)
    boom, moving = _boom(paint, dark, rng)
    landmarks = np.array([*wheels, *fixed, *moving])
    return Excavator(gear + house + boom, landmarks, paint)


def _wheel(y: float, x: float, radius: float, rim: Colour) -> list[Shape]:
    bolts = np.linspace(0, 2 * np.pi, 5, endpoint=False)
    return [
        disc(y, x, radius, rim),
        *(
            disc(y + 0.58 * radius * np.sin(a), x + 0.58 * radius * np.cos(a), 0.14 * radius,
                 _RUBBER, inked=False)
            for a in bolts
        ),
        disc(y, x, 0.26 * radius, _RUBBER, inked=False),
    ]  # fmt: skip


def _tracks(rim: Colour) -> tuple[list[Shape], list[tuple[float, float]]]:
    rear, front = (-0.1, -0.33), (-0.1, 0.19)
    shapes = [bar(rear, front, 0.2, _RUBBER)]
    for x in np.linspace(-0.33, 0.19, 12):  # Cleats along both runs of the track.
        shapes += [box(y - 0.014, x - 0.012, y + 0.014, x + 0.012, _RUBBER) for y in (-0.2, 0)]
    shapes.append(bar(rear, front, 0.14, shade(_RUBBER, 1.5), inked=False))
    shapes += [disc(-0.055, x, 0.026, shade(rim, 0.8)) for x in (-0.2, -0.12, -0.03, 0.06)]
    shapes.append(box(-0.25, -0.19, -0.19, 0.06, _STEEL))
    return shapes + _wheel(*rear, 0.068, rim) + _wheel(*front, 0.068, rim), [rear, front]


def _tyres(rim: Colour, dark: Colour) -> tuple[list[Shape], list[tuple[float, float]]]:
    rear, front = (-0.12, -0.3), (-0.12, 0.15)
    shapes = [box(-0.25, -0.19, -0.19, 0.06, _STEEL), box(-0.2, -0.36, -0.12, 0.22, dark)]
    for wheel in (rear, front):
        shapes += [disc(*wheel, 0.12, _RUBBER), *_wheel(*wheel, 0.072, rim)]
    return shapes, [rear, front]


def _house(
    paint: Colour, dark: Colour, rng: np.random.Generator
) -> tuple[list[Shape], list[tuple[float, float]]]:
    roof = rng.uniform(-0.66, -0.6)
    pipe = rng.uniform(-0.6, -0.54)
    counterweight = [
        (-0.45, -0.3), (-0.45, -0.42), (-0.41, -0.475), (-0.29, -0.475), (-0.25, -0.42),
        (-0.25, -0.3),
    ]  # fmt: skip
    hood = [(-0.25, -0.34), (-0.47, -0.34), (-0.48, -0.08), (-0.42, 0.0), (-0.25, 0.0)]
    cab = [(-0.25, -0.05), (roof, -0.05), (roof, 0.11), (-0.4, 0.2), (-0.25, 0.2)]
    window = [(-0.42, -0.015), (roof + 0.045, -0.015), (roof + 0.045, 0.09), (-0.42, 0.165)]
    middle = roof / 2 - 0.19
    glare = [(middle + 0.06, 0.0), (middle - 0.02, 0.07), (middle - 0.05, 0.07), (middle, 0.0)]
    shapes = [
        bar((-0.44, -0.2), (pipe, -0.2), 0.035, _STEEL),
        bar((pipe, -0.2), (pipe - 0.022, -0.235), 0.04, (70, 70, 76)),
        Shape(np.array(counterweight), dark, painted=True),
        Shape(np.array(hood), paint, painted=True),
        *(bar((y, -0.29), (y, -0.16), 0.016, dark, inked=False) for y in (-0.41, -0.37, -0.33)),
        box(-0.29, -0.34, -0.23, 0.24, dark),
        Shape(np.array(cab), paint, painted=True),
        Shape(np.array(window), _GLASS),
        Shape(np.array(glare), (236, 250, 255), inked=False),
        box(roof - 0.025, -0.07, roof + 0.01, 0.13, dark),
        box(roof - 0.05, 0.01, roof - 0.025, 0.07, _RUBBER),
        disc(roof - 0.066, 0.04, 0.03, (255, 120, 30)),
    ]
    return shapes, [(-0.35, -0.41), (pipe - 0.01, -0.215), (middle, 0.06), (roof - 0.066, 0.04)]


def _boom(
    paint: Colour, dark: Colour, rng: np.random.Generator
) -> tuple[list[Shape], list[np.ndarray]]:
    rise, drop = np.radians(rng.uniform(32, 66)), np.radians(rng.uniform(-118, -52))
    curl = np.radians(rng.uniform(-50, 35))
    joint = np.array([-0.3, 0.23])
    along, across = _axes(rise)
    elbow = joint + 0.52 * along
    bend = joint + 0.27 * along + 0.07 * across
    boom = [
        joint - 0.035 * across, joint + 0.035 * across, bend + 0.05 * across,
        elbow + 0.03 * across, elbow - 0.03 * across, bend - 0.045 * across,
    ]  # fmt: skip
    down, aside = _axes(drop)
    wrist = elbow + 0.37 * down
    heel = elbow - 0.09 * down + 0.03 * aside
    arm = [heel, elbow + 0.045 * aside, wrist + 0.025 * aside, wrist - 0.025 * aside,
           elbow - 0.045 * aside]  # fmt: skip
    # The bucket in its own axes: hung at the origin, open to the left.
    pail = np.array([
        (-0.03, -0.03), (-0.03, 0.05), (0.03, 0.1), (0.12, 0.1), (0.18, 0.03), (0.19, -0.07),
        (0.1, -0.055),
    ])  # fmt: skip
    teeth = [(0.17, -0.05), (0.235, -0.11), (0.195, -0.02)]
    turn = np.array([[np.cos(curl), -np.sin(curl)], [np.sin(curl), np.cos(curl)]])
    placed = np.column_stack([turn, wrist])
    pail, teeth = transform(pail, placed), transform(np.array(teeth), placed)
    bucket = transform(np.array([(0.085, 0.025)]), placed)[0]
    rod = bend + 0.05 * across
    shapes = [
        bar(joint + (0.0, 0.0), bend - 0.06 * across, 0.026, _STEEL),
        Shape(teeth, (236, 232, 220)),
        Shape(pail, dark, painted=True),
        Shape(np.array(arm), paint, painted=True),
        Shape(np.array(boom), paint, painted=True),
        bar(rod, (rod + heel) / 2, 0.036, dark),
        bar((rod + heel) / 2, heel, 0.02, _STEEL),
        disc(*joint, 0.045, _STEEL),
        disc(*elbow, 0.036, _STEEL),
        disc(*wrist, 0.03, _STEEL),
        *(disc(*pin, 0.012, _RUBBER, inked=False) for pin in (joint, elbow, wrist)),
    ]
    return shapes, [joint, elbow, wrist, bucket]


def _axes(angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (y, x) along a direction, counted up from the right, and to its left."""
    along = np.array([-np.sin(angle), np.cos(angle)])
    return along, np.array([-along[1], along[0]])
