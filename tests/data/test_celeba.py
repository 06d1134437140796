"""CelebA's official layout: splits, landmarks, and lists that disagree with the files."""

import numpy as np
import pytest
from PIL import Image

from partdisc import errors
from partdisc.data import celeba

COLUMNS = [f"{part}_{axis}" for part in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
           for axis in "xy"]  # fmt: skip
HEADER = " ".join(COLUMNS)


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


@pytest.mark.parametrize(
    ("path", "old", "new", "reason"),
    [
        ("list_eval_partition.txt", f"{name(4)} 0", f"{name(4)} 7", "line 4: '7' is none of 0, 1"),
        ("list_eval_partition.txt", f"{name(4)} 0", name(4), "line 4: 1 columns instead of 2"),
        ("list_landmarks_align_celeba.txt", "4 2", "4 nan", "line 6: 'nan' is no finite number"),
        ("list_landmarks_align_celeba.txt", "4 2", "4 left", "line 6: 'left' is no finite"),
        ("list_landmarks_align_celeba.txt", "4 2", "4", "line 6: 10 columns instead of 11"),
        ("list_landmarks_align_celeba.txt", name(5), name(4), "is in line 6 too, otherwise"),
    ],
)
def test_a_row_of_no_use_costs_its_image_alone(root, path, old, new, reason):
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new))
    listing = celeba.read(root, "subset")
    (found,) = [one.reason for one in listing.problems if one.name == name(4)]
    assert found.startswith(f"{root / path}, ") and reason in found
    assert set(splits_of(listing)) == {name(n) for n in (1, 2, 3, 5, 6, 7)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3\n" + HEADER + "\n" + name(1) + " 1 2 3 4 5 6 7 8 9 10\n", "1 rows, but its first line"),
        ("1\n" + HEADER.replace("nose", "chin") + "\n" + name(1), "line 2: .* 'chin_x' is none of"),
        ("", "no row in it"),
    ],
)
def test_a_malformed_landmark_file_is_named(root, text, message):
    (root / "list_landmarks_align_celeba.txt").write_text(text)
    with pytest.raises(errors.DataError, match=message) as caught:
        celeba.read(root, "subset")
    assert "list_landmarks_align_celeba.txt" in str(caught.value)


def test_absent_files_are_named(root):
    with pytest.raises(errors.DataError, match="MAFL: no such folder, and none beside"):
        celeba.read(root, "official")
    add_mafl(root / "MAFL")
    (root / "MAFL" / "testing.txt").rename(root / "MAFL" / "test.txt")
    with pytest.raises(errors.DataError, match="testing.txt: no such file; there is .*test.txt"):
        celeba.read(root, "official")
    (root / "list_landmarks_align_celeba.txt").rename(root / "landmarks_align_celeba.txt")
    with pytest.raises(errors.DataError, match="list_landmarks_align_celeba.txt: no such file; th"):
        celeba.read(root, "official")
    (root / "list_eval_partition.txt").unlink()
    with pytest.raises(errors.DataError, match="list_eval_partition.txt: no such file"):
        celeba.read(root, "official")
    (root / "img_align_celeba").rename(root / "images")
    with pytest.raises(errors.DataError, match="img_align_celeba: no such folder") as caught:
        celeba.read(root, "official")
    assert ".txt" not in str(caught.value)  # A list is no folder.


def test_mafl_trains_on_its_own_list(root):
    add_mafl(root / "MAFL")
    assert splits_of(celeba.read(root, "mafl")) == {
        name(1): ("train", "fit"), name(2): ("train", "fit"), name(3): ("test",),
        name(6): ("train",),
    }  # fmt: skip


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
    add_mafl(wild / "MAFL")
    listing = celeba.read(wild, "official", wild=True)
    samples = {one.key: one.load() for one in listing.records}
    np.testing.assert_array_equal(samples[name(1)].box, [1.5, 0.5, 11.5, 10.5])
    assert np.isnan(samples[name(3)].box).all()  # Without area, as 101283.jpg.
    assert len(listing.sources) == 5 and listing.sources[0].parent.name == "Eval"


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


def rows_of(path):
    """Return the rows of a list, without count and header."""
    return [line.split() for line in path.read_text().splitlines() if "jpg" in line]


def as_table(path, columns, order=None, separator=",", quote=""):
    """Write a list as mirrors have it: with separators, maybe a header, no count."""
    order = order or range(len(columns))
    rows = [columns, *rows_of(path)]
    lines = [separator.join(f"{quote}{row[i]}{quote}" for i in order) for row in rows]
    path.with_suffix(".csv").write_text("\n".join(lines) + "\n")
    path.unlink()


def content(listing):
    return [(one.key, one.splits, str(one.points.tolist())) for one in listing.records]


TABLES = {
    "comma": {},
    "semicolon": {"separator": ";"},
    "tab": {"separator": "\t"},
    "quotes": {"quote": '"'},
    "y before x": {"order": [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9]},
    "right eye first": {"order": [0, 3, 4, 1, 2, 5, 6, 7, 8, 9, 10]},
    "all x, then all y": {"order": [0, 1, 3, 5, 7, 9, 2, 4, 6, 8, 10]},
    "names last": {"order": [*range(1, 11), 0]},
}


@pytest.mark.parametrize(
    ("table", "header"),
    [(table, True) for table in TABLES]
    + [(table, False) for table, how in TABLES.items() if "order" not in how],
)
def test_tables_of_mirrors_are_read_by_their_header(root, table, header):
    add_mafl(root / "MAFL")
    expected = content(celeba.read(root, "official"))
    lists = {
        "list_landmarks_align_celeba": (["image_id", *COLUMNS], TABLES[table]),
        "list_eval_partition": (
            ["image_id", "partition"],
            {key: value for key, value in TABLES[table].items() if key != "order"},
        ),
    }
    for list_name, (columns, how) in lists.items():
        as_table(root / f"{list_name}.txt", columns, **how)
        if not header:
            path = root / f"{list_name}.csv"
            path.write_text(path.read_text().partition("\n")[2])
    assert content(celeba.read(root, "official")) == expected


@pytest.mark.parametrize("head", ["", "5\n", HEADER + "\n", "image_id " + HEADER + "\n"])
def test_lists_need_neither_count_nor_header(root, head):
    expected = content(celeba.read(root, "subset"))
    path = root / "list_landmarks_align_celeba.txt"
    path.write_text(head + "\n".join(map(" ".join, rows_of(path))))
    assert content(celeba.read(root, "subset")) == expected


def test_a_header_of_a_list_tells_its_columns(root):
    expected = content(celeba.read(root, "subset"))
    path = root / "list_landmarks_align_celeba.txt"
    rows = [[row[0], *row[:0:-1]] for row in rows_of(path)]
    path.write_text("5\n" + " ".join(COLUMNS[::-1]) + " \n" + "\n".join(map(" ".join, rows)))
    assert content(celeba.read(root, "subset")) == expected


@pytest.mark.parametrize(
    ("moved", "to"),
    [
        ("list_landmarks_align_celeba.txt", "anno/list_landmarks_align_celeba.txt"),
        ("list_eval_partition.txt", "EVAL/List_Eval_Partition.txt"),
        ("img_align_celeba", "img/IMG_align_celeba"),
        ("MAFL", "mafl"),
        ("MAFL", "../mafl"),
        ("MAFL/training.txt", "MAFL/Training.txt"),
        ("", "CelebA"),
    ],
)
def test_a_layout_may_be_written_and_lie_otherwise(root, moved, to):
    add_mafl(root / "MAFL")
    expected = content(celeba.read(root, "official"))
    if moved:
        (root / to).parent.mkdir(exist_ok=True)
        (root / moved).rename(root / to)
    else:  # The outer folder of an archive.
        root.rename(root.with_name("inner"))
        root.mkdir()
        root.with_name("inner").rename(root / to)
    assert content(celeba.read(root, "official")) == expected


def test_nested_folders_and_pngs_are_the_same(root):
    expected = content(celeba.read(root, "subset"))
    images = root / "img_align_celeba"
    images.rename(root / "inner")
    images.mkdir()
    (root / "inner").rename(images / "img_align_celeba")
    assert content(celeba.read(root, "subset")) == expected
    for path in (images / "img_align_celeba").iterdir():
        path.rename(path.with_suffix(".png"))
    images.rename(root / "img_align_celeba_png")
    nested = root / "img_align_celeba_png" / "img_align_celeba"
    nested.rename(nested.with_name("img_align_celeba_png"))
    listing = celeba.read(root, "subset")
    assert content(listing) == [(key.replace("jpg", "png"), *rest) for key, *rest in expected]
    assert [one.name for one in listing.problems] == [name(9), f"{name(8)[:-4]}.png"]
