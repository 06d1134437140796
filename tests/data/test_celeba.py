"""CelebA's official layout: splits, landmarks, and lists that disagree with the files."""

import numpy as np
import pytest
from PIL import Image

from partdisc import errors
from partdisc.data import celeba

HEADER = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y a b"


def name(number: int) -> str:
    return f"{number:06d}.jpg"


@pytest.fixture
def root(tmp_path):
    """Eight images; 1-5 have landmarks, 6 is validation, 7 is test, 9 is listed only."""
    root = tmp_path / "celeba"
    (root / "img_align_celeba").mkdir(parents=True)
    for number in range(1, 9):
        (root / "img_align_celeba" / name(number)).write_bytes(b"x")
    parts = {6: 1, 7: 2}
    lines = [f"{name(number)} {parts.get(number, 0)}" for number in range(1, 10) if number != 8]
    (root / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    rows = [f"{name(n)}  {n} 2  3 4 5 6 7 8  9  10 " for n in range(1, 6)]
    landmarks = "\n".join(["5", HEADER, *rows])
    (root / "list_landmarks_align_celeba.txt").write_text(landmarks)
    return root


def add_mafl(folder):
    folder.mkdir()
    (folder / "training.txt").write_text(f"{name(1)}\n{name(2)}\n{name(6)}\n{name(777)}")
    (folder / "testing.txt").write_text(f"{name(3)}\n{name(888)}")


def splits_of(listing) -> dict[str, tuple[str, ...]]:
    return {one.key: one.splits for one in listing.records}


@pytest.mark.parametrize("beside", [True, False])
def test_official_splits_follow_mafl(root, beside):
    add_mafl((root.parent if beside else root) / "MAFL")
    assert splits_of(celeba.read(root, "official")) == {
        name(1): ("train", "fit"),
        name(2): ("train", "fit"),
        name(3): ("test",),
        name(4): ("train",),
        name(5): ("train",),
    }


def test_official_without_mafl_trains_on_partition_0(root):
    listing = celeba.read(root, "official")
    assert splits_of(listing) == {name(n): ("train",) for n in range(1, 6)}


def test_subset_trains_on_the_unlabelled_and_halves_the_others(root):
    found = splits_of(celeba.read(root, "subset"))
    assert found == {
        **{name(n): ("fit",) for n in (1, 2)},
        **{name(n): ("test",) for n in (3, 4, 5)},
        **{name(n): ("train",) for n in (6, 7)},
    }


def test_lists_and_files_that_disagree_are_problems(root):
    problems = dict(celeba.read(root, "subset").problems)
    assert problems == {name(9): "no such file", name(8): "not in list_eval_partition.txt"}


def test_landmarks_are_y_x_and_nan_where_there_are_none(root):
    listing = celeba.read(root, "subset")
    samples = {one.key: one.load() for one in listing.records}
    expected = [(2, 4), (4, 3), (6, 5), (8, 7), (10, 9)]
    np.testing.assert_array_equal(samples[name(4)].points, expected)
    assert np.isnan(samples[name(6)].points).all() and samples[name(6)].points.shape == (5, 2)
    assert np.isnan(samples[name(4)].box).all()
    assert listing.landmark_names[listing.eyes[0]] == "left eye"
    assert listing.landmark_names[listing.eyes[1]] == "right eye"


def test_the_landmark_file_is_optional(root):
    (root / "list_landmarks_align_celeba.txt").unlink()
    assert set(splits_of(celeba.read(root, "subset")).values()) == {("train",)}


def test_a_partition_has_three_parts(root):
    path = root / "list_eval_partition.txt"
    path.write_text(path.read_text().replace(" 2", " 7"))
    with pytest.raises(errors.DataError, match="line 7: '7' is none of 0, 1, 2"):
        celeba.read(root, "official")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3\n" + HEADER + "\n" + name(1) + " 1 2 3 4 5 6 7 8 9 10\n", "1 rows, but its first line"),
        ("1\n" + HEADER + "\n" + name(1) + " 1 2 3\n", "line 3: 4 columns instead of 11"),
        ("1\n" + HEADER + "\n" + name(1) + " 1 2 3 4 5 x 7 8 9 10\n", "line 3: 'x' is no"),
        ("1\n" + HEADER + "\n" + name(1) + " 1 2 3 4 5 nan 7 8 9 10\n", "line 3: 'nan' is no"),
        ("2\n" + HEADER + 2 * ("\n" + name(1) + " 1 2 3 4 5 6 7 8 9 10"), "line 4: .*line 3 too"),
        ("", "0 rows"),
    ],
)
def test_a_malformed_landmark_file_is_named(root, text, message):
    (root / "list_landmarks_align_celeba.txt").write_text(text)
    with pytest.raises(errors.DataError, match=message) as caught:
        celeba.read(root, "subset")
    assert "list_landmarks_align_celeba.txt" in str(caught.value)


def test_absent_files_are_named(root):
    (root / "list_eval_partition.txt").unlink()
    with pytest.raises(errors.DataError, match="list_eval_partition.txt"):
        celeba.read(root, "official")
    with pytest.raises(errors.DataError, match="img_align_celeba"):
        celeba.read(root / "nowhere", "official")


def test_mafl_trains_on_its_own_list(root):
    add_mafl(root / "MAFL")
    assert splits_of(celeba.read(root, "mafl")) == {
        name(1): ("train", "fit"), name(2): ("train", "fit"), name(3): ("test",),
        name(6): ("train",),
    }  # fmt: skip


def test_mafl_needs_its_lists(root):
    with pytest.raises(errors.DataError, match="MAFL: no such folder"):
        celeba.read(root, "mafl")


@pytest.fixture
def wild(root, rng):
    """The photos of the wild set in the publishers' folders; image 3 has a zero box."""
    (root / "Img" / "img_celeba").mkdir(parents=True)
    (root / "Anno").mkdir()
    (root / "Eval").mkdir()
    (root / "list_eval_partition.txt").rename(root / "Eval" / "list_eval_partition.txt")
    for number in range(1, 9):
        picture = Image.fromarray(rng.integers(0, 255, (20, 10 * number, 3), np.uint8))
        picture.save(root / "Img" / "img_celeba" / name(number))
    landmarks = (root / "list_landmarks_align_celeba.txt").read_text()
    (root / "Anno" / "list_landmarks_celeba.txt").write_text(landmarks)
    # 10 of 20 rows, 10 of 10, 20, ... columns: half, a quarter, ... of the photo.
    rows = [f"{name(n)} 1 2 10 {0 if n == 3 else 10}" for n in range(1, 9)]
    boxes = "\n".join(["8", "image_id x_1 y_1 width height", *rows])
    (root / "Anno" / "list_bbox_celeba.txt").write_text(boxes)
    return root


def test_in_the_wild_faces_have_boxes(wild):
    listing = celeba.read(wild, "official", wild=True)
    samples = {one.key: one.load() for one in listing.records}
    np.testing.assert_array_equal(samples[name(1)].box, [1.5, 0.5, 11.5, 10.5])
    assert np.isnan(samples[name(3)].box).all()  # Without area, as 101283.jpg.
    assert len(listing.sources) == 3 and listing.sources[0].parent.name == "Eval"


def test_scops_keeps_photos_with_large_faces(wild):
    add_mafl(wild / "MAFL")
    kept = splits_of(celeba.read(wild, "scops", wild=True))
    # 1 has half the photo; 2 a quarter: too little; 3, the test image, has a zero box.
    assert kept == {name(1): ("train", "fit")}
    (wild / "Img" / "img_celeba" / name(2)).write_bytes(b"no image")
    assert name(2) in splits_of(celeba.read(wild, "scops", wild=True))  # To be found damaged.


def test_real_celeba_has_no_image_in_train_and_test(real_data):
    root = real_data / "celeba"
    if not root.is_dir():
        pytest.skip("no celeba here")
    for choice in ("official", "subset"):
        listing = celeba.read(root, choice)
        assert not [one for one in listing.records if {"train", "test"} <= set(one.splits)]
        fit = next(one for one in listing.records if "fit" in one.splits)
        eyes = fit.load().points[list(listing.eyes)]
        assert np.abs(eyes[:, 0] - 111).max() < 12 and eyes[1, 1] - eyes[0, 1] > 20


def as_table(path, header):
    """Write a list as mirrors have it: commas, a header, no count."""
    lines = [line.split() for line in path.read_text().splitlines() if "jpg" in line]
    rows = [header, *(",".join(words) for words in lines)]
    path.with_suffix(".csv").write_text("\n".join(rows) + "\n")
    path.unlink()


def test_mirrors_with_tables_nested_folders_and_pngs_are_the_same(root):
    add_mafl(root / "MAFL")
    expected = {
        splits: [(one.key, one.splits, one.points) for one in celeba.read(root, splits).records]
        for splits in ("official", "subset")
    }
    as_table(root / "list_eval_partition.txt", "image_id,partition")
    as_table(root / "list_landmarks_align_celeba.txt", "image_id,lefteye_x,lefteye_y")
    images = root / "img_align_celeba"
    images.rename(root / "inner")
    images.mkdir()
    (root / "inner").rename(images / "img_align_celeba")
    for ending in (".jpg", ".png"):
        for splits, rows in expected.items():
            listing = celeba.read(root, splits)
            found = [(one.key, one.splits, one.points) for one in listing.records]
            assert len(found) == len(rows)
            for (key, members, points), (old, before, same) in zip(found, rows, strict=True):
                assert (key, members) == (old.replace(".jpg", ending), before)
                np.testing.assert_array_equal(points, same)
            assert [one.name for one in listing.problems] == [name(9), name(8)[:-4] + ending]
        if ending == ".jpg":
            for path in (images / "img_align_celeba").iterdir():
                path.rename(path.with_suffix(".png"))
            (root / "img_align_celeba").rename(root / "img_align_celeba_png")
            (root / "img_align_celeba_png" / "img_align_celeba").rename(
                root / "img_align_celeba_png" / "img_align_celeba_png"
            )
