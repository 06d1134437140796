"""Preparing: once, whole or not at all, anew when something changed; crops and subsets."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from data_files import options, save

from partdisc import data, errors
from partdisc.data import builder, contents, cub, dataset, preparation, record


def shape_options(**changes):
    return options("", name="shapes", shapes_train=6, shapes_fit=2, shapes_test=3, **changes)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("cache")


def test_splits_and_arrays_of_the_drawn_set(cache):
    opened = data.open_dataset(shape_options(), cache, seed=0)
    assert [len(opened.splits[split]) for split in record.SPLITS] == [6, 2, 3]
    assert sorted(np.concatenate(list(opened.splits.values()))) == list(range(11))
    assert opened.points.shape == (11, len(opened.landmark_names), 2)
    assert opened.boxes.dtype == np.float32 and np.isfinite(opened.boxes).all()
    assert not opened.problems


def test_it_is_prepared_once_with_progress(tmp_path):
    calls = []

    def progress(iterable, total, label):
        calls.append((total, label))
        return iterable

    for _ in range(2):
        opened = data.open_dataset(shape_options(), tmp_path, seed=0, progress=progress)
    assert calls == [(11, "preparing shapes")]
    assert os.listdir(tmp_path) == [opened.folder.name]


@pytest.mark.parametrize(
    "changes",
    [{"shapes_size": 32}, {"train_subset": 3}, {"flip": True}],
)
def test_options_that_matter_change_the_fingerprint(cache, changes):
    plain = data.open_dataset(shape_options(), cache, seed=0)
    changed = data.open_dataset(shape_options(**changes), cache, seed=0)
    assert plain.fingerprint != changed.fingerprint
    assert len(plain.fingerprint) == 64


def test_options_that_do_not_matter_do_not(cache):
    plain = data.open_dataset(shape_options(), cache, seed=0)
    # How the network sees the images is no matter of what they are.
    changes = {"max_bad_fraction": 0.0, "short_side": 112, "max_aspect": 3.0}
    same = data.open_dataset(shape_options(**changes), cache, seed=0)
    assert plain.fingerprint == same.fingerprint


def test_the_seed_draws_other_shapes(cache):
    first, second = (data.open_dataset(shape_options(), cache, seed=seed) for seed in (0, 1))
    assert first.fingerprint != second.fingerprint
    assert np.any(first.image(0) != second.image(0))


def test_a_subset_thins_out_train_alone(cache):
    full = data.open_dataset(shape_options(), cache, seed=0)
    thin = data.open_dataset(shape_options(train_subset=4), cache, seed=0)
    assert [len(thin.splits[split]) for split in record.SPLITS] == [4, 2, 3]
    assert set(thin.keys) < set(full.keys)
    more_than_all = data.open_dataset(shape_options(train_subset=6), cache, seed=0)
    assert more_than_all.fingerprint == full.fingerprint


def test_a_subset_keeps_what_other_splits_need():
    none = np.zeros((0, 2))
    both = [record.Record(str(i), ("train", "fit"), (i,), lambda: none) for i in range(5)]
    thin = data._subset(both, 2, seed=0)
    assert [one.key for one in thin] == ["0", "1", "2", "3", "4"]
    assert sum("train" in one.splits for one in thin) == 2
    assert all("fit" in one.splits for one in thin)
    assert thin == data._subset(both, 2, seed=0)


def test_changed_files_are_prepared_anew(tmp_path):
    root, cache = tmp_path / "photos", tmp_path / "cache"
    save(root / "a.png", np.zeros((4, 4, 3), np.uint8))
    before = data.open_dataset(options(root), cache, seed=0)
    save(root / "a.png", np.full((4, 4, 3), 200, np.uint8))
    os.utime(root / "a.png", ns=(1, 1))
    after = data.open_dataset(options(root), cache, seed=0)
    assert before.fingerprint != after.fingerprint
    assert before.image(0).max() == 0 and after.image(0).min() == 200
    # Elsewhere but the same: nothing depends on where the folder is.
    root.rename(tmp_path / "moved")
    moved = data.open_dataset(options(tmp_path / "moved"), cache, seed=0)
    assert moved.fingerprint == after.fingerprint


def test_training_images_can_be_mirrored(cache):
    plain = data.open_dataset(shape_options(), cache, seed=0)
    both = data.open_dataset(shape_options(flip=True), cache, seed=0)
    assert [len(both.splits[split]) for split in record.SPLITS] == [12, 2, 3]
    index = both.keys.index(f"{plain.keys[5]} mirrored")
    original = both.keys.index(plain.keys[5])
    np.testing.assert_array_equal(both.image(index), both.image(original)[:, ::-1])
    assert np.isnan(both.points[index]).all() and np.isfinite(both.points[original]).any()
    y0, x0, y1, x1 = both.boxes[original]
    np.testing.assert_allclose(both.boxes[index], [y0, 63 - x1, y1, 63 - x0])
    assert index in both.splits["train"] and plain.fingerprint != both.fingerprint


def test_a_mirrored_image_is_as_large_as_any(tmp_path, rng):
    save(tmp_path / "a.png", rng.integers(0, 256, (5, 7, 3), np.uint8))
    nothing = np.zeros((0, 2))
    one = record.file_record(tmp_path, "a.png", os.stat(tmp_path / "a.png"), ("train",), nothing)
    assert record.mirrored(one, 35).load().data
    with pytest.raises(errors.DataError, match="5 x 7: more than 34 pixels"):
        record.mirrored(one, 34).load()


def test_points_are_of_parts_that_occur_once():
    nan = (np.nan, np.nan)
    instances = np.array([[[(1, 2), nan], [nan, (3, 4)], [(5, 6), (7, 8)], [nan, nan]]])
    opened = dataset.Dataset(*[None] * 4, instances, *[None] * 11)
    np.testing.assert_array_equal(opened.points, [[(1, 2), (3, 4), nan, nan]])


def test_what_instances_are_changes_the_fingerprint(tmp_path):
    two_wheels = [[0, 0, 4, 0, 4, 4, 0, 4], [9, 0, 13, 0, 13, 4, 9, 4]]
    wheel = {"id": 1, "image_id": 1, "category_id": 7, "segmentation": two_wheels}
    images = [{"id": n, "file_name": name} for n, name in ((1, "a.jpg"), (2, "b.jpg"))]
    written = {
        "images": images,
        "categories": [{"id": 7, "name": "wheel"}],
        "annotations": [wheel],
    }
    (tmp_path / "all.json").write_text(json.dumps(written))
    for name in ("a.jpg", "b.jpg"):
        save(tmp_path / name, np.zeros((20, 30, 3), np.uint8))
    changes = {"name": "coco", "coco_train": "all.json"}
    whole = data.open_dataset(options(tmp_path, **changes), tmp_path / "cache", seed=0)
    changes["split_polygons"] = "wheel"
    split = data.open_dataset(options(tmp_path, **changes), tmp_path / "cache", seed=0)
    assert whole.fingerprint != split.fingerprint
    assert whole.instances.shape == (2, 1, 1, 2) and split.instances.shape == (2, 1, 2, 2)
    assert np.isnan(split.points).all()


def test_what_lists_say_counts_not_when_or_how_they_were_written(tmp_path):
    marks = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [2, 2, 4, 4]}
    lists = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 7, "name": "wheel"}],
        "annotations": [marks],
    }
    save(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    wanted = options(tmp_path, name="coco", coco_train="all.json")

    def fingerprint(text):
        (tmp_path / "all.json").write_text(text)
        return data.list_dataset(wanted, tmp_path / "cache", seed=0).fingerprint

    first = fingerprint(json.dumps(lists))
    assert fingerprint(json.dumps(lists, indent=4)) == first
    marks["bbox"] = [2, 2, 4, 5]
    assert fingerprint(json.dumps(lists)) != first


def test_listing_writes_nothing(tmp_path):
    save(tmp_path / "photos" / "a.png", np.zeros((4, 4, 3), np.uint8))
    data.list_dataset(options(tmp_path / "photos"), tmp_path / "cache", seed=0)
    assert not (tmp_path / "cache").exists()


def test_contents_are_kept_by_time_and_found_again(tmp_path, monkeypatch):
    root, cache = tmp_path / "photos", tmp_path / "cache"
    for number in range(3):
        save(root / f"{number}.png", np.full((4, 4, 3), number, np.uint8))
        os.utime(root / f"{number}.png", ns=(number, number))
    before = data.open_dataset(options(root), cache, seed=0)
    read = []
    real = contents._read
    monkeypatch.setattr(
        contents, "_read", lambda one, *known: read.append(one.key) or real(one, *known)
    )
    assert data.open_dataset(options(root), cache, seed=0).contents == before.contents
    assert read == []
    # Another time alone: it is read again, and is the same.
    os.utime(root / "1.png", ns=(9, 9))
    touched = data.open_dataset(options(root), cache, seed=0)
    assert read == ["1.png"] and touched.fingerprint == before.fingerprint
    assert touched.folder == before.folder and len(list(cache.glob("folder-*"))) == 1
    # Copied elsewhere, with new times.
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    copied = data.open_dataset(options(tmp_path / "copy"), cache, seed=0)
    assert copied.fingerprint == before.fingerprint


def test_a_file_that_is_still_being_written_is_not_trusted_by_its_time(tmp_path):
    root, cache = tmp_path / "photos", tmp_path / "cache"
    save(root / "a.bmp", np.zeros((4, 4, 3), np.uint8))
    stamp = (root / "a.bmp").stat()
    before = data.open_dataset(options(root), cache, seed=0)
    save(root / "a.bmp", np.full((4, 4, 3), 9, np.uint8))
    os.utime(root / "a.bmp", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert (root / "a.bmp").stat().st_size == stamp.st_size
    after = data.open_dataset(options(root), cache, seed=0)
    assert after.contents != before.contents and after.image(0).min() == 9


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"0.png": 3}', '{"0.png": ["x"]}'])
def test_damaged_hashes_are_made_again(tmp_path, damage):
    root, cache = tmp_path / "photos", tmp_path / "cache"
    save(root / "0.png", np.zeros((4, 4, 3), np.uint8))
    os.utime(root / "0.png", ns=(1, 1))
    before = data.open_dataset(options(root), cache, seed=0)
    (cache / "contents.json").write_text(damage)
    assert data.open_dataset(options(root), cache, seed=0).contents == before.contents


def test_training_is_of_the_training_images_and_their_crops(tmp_path):
    listed = {
        margin: data.list_dataset(shape_options(crop_margin=margin), tmp_path, seed=0)
        for margin in (-1.0, 0.1)
    }
    training = listed[-1.0].training
    assert len(training) == 6 and all(key.startswith("train/") for key in training)
    # The boxes of drawings follow from their content.
    assert listed[0.1].training == training
    made = [
        record.Record("a", ("train",), (), None, "content", np.zeros((1, 2)), np.full(4, box))
        for box in (1.0, 2.0)
    ]
    same = [
        [
            listed[margin]._replace(records=[one], contents={"a": contents.Content("x")}).training
            for one in made
        ]
        for margin in (-1.0, 0.1)
    ]
    assert same[0][0] == same[0][1] and same[1][0] != same[1][1]


def test_an_interrupted_preparation_leaves_nothing(tmp_path):
    def interrupted(iterable, total, label):
        for i, one in enumerate(iterable):
            if i == 3:
                raise KeyboardInterrupt
            yield one

    with pytest.raises(KeyboardInterrupt):
        data.open_dataset(shape_options(), tmp_path, seed=0, progress=interrupted)
    assert os.listdir(tmp_path) == []
    assert len(data.open_dataset(shape_options(), tmp_path, seed=0)) == 11


def test_another_process_may_be_faster(tmp_path):
    def overtaken(iterable, total, label):
        data.open_dataset(shape_options(), tmp_path / "other", seed=0)
        (winner,) = (tmp_path / "other").iterdir()
        (tmp_path / "cache").mkdir(exist_ok=True)
        winner.rename(tmp_path / "cache" / winner.name)
        return iterable

    opened = data.open_dataset(shape_options(), tmp_path / "cache", seed=0, progress=overtaken)
    assert len(opened) == 11 and opened.image(10).shape == (64, 64, 3)
    assert len(os.listdir(tmp_path / "cache")) == 1


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.WorkdirError, match="file"):
        data.open_dataset(shape_options(), tmp_path / "file", seed=0)


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def fail(text):
        def prepare(_):
            raise RuntimeError(text)

        monkeypatch.setattr(builder.Images, "download_and_prepare", prepare)

    fail("Failed to finalize: write() failed: No space left on device; writing x")
    with pytest.raises(errors.WorkdirError, match=r"shapes.*: No space left on device; free some"):
        data.open_dataset(shape_options(), tmp_path, seed=0)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
    fail("another reason")
    with pytest.raises(RuntimeError, match="another reason"):
        data.open_dataset(shape_options(), tmp_path, seed=0)


DAMAGES = {
    "gone": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "garbage": lambda file: file.write_bytes(b"garbage"),
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 8]),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["table.npz", "features.json", "dataset_info.json", "images-images.array_record*"]
)
def test_a_damaged_folder_is_prepared_again(tmp_path, name, damage):
    before = data.open_dataset(shape_options(), tmp_path, seed=0)
    (file,) = before.folder.rglob(name)
    DAMAGES[damage](file)
    after = data.open_dataset(shape_options(), tmp_path, seed=0)
    assert after.notes == (*before.notes, f"{before.folder} was damaged: it was prepared again")
    np.testing.assert_array_equal(after.image(10), before.image(10))
    assert data.open_dataset(shape_options(), tmp_path, seed=0).notes == before.notes


def test_a_folder_without_some_of_its_images_is_prepared_again(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "VOLUME_BYTES", 5)
    before = data.open_dataset(shape_options(), tmp_path, seed=0)
    shutil.rmtree(before.folder / "00003")
    after = data.open_dataset(shape_options(), tmp_path, seed=0)
    assert len(after.notes) == len(before.notes) + 1
    np.testing.assert_array_equal(after.image(10), before.image(10))


def test_an_image_that_is_damaged_later_is_one_line(tmp_path):
    opened = data.open_dataset(shape_options(), tmp_path, seed=0)
    opened.image(0)
    (file,) = opened.folder.rglob("*array_record*")
    content = bytearray(file.read_bytes())
    content[len(content) // 4] ^= 1  # Among the first images.
    file.write_bytes(content)
    fresh = data.open_dataset(shape_options(), tmp_path, seed=0)
    with pytest.raises(errors.DataError) as caught:
        for index in range(len(fresh)):
            fresh.image(index)
    assert str(caught.value).startswith(f"{opened.folder} is damaged (")
    assert "remove it" in str(caught.value) and "\n" not in str(caught.value)


def test_images_are_read_from_many_threads_in_any_order(cache):
    opened = data.open_dataset(shape_options(), cache, seed=0)
    order = np.random.default_rng(0).integers(0, len(opened), 60)
    alone = [opened.image(i) for i in range(len(opened))]
    fresh = data.open_dataset(shape_options(), cache, seed=0)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for i, image in zip(order, pool.map(fresh.image, order), strict=True):
            np.testing.assert_array_equal(image, alone[i])
    with pytest.raises(IndexError):
        opened.image(len(opened))
    with pytest.raises(IndexError):
        opened.image(-1)


def test_large_sets_are_written_in_volumes(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "VOLUME_BYTES", 5)
    contents = [bytes([i]) * (i % 4) for i in range(11)]
    examples = (
        {"key": str(i), "image": content, "points": np.zeros((1, 1, 2), np.float32),
         "box": np.zeros(4, np.float32)}
        for i, content in enumerate(contents)
    )  # fmt: skip
    builder.write(tmp_path, examples, (1, 1))
    source = builder.Source(tmp_path)
    assert len(os.listdir(tmp_path)) == 3
    assert [source[i] for i in range(len(source))] == contents


def test_preparing_prints_nothing_and_needs_no_tensorflow(tmp_path):
    code = (
        "import sys, types\nfrom partdisc import data\n"
        "assert 'tensorflow_datasets' not in sys.modules\n"
        f"config = types.SimpleNamespace(**{vars(shape_options())!r})\n"
        f"data.open_dataset(config, {str(tmp_path)!r}, seed=0).image(0)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_box_off_the_image_is_a_problem():
    preparation.check_usable((10, 10), np.array([-3.0, 2.0, 4.0, 12.0]))
    preparation.check_usable((10, 10), np.full(4, np.nan))
    for box in ([11.0, 2.0, 14.0, 5.0], [2.0, 2.0, 2.0, 5.0], [2.0, -4.0, 5.0, -0.5]):
        y0, x0, y1, x1 = box
        found = f"its box, x {x0:g} to {x1:g} and y {y0:g} to {y1:g}, does not meet the image of"
        with pytest.raises(errors.DataError, match=found):
            preparation.check_usable((10, 10), np.array(box))


def test_crops_are_the_box_and_its_margin_inside_the_image():
    sizes = np.array([[100, 200]] * 4, np.int32)
    boxes = np.array([[19.5, 39.5, 59.5, 99.5], [-0.5, 150, 99.5, 230], [np.nan] * 4,
                      [98.4, 0, 98.6, 0.1]])  # fmt: skip
    crops = dataset.crop_boxes(sizes, boxes, 0.25)
    assert crops.tolist() == [
        [10, 25, 70, 115], [0, 131, 100, 200], [0, 0, 100, 200], [99, 0, 100, 1],
    ]  # fmt: skip
    assert dataset.crop_boxes(sizes, boxes, 0.0)[0].tolist() == [20, 40, 60, 100]
    assert (dataset.crop_boxes(sizes, boxes, -1.0) == [0, 0, 100, 200]).all()
    assert crops.dtype == np.int32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "imagenet"}, "data.name is 'imagenet'; allowed: celeba, celeba_wild, mtfl, cub"),
        ({"splits": "half"}, "data.splits is 'half'; allowed for folder: official"),
        ({"name": "celeba", "splits": "half"}, "allowed for celeba: official, mafl, subset"),
    ],
)
def test_unknown_choices_are_named(tmp_path, changes, message):
    with pytest.raises(errors.ConfigError, match=message):
        data.open_dataset(options("", **changes), tmp_path, seed=0)


def test_without_a_root_the_environment_says_where(tmp_path, monkeypatch):
    monkeypatch.delenv("PARTDISC_DATA", raising=False)
    with pytest.raises(errors.DataError, match="PARTDISC_DATA"):
        data.open_dataset(options("", name="celeba"), tmp_path, seed=0)
    monkeypatch.setenv("PARTDISC_DATA", str(tmp_path))
    with pytest.raises(errors.DataError, match="CUB_200_2011"):
        data.open_dataset(options("", name="cub"), tmp_path, seed=0)


def test_real_cub_prepares_whole(real_data, tmp_path, monkeypatch):
    root = real_data / "CUB_200_2011"
    if not root.is_dir():
        pytest.skip("no CUB here")
    read = cub.read
    monkeypatch.setattr(
        cub, "read", lambda root, species: read(root)._replace(records=read(root).records[::8])
    )
    config = options(root, name="cub", crop_margin=0.15, max_bad_fraction=0.0)
    opened = data.open_dataset(config, tmp_path, seed=0)
    assert opened.splits["train"].tolist() == opened.splits["fit"].tolist()
    inside = (opened.crops[:, :2] >= 0).all() and (opened.crops[:, 2:] <= opened.sizes).all()
    assert inside and (opened.crops[:, 2:] - opened.crops[:, :2] > 50).all()
    assert opened.image(3).shape[:2] == tuple(opened.sizes[3])
