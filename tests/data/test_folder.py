"""A folder of one's own images, opened whole: what is read, refused, counted and kept."""

import numpy as np
import pytest
from data_files import options, save
from PIL import Image

from partdisc import data, errors
from partdisc.data import folder


@pytest.fixture
def root(tmp_path, rng):
    root = tmp_path / "photos"
    for key in ("x.png", "a/x.png", "a/b/Y.JPG", "z.webp"):
        save(root / key, rng.integers(0, 256, (20, 30, 3), np.uint8))
    save(root / "one pixel é.png", np.full((1, 1, 3), 9, np.uint8))
    for key in (".hidden.png", ".git/x.png", "notes.txt", "a/film.mp4"):
        (root / key).parent.mkdir(exist_ok=True)
        (root / key).write_bytes(b"x")
    return root


def test_all_images_below_are_in_train(root):
    listing = folder.read(root)
    keys = [one.key for one in listing.records]
    assert keys == ["a/b/Y.JPG", "a/x.png", "one pixel é.png", "x.png", "z.webp"]
    assert listing.notes == ("2 files passed over: no images by their endings",)
    assert all(one.splits == ("train",) for one in listing.records)


def test_opened_it_gives_back_the_pixels(root, tmp_path):
    opened = data.open_dataset(options(root), tmp_path / "cache", seed=0)
    assert opened.name == "folder" and len(opened) == 5
    assert len(opened.notes) == 2 and "smaller than 32 pixels" in opened.notes[1]
    assert opened.points.shape == (5, 0, 2) and opened.points.dtype == np.float32
    assert np.isnan(opened.boxes).all() and opened.eyes is None
    assert opened.splits["train"].tolist() == [0, 1, 2, 3, 4]
    assert opened.splits["fit"].size == opened.splits["test"].size == 0
    for i, key in enumerate(opened.keys):
        image = opened.image(i)
        assert image.shape[:2] == tuple(opened.sizes[i])
        np.testing.assert_array_equal(image, np.asarray(Image.open(root / key)))
    np.testing.assert_array_equal(opened.crops[:, 2:], opened.sizes)
    assert opened.crops.dtype == opened.sizes.dtype == np.int32


def test_bad_images_are_problems_with_reasons(root, tmp_path):
    (root / "empty.png").write_bytes(b"")
    (root / "text.jpg").write_text("hello")
    (root / "cut.png").write_bytes((root / "x.png").read_bytes()[:300])
    save(root / "strip.png", np.zeros((2, 41, 3), np.uint8))
    opened = data.open_dataset(options(root), tmp_path / "cache", seed=0)
    problems = dict(opened.problems)
    assert set(problems) == {"empty.png", "text.jpg", "cut.png", "strip.png"}
    assert "empty" in problems["empty.png"] and "20 to 1" in problems["strip.png"]
    assert len(opened) == 5 and not set(problems) & set(opened.keys)
    # The arrays stay in step although images in between were left out.
    for i, key in enumerate(opened.keys):
        np.testing.assert_array_equal(opened.image(i), np.asarray(Image.open(root / key)))
    # Read again from the cache, they are still known.
    assert data.open_dataset(options(root), tmp_path / "cache", seed=0).problems == opened.problems


def test_broken_links_are_named_and_counted(root, tmp_path):
    for name in ("gone.JPG", "card", "notes.md", "a/lost.png"):
        (root / name).symlink_to(tmp_path / "unplugged" / name)
    expected = dict.fromkeys(("a/lost.png", "card", "gone.JPG"), "a broken link")
    assert dict(folder.read(root).problems) == expected
    opened = data.open_dataset(options(root), tmp_path / "cache", seed=0)
    assert dict(opened.problems) == expected and len(opened) == 5
    with pytest.raises(errors.DataError, match=r"3 of 8 images.*a/lost\.png: a broken link"):
        data.open_dataset(options(root, max_bad_fraction=0.3), tmp_path / "cache", seed=0)


@pytest.mark.parametrize("name", ["gone.jpg", "card"])
def test_a_folder_of_broken_links_alone_says_so(tmp_path, name):
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(errors.DataError, match=f"no images among.*1 more .*{name}: a broken link"):
        folder.read(tmp_path)


def test_too_many_bad_images_are_an_error(root, tmp_path):
    (root / "empty.png").write_bytes(b"")
    for _ in range(2):  # The second time from the cache.
        with pytest.raises(errors.DataError, match=r"1 of 6 images.*empty\.png: the file is empty"):
            data.open_dataset(options(root, max_bad_fraction=0.1), tmp_path / "cache", seed=0)
    assert len(data.open_dataset(options(root, max_bad_fraction=0.2), tmp_path, seed=0)) == 5


def test_no_good_image_at_all_is_an_error(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(errors.DataError, match="1 of 1 images"):
        data.open_dataset(options(tmp_path, max_bad_fraction=1.0), tmp_path / "cache", seed=0)


def test_empty_and_absent_folders_say_so(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(errors.DataError, match=r"no images among its 1 files.*\.webp"):
        folder.read(tmp_path)
    with pytest.raises(errors.DataError, match="no such folder"):
        folder.read(tmp_path / "nowhere")
    with pytest.raises(errors.DataError, match="data.root is empty"):
        data.open_dataset(options(""), tmp_path / "cache", seed=0)


def test_names_that_are_no_text_are_read(tmp_path, rng):
    key = b"caf\xe9.png".decode(errors="surrogateescape")
    try:
        save(tmp_path / key, rng.integers(0, 256, (4, 4, 3), np.uint8))
    except OSError:
        pytest.skip("this file system has text names only")
    opened = data.open_dataset(options(tmp_path), tmp_path / "cache", seed=0)
    assert opened.keys == [key] and opened.image(0).shape == (4, 4, 3)
