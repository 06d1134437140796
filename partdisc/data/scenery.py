"""What surrounds the drawn object: backgrounds, clutter and things in front of it.

Units of the picture: (0, 0) its upper left corner, (1, 1) its lower right.
"""

import numpy as np

from partdisc.data.drawing import GROUND, Canvas, Colour, Shape, bar, box, disc, shade

_GREENS = ((108, 168, 84), (84, 142, 78), (146, 186, 92), (64, 118, 74))
_WALLS = ((206, 150, 120), (190, 180, 200), (226, 206, 160), (150, 170, 190), (186, 120, 110))
_SKIES = ((150, 206, 240), (250, 214, 170), (206, 196, 230), (196, 226, 214), (120, 150, 200))
_EARTHS = ((206, 176, 126), (150, 186, 110), (190, 190, 186), (222, 200, 160), (130, 140, 100))


def make_background(rng: np.random.Generator, side: int, horizon: float) -> Canvas:
    """Draw a landscape, a town or an abstract pattern, with clutter.

    Args:
        rng: draws all lots.
        side: of the picture, pixels.
        horizon: y of where the ground begins.
    """
    scene = rng.choice(3, p=(0.4, 0.35, 0.25))
    if scene == 2:
        top, bottom = _any_colour(rng), _any_colour(rng)
        canvas = Canvas(side, top, bottom)
        canvas.draw(_pattern(rng, shade(top, rng.choice((0.8, 1.3)))), GROUND)
    else:
        canvas = Canvas(side, _pick(rng, _SKIES), (250, 246, 232))
        canvas.draw(_sky(rng), GROUND)
        canvas.draw(_hills(rng, horizon) if scene == 0 else _town(rng, horizon), GROUND)
        canvas.draw(_ground(rng, horizon), GROUND)
        trees = rng.uniform((horizon - 0.03, 0), (horizon + 0.08, 1), (rng.integers(2, 6), 2))
        for y, x in sorted(trees.tolist()):
            canvas.draw(_tree(rng, y, x, rng.uniform(0.12, 0.3)), GROUND)
    clutter = rng.integers(3, 8) if scene == 2 else rng.integers(1, 5)
    for _ in range(clutter):
        lowest = 0.05 if scene == 2 else horizon
        canvas.draw(_thing(rng, rng.uniform(lowest, 1), rng.uniform(0, 1)), GROUND)
    return canvas


def make_cover(rng: np.random.Generator, y: float, x: float) -> list[Shape]:
    """Make something that stands in front of the object, about a point (y, x)."""
    size = rng.uniform(0.09, 0.16)
    kind = rng.integers(4)
    if kind == 0:
        green = _pick(rng, _GREENS)
        leaves = ((0.1, -0.6, 0.9), (0.1, 0.6, 0.95), (-0.3, 0.0, 1.0), (0.2, 0.0, 1.1))
        return [
            disc(y + size * dy, x + size * dx, 0.6 * size, shade(green, tone))
            for dy, dx, tone in leaves
        ]
    if kind == 1:
        return _crate(rng, y, x, size)
    if kind == 2:
        return _cone(y, x, size)
    post = (236, 236, 230)
    plank = _pick(rng, _WALLS)
    stands = [bar((y - size, at), (y + size, at), 0.03, post) for at in (x - size, x + size)]
    return stands + [bar((y + d, x - 1.4 * size), (y + d, x + 1.4 * size), 0.045, plank)
                     for d in (-0.4 * size, 0.4 * size)]  # fmt: skip


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return shade(colours[rng.integers(len(colours))], rng.uniform(0.85, 1.25))


def _any_colour(rng: np.random.Generator) -> Colour:
    return tuple(int(channel) for channel in rng.integers(70, 236, 3))


def _sky(rng: np.random.Generator) -> list[Shape]:
    shapes = []
    if rng.random() < 0.5:
        shapes.append(disc(rng.uniform(0.05, 0.25), rng.uniform(0, 1), 0.07, (255, 232, 140)))
    for _ in range(rng.integers(0, 4)):
        y, x, size = rng.uniform(0.05, 0.35), rng.uniform(0, 1), rng.uniform(0.03, 0.06)
        shapes += [
            disc(y - dy * size, x + dx * size, r * size, (252, 252, 255), inked=False)
            for dy, dx, r in ((0, -1.2, 0.8), (0.4, -0.2, 1.1), (0.1, 0.9, 0.9), (-0.2, 0, 0.9))
        ]
    return shapes


def _hills(rng: np.random.Generator, horizon: float) -> list[Shape]:
    x = np.linspace(-0.05, 1.05, 24)
    shapes = []
    for depth in (0.16, 0.08):
        wave = np.sin(rng.uniform(4, 9) * x + rng.uniform(0, 6)) + np.sin(3 * x + rng.uniform(0, 6))
        ridge = np.stack([horizon - depth - 0.04 * wave, x], axis=1)
        foot = np.array([(1.1, 1.05), (1.1, -0.05)])
        shapes.append(Shape(np.concatenate([ridge, foot]), _pick(rng, _GREENS)))
    return shapes


def _town(rng: np.random.Generator, horizon: float) -> list[Shape]:
    shapes, x = [], rng.uniform(-0.15, 0)
    while x < 1:
        width, top = rng.uniform(0.12, 0.24), horizon - rng.uniform(0.2, 0.5)
        wall = _pick(rng, _WALLS)
        shapes.append(box(top, x, horizon + 0.05, x + width, wall))
        pane = (250, 236, 160) if rng.random() < 0.3 else shade(wall, 0.6)
        for y in np.arange(top + 0.03, horizon - 0.04, 0.075):
            for at in np.arange(x + 0.025, x + width - 0.045, 0.055):
                shapes.append(box(y, at, y + 0.035, at + 0.028, pane, inked=False))
        x += width + rng.uniform(0, 0.08)
    return shapes


def _ground(rng: np.random.Generator, horizon: float) -> list[Shape]:
    earth = _pick(rng, _EARTHS)
    shapes = [box(horizon, -0.05, 1.1, 1.05, earth)]
    for _ in range(rng.integers(4, 14)):  # Stones and tufts.
        y, x = rng.uniform(horizon + 0.03, 1), rng.uniform(0, 1)
        shapes.append(disc(y, x, rng.uniform(0.006, 0.02), shade(earth, 0.8), inked=False))
    return shapes


def _tree(rng: np.random.Generator, y: float, x: float, size: float) -> list[Shape]:
    trunk = bar((y - 0.6 * size, x), (y, x), 0.14 * size, (134, 98, 70))
    green = _pick(rng, _GREENS)
    if rng.random() < 0.5:
        tiers = [
            Shape(np.array([(y - top * size, x), (y - low * size, x - half * size),
                            (y - low * size, x + half * size)]), green)
            for top, low, half in ((0.8, 0.25, 0.4), (1.1, 0.6, 0.3))
        ]  # fmt: skip
        return [trunk, *tiers]
    crown = ((0.7, -0.22, 0.3), (0.7, 0.22, 0.3), (0.95, 0, 0.32))
    return [trunk, *(disc(y - a * size, x + b * size, r * size, green) for a, b, r in crown)]


def _pattern(rng: np.random.Generator, colour: Colour) -> list[Shape]:
    kind, step = rng.integers(4), rng.uniform(0.08, 0.2)
    grid = np.arange(-0.1, 1.2, step)
    if kind == 0:
        tilt = rng.uniform(-0.5, 0.5)
        return [bar((-0.1, x - tilt), (1.1, x + tilt), 0.45 * step, colour, inked=False)
                for x in np.arange(-0.6, 1.7, step)]  # fmt: skip
    if kind == 1:
        return [disc(y, x, 0.28 * step, colour, inked=False) for y in grid for x in grid]
    if kind == 2:
        return [box(y, x, y + step, x + step, colour, inked=False)
                for i, y in enumerate(grid) for j, x in enumerate(grid) if (i + j) % 2]  # fmt: skip
    return [Shape(rng.uniform(-0.1, 1.1, (3, 2)), _any_colour(rng), inked=False) for _ in range(9)]


def _thing(rng: np.random.Generator, y: float, x: float) -> list[Shape]:
    """Clutter, some of it made of what an excavator is made of: wheels, bars, boxes, panes."""
    size, colour = rng.uniform(0.04, 0.11), _any_colour(rng)
    kind = rng.integers(6)
    if kind == 0:
        rim = shade(colour, 1.6)
        return [disc(y, x, size, (62, 60, 66)), disc(y, x, 0.6 * size, rim),
                disc(y, x, 0.2 * size, (62, 60, 66))]  # fmt: skip
    if kind == 1:
        angle = rng.uniform(0, np.pi)
        reach = 2.2 * size * np.array([np.sin(angle), np.cos(angle)])
        return [bar((y, x) - reach, (y, x) + reach, 0.5 * size, colour)]
    if kind == 2:
        return _crate(rng, y, x, size)
    if kind == 3:
        return _cone(y, x, size)
    if kind == 4:
        return [disc(y, x, size, colour), disc(y - 0.3 * size, x - 0.3 * size, 0.25 * size,
                                               shade(colour, 2), inked=False)]  # fmt: skip
    corners = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
    return [Shape((y, x) + size * np.stack([np.sin(corners), np.cos(corners)], axis=1), colour)]


def _crate(rng: np.random.Generator, y: float, x: float, size: float) -> list[Shape]:
    wood = _pick(rng, ((190, 140, 90), (170, 130, 100), (120, 150, 190)))
    inner = 0.72 * size
    return [
        box(y - size, x - size, y + size, x + size, wood),
        box(y - inner, x - inner, y + inner, x + inner, shade(wood, 0.85)),
        bar((y - inner, x - inner), (y + inner, x + inner), 0.2 * size, wood),
    ]


def _cone(y: float, x: float, size: float) -> list[Shape]:
    orange, white = (244, 120, 50), (250, 246, 240)

    def slice_of(low: float, high: float, colour: Colour) -> Shape:
        corners = [(low, -1), (high, -1), (high, 1), (low, 1)]
        half = [0.08 + 0.5 * height for height, _ in corners]
        points = [(y + size * (2 * height - 1), x + sign * size * wide)
                  for (height, sign), wide in zip(corners, half, strict=True)]  # fmt: skip
        return Shape(np.array(points), colour)

    foot = box(y + 0.9 * size, x - 0.8 * size, y + 1.1 * size, x + 0.8 * size, orange)
    stripes = ((0.0, 0.3, orange), (0.3, 0.55, white), (0.55, 0.95, orange))
    return [*(slice_of(*stripe) for stripe in stripes), foot]
