"""Files that are damaged or odd, and whether the program reads them right or says what is wrong."""

import io
import json
import pathlib
import random
import shutil
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from PIL import Image

from partdisc.backbones import backbone
from partdisc.backbones.weights import load_weights
from partdisc.config import base_config
from partdisc.data import DataSettings, decoding, list_dataset
from partdisc.discovery.checkpoints import Checkpoints
from partdisc.discovery.step import State
from partdisc.errors import PartdiscError


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return the content with some damage: bits flipped, cut, doubled or overwritten."""
    data = bytearray(content)
    at = rng.randrange(len(data))
    match rng.randrange(5):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            del data[at:]
        case 2:
            data[at : at + rng.randrange(64)] = rng.randbytes(rng.randrange(64))
        case 3:
            data[at:at] = data[: rng.randrange(len(data))]
        case 4:
            for _ in range(rng.randrange(1, 50)):
                data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _said(error: Exception) -> str:
    """Return what is wrong with an error: it has to be the user's to mend, in one line."""
    if not isinstance(error, PartdiscError):
        return f"{type(error).__name__}"
    return "several lines" if "\n" in str(error) else ""


def image_trials(count: int, place: pathlib.Path, rng: random.Random) -> Iterator[str]:
    """Mutate images of every format: what is read is an image of the size that it says."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    kinds = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]
    kinds += ["HEIF"] * decoding.READS_HEIF
    sound = []
    for kind in kinds:
        file = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif} if kind in ("PNG", "JPEG", "WEBP") else {}
        Image.fromarray(pixels).save(file, kind, **options)
        sound.append(file.getvalue())
    for number in range(count):
        data = damaged(sound[number % len(sound)], rng)
        try:
            size = decoding.check(data).size
            image = decoding.decode(data)
            good = image.dtype == np.uint8 and image.shape == (*size, 3)
            yield "" if good else "another size than it said"
        except Exception as error:
            yield _said(error)


def annotation_trials(count: int, place: pathlib.Path, rng: random.Random) -> Iterator[str]:
    """Mutate COCO files: each point that is accepted stands in the file, for its image."""
    names = [f"{number}.png" for number in range(6)]
    for name in names:
        Image.new("RGB", (48, 40)).save(place / name)
    sound = {
        "images": [
            {"id": i, "file_name": name, "width": 48, "height": 40} for i, name in enumerate(names)
        ],
        "categories": [{"id": 1, "name": "thing", "keypoints": ["a", "b"]}],
        "annotations": [
            {
                "id": i, "image_id": i % 6, "category_id": 1, "bbox": [1, 2, 20, 21],
                "keypoints": [3 + i, 4, 2, 5, 6 + i, 1], "iscrowd": 0,
            }
            for i in range(6)
        ],
    }  # fmt: skip
    config = base_config()
    config.data.update(
        name="coco", root=str(place), coco_train="all.json", max_bad_fraction=1.0, crop_margin=0.0
    )
    wanted = DataSettings(**config.data)
    for number in range(count):
        text = json.dumps(_mutated(sound, rng) if number % 4 else sound)
        if number % 4 == 0:
            text = damaged(text.encode(), rng).decode("latin-1")
        (place / "all.json").write_text(text)
        try:
            listed = list_dataset(wanted, place / "cache", seed=0)
        except Exception as error:
            yield _said(error)
            continue
        yield _believed(json.loads(text), listed)


def _believed(content: dict, listed: Any) -> str:
    """Compare what was accepted with what the file says."""
    said: dict[str, set] = {}
    images, annotations = (
        [one for one in content[key] if isinstance(one, dict)] for key in ("images", "annotations")
    )
    names: dict[str, set[str]] = {}
    for one in images:
        names.setdefault(_spelled(one.get("id")), set()).add(str(one.get("file_name")))
    for one in annotations:
        values = one.get("keypoints")
        for name in names.get(_spelled(one.get("image_id")), ()):
            if not isinstance(values, list):
                continue
            triples = zip(values[::3], values[1::3], values[2::3], strict=False)
            said.setdefault(name, set()).update(
                (float(y), float(x))
                for x, y, seen in triples
                if seen in (1, 2) and all(isinstance(number, int | float) for number in (x, y))
            )
    for one in listed.records:
        points = one.points[np.isfinite(one.points).all(-1)].tolist()
        name = one.key.partition("#")[0]
        # A name may be written with other letters, or lead there from another machine.
        known = {
            pair
            for key, pairs in said.items()
            if key.casefold().endswith(name.casefold())
            for pair in pairs
        }
        if not {tuple(point) for point in points} <= known:
            return "a point that the file has not"
    return ""


def _spelled(given: Any) -> str:
    """Return an id as text, the same for 1, 1.0 and "1"."""
    whole = isinstance(given, float) and given.is_integer()
    return str(int(given) if whole else given).lstrip("0")


def _mutated(content: dict, rng: random.Random) -> dict:
    """Return a copy of a COCO file with one to three values changed."""
    made = json.loads(json.dumps(content))
    odd = [
        None, "", "x", -1, 0, 1.5, 10**30, float("nan"), [], {}, [1], [None] * 6, True, "1",
        [[1, 2], [3, 4]], {"counts": [1], "size": [2, 2]}, "../0.png", "a/b.png", "0.PNG",
    ]  # fmt: skip
    for _ in range(rng.randrange(1, 4)):
        section = made[rng.choice(list(made))]
        if not isinstance(section, list) or not section:
            continue
        row = rng.randrange(len(section))
        if not isinstance(section[row], dict) or not section[row]:
            continue
        key = rng.choice(list(section[row]))
        match rng.randrange(5):
            case 0:
                del section[row][key]
            case 1 if isinstance(section[row][key], list) and section[row][key]:
                place = rng.randrange(len(section[row][key]))
                section[row][key][place] = rng.choice(odd)
            case 2:
                section.append(dict(section[row]))
            case 3:
                made[rng.choice(list(made))] = rng.choice(odd)
            case _:
                section[row][key] = rng.choice(odd)
    return made


def weight_trials(count: int, place: pathlib.Path, rng: random.Random) -> Iterator[str]:
    """Damage files of weights: what is accepted is what was written."""
    network = backbone("vgg16", "pool3")
    whole = load_weights(network, "random", seed=0)
    file = place / "vgg16.npz"
    np.savez(file, **{name: np.asarray(value) for name, value in whole.params.items()})
    content = file.read_bytes()
    for _ in range(count):
        file.write_bytes(damaged(content, rng))
        try:
            found = load_weights(network, str(file), seed=0)
        except Exception as error:
            yield _said(error)
            continue
        same = all(np.array_equal(found.params[name], whole.params[name]) for name in whole.params)
        yield "" if same else "other weights"


def checkpoint_trials(count: int, place: pathlib.Path, rng: random.Random) -> Iterator[str]:
    """Damage one file of two checkpoints: either is restored as it was, or none."""
    states = [
        State({"centres": jnp.full((3, 4), step / 7.0)}, {"sum": jnp.full((3, 4), step / 3.0)},
              jnp.asarray(step, jnp.int32))
        for step in (2, 4)
    ]  # fmt: skip
    sound = Checkpoints(place / "sound")
    for state in states:
        sound.save(state)
    sound.close()
    for _ in range(count):
        shutil.rmtree(place / "damaged", ignore_errors=True)
        shutil.copytree(place / "sound", place / "damaged")
        files = [path for path in (place / "damaged").rglob("*") if path.is_file()]
        file = rng.choice([path for path in files if path.stat().st_size])
        file.write_bytes(damaged(file.read_bytes(), rng))
        try:
            opened = Checkpoints(place / "damaged")
            found = opened.restore(states[0])
            opened.close()
        except Exception as error:
            yield _said(error)
            continue
        same = [found is not None and _equal(found, state) for state in states]
        yield "" if any(same) else "another state or none"


def _equal(a: State, b: State) -> bool:
    return (
        int(a.step) == int(b.step)
        and np.array_equal(a.params["centres"], b.params["centres"])
        and np.array_equal(a.optimizer["sum"], b.optimizer["sum"])
    )
