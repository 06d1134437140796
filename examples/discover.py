"""Discover parts, give them names, and find them in new photos, from Python.

    python examples/discover.py

It draws its photos, so it needs no data and no weights; 2 to 3 minutes on 2 cores. What stands
between two lines `# %%` is a cell of a notebook. With photos of your own, and real weights,
the second cell is

    detector = partdisc.discover("/path/to/photos", "runs/photos")
"""

# %% Photos: paths, PIL images or arrays. Here: excavators, drawn.
import partdisc
from partdisc.data.shapes import draw

PHOTOS, STEPS = 120, 150
photos = [draw(seed=0, number=n, side=160)[0] for n in range(PHOTOS + 3)]

# %% Discover their parts. A second call with the same photos goes on where the first one was.
detector = partdisc.discover(
    photos[:PHOTOS],
    "runs/example",
    backbone__weights="random",
    backbone__center=True,
    data__short_side=160,
    parts__count=128,
    train__steps=STEPS,
)
print("look at runs/example/report/index.html")

# %% What is known of the parts. Names are given in runs/example/parts.csv.
for part in detector.parts:
    y, x = part.place
    print(f"{part.title}: in {part.presence:.0%} of the photos, {y:.0%} down and {x:.0%} across")

# %% Find them in new photos: points are (y, x), pixels of the photo.
for found in detector.predict(photos[PHOTOS:]):
    print(f"photo {found.image}, {found.size[0]} x {found.size[1]} pixels")
    for part in found.parts:
        if part.present:
            y, x = part.point
            print(f"  {part.name}: ({y:.0f}, {x:.0f}), score {part.score:.2f}")

# %% Another number of parts needs no new training.
for count in (4, 8):
    print([len(part.channels) for part in detector.with_parts(count).parts])

# %% A detector is one small file, which names the network's weights but does not hold them.
same = partdisc.load("runs/example")
