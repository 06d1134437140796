"""The sheet every figure is drawn on: a grid of panels, placed in inches."""

import math
import pathlib
import textwrap

import numpy as np
from PIL import Image

from partdisc.workdir import atomic

INK = "#1f2430"
FAINT = "#7d838e"
EDGE = "#c9ccd2"
WARNING = "#b3261e"

_DPI = 200
_LARGEST = 12_000  # pixels of a figure's longer side, far below Agg's limit of 2 ** 16
_SHOWN = 640  # pixels of an image's longer side: more than any panel has
_NARROWEST = 3.4  # inches a caption may use, however narrow the panels are


class Sheet:
    """A figure of panels in rows and columns, and whatever is written around them.

    Text outside the panels is stacked by its measured size (headings and caption
    upwards, key and note downwards) and the page is cut to what was drawn: so
    nothing is clipped, whatever the length of the names.

    Args:
      widths: inches of each column.
      heights: inches of each row.
      gap: inches between panels, (vertical, horizontal).
    """

    def __init__(self, widths, heights, *, gap=(0.06, 0.06)):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.widths, self.heights, self.gap = list(widths), list(heights), gap
        self.width = sum(self.widths) + gap[1] * (len(self.widths) - 1)
        self.height = sum(self.heights) + gap[0] * (len(self.heights) - 1)
        self.figure = Figure(figsize=(self.width, self.height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        self.ceiling, self.floor = self.height, 0.0

    def panel(self, row: int, column: int):
        """Add the axes of one panel."""
        left = sum(self.widths[:column]) + self.gap[1] * column
        top = self.height - sum(self.heights[:row]) - self.gap[0] * row
        box = (left, top - self.heights[row], self.widths[column], self.heights[row])
        scale = (self.width, self.height, self.width, self.height)
        box = [side / whole for side, whole in zip(box, scale, strict=True)]
        return self.figure.add_axes(box, anchor="S")

    def text(self, x: float, y: float, text: str, *, width: float, size=7.5, **style):
        """Write text at (x, y) inches from the lower left, wrapped to a width in inches."""
        weight = style.get("weight", "normal")
        style = {"color": INK, "linespacing": 1.15, **style}
        return self.figure.text(
            x / self.width,
            y / self.height,
            wrap(text, width, size, weight),
            size=size,
            parse_math=False,
            **style,
        )

    def headings(self, titles) -> None:
        """Write a title over each column."""
        left = 0.0
        written = []
        for title, width in zip(titles, self.widths, strict=True):
            middle = left + width / 2
            style = {"ha": "center", "va": "baseline", "weight": "bold"}
            written.append(self.text(middle, self.height + 0.07, title, width=width, **style))
            left += width + self.gap[1]
        self.ceiling = max([self.ceiling] + [self._extent(text)[1] for text in written])

    def row_title(self, row: int, title: str, width: float = 1.1) -> None:
        """Write a title left of a row."""
        middle = self.height - sum(self.heights[:row]) - self.gap[0] * row - self.heights[row] / 2
        self.text(-0.08, middle, title, width=width, ha="right", va="center", weight="bold")

    def below(self, row: int, column: int, text: str) -> None:
        """Write a line under a panel, in the gap between the rows."""
        middle = sum(self.widths[:column]) + self.gap[1] * column + self.widths[column] / 2
        bottom = self.height - sum(self.heights[: row + 1]) - self.gap[0] * row
        style = {"ha": "center", "va": "baseline", "width": self.widths[column], "size": 7}
        written = self.text(middle, bottom - 0.13, text, **style)
        self.floor = min(self.floor, self._extent(written)[0])

    def key(self, handles, labels) -> None:
        """Write a legend under the panels, in as many columns as there is room for."""
        width = max(self.width, _NARROWEST)
        labels = [wrap(label, width - 0.5, 7, lines=1) for label in labels]
        longest = max(_text_width(label, 7, "normal") for label in labels)
        # A placeholder label, because matplotlib hides the ones that begin with "_".
        legend = self.figure.legend(
            handles,
            ["x"] * len(labels),
            loc="upper center",
            bbox_to_anchor=(0.5, (self.floor - 0.06) / self.height),
            ncols=max(1, min(len(labels), int(width / (longest + 0.4)))),
            fontsize=7,
            frameon=False,
            handletextpad=0.4,
            columnspacing=1.2,
            borderpad=0,
            borderaxespad=0,
        )
        for text, label in zip(legend.get_texts(), labels, strict=True):
            text.set(text=label, color=INK, parse_math=False)
        self.floor = self._extent(legend)[0]

    def scale(self, colours, low: str, high: str) -> None:
        """Draw a colour scale under the panels, between two labels."""
        width, height = 0.9, 0.08
        middle, bottom = self.width / 2, self.floor - 0.10 - height
        box = ((middle - width / 2) / self.width, bottom / self.height)
        axes = self.figure.add_axes([*box, width / self.width, height / self.height])
        axes.imshow(np.asarray(colours)[None], aspect="auto", interpolation="nearest")
        bare(axes)
        for x, side, label in ((-0.5, "right", low), (0.5, "left", high)):
            x = middle + x * (width + 0.1)
            self.text(x, bottom + height / 2, label, width=2, size=7, ha=side, va="center_baseline")
        self.floor = bottom - 0.04

    def save(self, path, *, caption: str, follows: str, note: str) -> None:
        """Write caption and note, cut the page to what was drawn and write the PNG."""
        renderer = self.figure.canvas.get_renderer()
        boxes = [axes.get_tightbbox(renderer) for axes in self.figure.axes]
        self.floor = min([self.floor] + [box.y0 / _DPI for box in boxes])
        self.ceiling = max([self.ceiling] + [box.y1 / _DPI for box in boxes])
        width = max(self.width, _NARROWEST)
        style = {"ha": "center", "va": "bottom", "width": width}
        middle = self.width / 2
        if follows:
            low = self.text(middle, self.ceiling + 0.08, follows, size=7.5, color=FAINT, **style)
            self.ceiling = self._extent(low)[1] - 0.04
        self.text(middle, self.ceiling + 0.08, caption, size=10.5, weight="bold", **style)
        if note:
            right = self.width / 2 + width / 2
            style = {"ha": "right", "va": "top", "style": "italic", "color": WARNING}
            self.text(right, self.floor - 0.07, note, width=width, size=6.5, **style)
        _write(self.figure, pathlib.Path(path))

    def _extent(self, artist) -> tuple[float, float]:
        """Bottom and top of what was drawn, in inches of the page."""
        box = artist.get_window_extent(self.figure.canvas.get_renderer())
        return box.y0 / _DPI, box.y1 / _DPI


def _write(figure, path: pathlib.Path) -> None:
    dpi = min(_DPI, _LARGEST / max(figure.get_size_inches()))
    with atomic(path) as draft:
        # Without the metadata the same arrays give the same bytes.
        figure.savefig(
            draft,
            format="png",
            dpi=dpi,
            bbox_inches="tight",
            pad_inches=0.1,
            metadata={"Software": None},
        )


def empty(path, what: str, *, caption: str, follows: str, note: str) -> None:
    """Write a figure that says that there is nothing to show."""
    sheet = Sheet([_NARROWEST], [0.5])
    bare(sheet.panel(0, 0))
    style = {"width": _NARROWEST, "ha": "center", "va": "center", "color": FAINT}
    sheet.text(_NARROWEST / 2, 0.25, f"nothing to show: {what}", **style)
    sheet.save(path, caption=caption, follows=follows, note=note)


def bare(axes) -> None:
    """Leave of the axes a thin frame only."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=EDGE, linewidth=0.5)


def picture(axes, image) -> None:
    """Draw an image so that the axes' coordinates are its pixels, centres at integers.

    Args:
      image: uint8 [H, W, 3].

    Raises:
      ValueError: it is something else.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"an image must be uint8 [H, W, 3], got {image.dtype} {image.shape}")
    raster(axes, shrunk(image), image.shape[:2], interpolation="antialiased")
    bare(axes)


def shrunk(image) -> np.ndarray:
    """Make an image no larger than a panel can show."""
    small = Image.fromarray(np.asarray(image))
    small.thumbnail((_SHOWN, _SHOWN), reducing_gap=2.0)
    return np.asarray(small)


def raster(axes, values, shape: tuple[int, int], *, interpolation: str = "nearest") -> None:
    """Draw colours [h, w, 3 or 4] stretched over exactly the pixels of an image [H, W]."""
    height, width = shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(values, extent=extent, interpolation=interpolation, aspect="equal")


def seen(points, shape: tuple[int, int]) -> np.ndarray:
    """Say which points [M, 2] are numbers and lie on the image [H, W]: bool [M]."""
    points = np.asarray(points, dtype=float).reshape(-1, 2)
    return np.all((points >= -0.5) & (points <= np.asarray(shape) - 0.5), axis=1)


def fitted(width: float, images) -> float:
    """Give the height in inches of a row of images of a given width.

    Where their shapes differ the panels have the mean shape, and an extreme one has
    a panel of at most 1 : 3 or 5 : 3; each image is drawn as large as it fits.
    """
    shapes = [len(image) / image.shape[1] for image in images]
    return width * float(np.mean(np.clip(shapes, 1 / 3, 5 / 3))) if shapes else width


def colour(index: int) -> tuple[float, float, float]:
    """Give the colour (RGB in [0, 1]) of a part or channel, always the same one.

    In the Oklab space, where equal steps look equal: hues step by the golden angle,
    which keeps any run of them apart, and lightness changes in a cycle beside it.
    """
    angle = 4.4 + index * math.pi * (3 - math.sqrt(5))
    lightness, chroma = (0.62, 0.76, 0.50)[index % 3], 0.16
    lms = _OKLAB_TO_LMS @ (lightness, chroma * math.cos(angle), chroma * math.sin(angle))
    linear = np.clip(_LMS_TO_RGB @ lms**3, 0, 1)
    gamma = 1.055 * linear ** (1 / 2.4) - 0.055
    return tuple(float(c) for c in np.where(linear <= 0.0031308, 12.92 * linear, gamma))


_OKLAB_TO_LMS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_LMS_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def ink(ground) -> str:
    """Give the colour of letters on a ground (RGB in [0, 1]): dark on light, else white."""
    return INK if np.dot(ground[:3], (0.299, 0.587, 0.114)) > 0.6 else "white"


def wrap(text: str, width: float, size: float, weight: str = "normal", lines: int = 3) -> str:
    """Break text into lines of at most `width` inches, ending in "…" where it is cut."""
    letters = max(2, int(width * 72 / (0.4 * size)))
    while True:
        broken = textwrap.wrap(text, letters, max_lines=lines, placeholder="…")
        widest = max((_text_width(line, size, weight) for line in broken), default=0.0)
        if widest <= width or letters == 2:
            return "\n".join(broken)
        letters -= 1


def _text_width(text: str, size: float, weight: str) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight=weight)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72
