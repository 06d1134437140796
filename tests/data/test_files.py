"""Files below a folder: links, what systems put there, and names written otherwise."""

import os
import pathlib

import pytest

from partdisc.data.files import Place, absent, find_files, locate
from partdisc.errors import DataError


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    return root


def test_what_systems_and_archivers_put_there_is_no_file_of_the_user(tmp_path):
    make(tmp_path, "b/2.jpg", "a/1.jpg", ".hidden/3.jpg", "a/.4.jpg", "@eaDir/1.jpg/thumb.jpg",
         "__MACOSX/a/._1.jpg", "a/@eaDir/x.jpg", "$RECYCLE.BIN/5.jpg", "$Recycle.Bin/6.jpg",
         "system volume information/7.jpg", "lost+found/8.jpg")  # fmt: skip
    assert list(find_files(tmp_path)) == ["a/1.jpg", "b/2.jpg"]


def test_links_are_followed_once_and_loops_end(tmp_path):
    root = make(tmp_path / "photos", "real/1.jpg", "2.jpg").resolve()
    make(tmp_path, "elsewhere/deep/3.jpg", "beside.jpg")
    (root / "a_link").symlink_to(root / "real")  # The same folder again.
    (root / "far").symlink_to(tmp_path / "elsewhere")
    (root / "real" / "loop").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    (tmp_path / "elsewhere" / "back").symlink_to(root / "far")
    (root / "broken").symlink_to(tmp_path / "nowhere")
    (root / "4.jpg").symlink_to(tmp_path / "beside.jpg")
    assert list(find_files(root)) == ["2.jpg", "4.jpg", "far/deep/3.jpg", "real/1.jpg"]
    assert all(isinstance(stat, os.stat_result) for stat in find_files(root).values())


def test_a_work_directory_holds_no_files_of_the_user(tmp_path):
    make(tmp_path, "1.jpg", "runs/a/partdisc.json", "runs/a/report/parts.png", "runs/b.jpg")
    make(tmp_path, "old run/partdisc.json", "old run/data/2.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "old run")
    assert list(find_files(tmp_path)) == ["1.jpg", "runs/b.jpg"]
    # A work directory that is itself asked for is looked into.
    assert "report/parts.png" in find_files(tmp_path / "runs" / "a")


@pytest.mark.parametrize("lost", [None, "predictions.jsonl", "predictions.json"])
def test_pictures_of_predictions_are_no_photos(tmp_path, lost):
    for name in ("overlays/1.png", "masks/a/1.png", "overlays.png", "found/overlays/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    # Folders of these names are the user's own, but beside predictions.
    assert len(find_files(tmp_path)) == 4
    for folder in (tmp_path, tmp_path / "found"):
        for name in {"predictions.jsonl", "predictions.json"} - {lost}:
            (folder / name).touch()
    images = [name for name in find_files(tmp_path) if name.endswith("png")]
    assert images == ["overlays.png"] if lost is None else len(images) == 4
    assert list(find_files(tmp_path / "overlays")) == ["1.png"]


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch):
    make(tmp_path, "1.jpg", "locked/2.jpg", "a/deep/3.jpg", "sub/4.jpg")
    for name, to in (("gone.jpg", "nowhere"), ("a/loop", "loop"), (".hidden", "nowhere")):
        (tmp_path / name).symlink_to(to)
    scan, look = os.scandir, os.stat

    def scandir(path):
        if os.fspath(path).endswith(("locked", "deep")):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    def stat(path, **options):
        if os.fspath(path).endswith("4.jpg"):
            raise PermissionError(13, "Permission denied", path)
        return look(path, **options)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "stat", stat)
    files = find_files(tmp_path)
    assert list(files) == ["1.jpg"]
    assert files.unread == {
        "a/deep/": "a folder that cannot be read (Permission denied)",
        "a/loop": "a broken link",
        "gone.jpg": "a broken link",
        "locked/": "a folder that cannot be read (Permission denied)",
        "sub/4.jpg": "Permission denied",
    }


def test_a_folder_that_is_a_link_is_a_folder(tmp_path):
    make(tmp_path / "real", "1.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert list(find_files(tmp_path / "link")) == ["1.jpg"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/One.jpg", "a/One.jpg"),
        ("A/one.JPG", "a/One.jpg"),
        ("a\\\\One.jpg", "a/One.jpg"),
        ("./a/../a/One.jpg", "a/One.jpg"),
        ("stra\u00dfe.jpg", "stra\u00dfe.jpg"),
        ("STRASSE.jpg", "stra\u00dfe.jpg"),
        ("u\u0308ber.jpg", "\u00fcber.jpg"),
        ("b.jpg", "b.jpg"),
        ("B.JPG", "B.JPG"),
        ("B.jpg", None),
    ],
)
def test_a_name_means_the_only_file_that_it_can(tmp_path, name, expected):
    make(tmp_path, "a/One.jpg", "stra\u00dfe.jpg", "\u00fcber.jpg", "b.jpg", "B.JPG")
    files = find_files(tmp_path)
    assert files.find(name) == expected and not files.notes()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("One.jpg", "a/One.jpg"),
        ("one.JPG", "a/One.jpg"),
        ("/One.jpg", "a/One.jpg"),
        ("c/a/One.jpg", "a/One.jpg"),
        ("/home/bob/a/One.jpg", "a/One.jpg"),
        ("C:\\bob\\A\\one.jpg", "a/One.jpg"),
        ("../../a/One.jpg", "a/One.jpg"),
        ("https://host/a/One.jpg", "a/One.jpg"),
        ("images/b.jpg", "b.jpg"),
        ("c/One.jpg", None),
        ("two.jpg", None),
        ("x/B.jpg", None),
    ],
)
def test_the_end_of_a_path_is_taken_and_said(tmp_path, name, expected):
    make(tmp_path, "a/One.jpg", "b.jpg", "B.JPG", "a/two.jpg", "b/two.jpg")
    files = find_files(tmp_path)
    assert files.find(name) == expected
    said = f"was found: 1, such as {name!r}, taken as {expected}"
    assert [note.partition("path ")[2] for note in files.notes()] == [said] * bool(expected)


@pytest.fixture
def pictures(tmp_path):
    """A root with pictures in `here` and `there`, and one of the same name outside of it."""
    root = make(tmp_path / "root", "here/1.jpg", "here/2.jpg", "there/1.jpg", "there/3.jpg")
    make(tmp_path, "full/1.jpg", "full/9.jpg")
    (root / "here" / "9.jpg").symlink_to(tmp_path / "full" / "9.jpg")
    (tmp_path / "alias").symlink_to(root)
    return root


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1.jpg", "here/1.jpg"),
        ("{root}/here/1.jpg", "here/1.jpg"),
        ("{root}/there/1.jpg", "there/1.jpg"),
        ("{root}/there/../here/2.jpg", "here/2.jpg"),
        ("{root}/../alias/there/3.jpg", "there/3.jpg"),
        ("../there/1.jpg", "there/1.jpg"),
        ("../There/3.JPG", "there/3.jpg"),
        ("{root}/../full/9.jpg", "here/9.jpg"),  # There by a link.
    ],
)
def test_a_path_that_exists_below_the_root_is_the_image(pictures, name, expected):
    place = Place(pictures, pathlib.Path("here"))
    assert place.key(name.format(root=pictures)) == expected and not place.notes()
    place = Place(pictures.parent / "alias", pathlib.Path("here"))
    assert place.key(name.format(root=pictures)) == expected


@pytest.mark.parametrize("name", ["{root}/../full/1.jpg", "../../full/1.jpg"])
def test_a_path_that_exists_elsewhere_is_no_namesake_of_it(pictures, name):
    place = Place(pictures, pathlib.Path("here"))
    name = name.format(root=pictures)
    assert place.key(name) is None and not place.notes()
    assert place.missing(name).startswith(f"that file lies outside of {pictures}; set config.data")


@pytest.mark.parametrize("name", ["/nowhere/2.jpg", "../val/2.jpg", "val/2.jpg"])
def test_a_namesake_of_a_path_that_is_not_there_is_said(pictures, name):
    place = Place(pictures, pathlib.Path("here"))
    assert place.key(name) == "here/2.jpg"
    assert place.notes() == [
        f"names of which only the end of the path was found: 1, such as {name!r}, taken as 2.jpg"
    ]


def test_what_is_missing_has_a_nearest_one(tmp_path):
    files = find_files(make(tmp_path, "a/one.jpg", "b.jpg", "B.JPG", "0008.jpg", "c/b.jpg"))
    assert files.missing("c/one.jpg") == "no such file; the nearest is a/one.jpg"
    assert files.missing("B.jpg") == "no such file; it may be B.JPG or b.jpg"
    make(tmp_path, "d/b.jpg", "d/x.jpg", "e/x.jpg")
    assert find_files(tmp_path).missing("x.jpg") == "no such file; it may be d/x.jpg or e/x.jpg"
    # Another number is no slip of the pen.
    assert files.missing("0009.jpg") == "no such file"
    assert find_files(tmp_path).missing("a/oen.jpg") == "no such file; the nearest is a/one.jpg"


def test_an_absent_path_names_what_is_there(tmp_path):
    make(tmp_path, "Images/x.jpg", "lists/train.txt")
    wanted = tmp_path / "images" / "x.jpg"
    assert absent(wanted) == f"{wanted}: no such file; there is {tmp_path / 'Images'}"
    wanted = tmp_path / "lists" / "trian.txt"
    assert absent(wanted) == f"{wanted}: no such file; there is {tmp_path / 'lists' / 'train.txt'}"
    # A file is no folder, and none a file.
    wanted = tmp_path / "lists" / "train.tx"
    (tmp_path / "lists" / "train.t").mkdir()
    assert absent(wanted) == f"{wanted}: no such file; there is {tmp_path / 'lists' / 'train.txt'}"
    assert absent(wanted, "folder").endswith(f"there is {tmp_path / 'lists' / 'train.t'}")
    wanted = tmp_path / "zzz"
    assert absent(wanted, "folder") == f"{wanted}: no such folder; {tmp_path} has nothing like it"
    with pytest.raises(DataError, match="images: no such folder; there is"):
        find_files(tmp_path / "images")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("list.txt", "set/list.txt"),
        ("LIST.TXT", "set/list.txt"),
        ("Lists/a.txt", "set/lists/a.txt"),
        ("a.txt", "set/lists/a.txt"),
        ("lists", "set/lists"),
        ("x.txt", "x.txt"),
        ("twice.txt", None),
        ("deep.txt", None),
        ("system.txt", None),
        ("Both.txt", None),
        ("BOTH.txt", "BOTH.txt"),
        ("set/list.txt/x", None),
    ],
)
def test_what_a_layout_has_is_found_in_folders_and_in_any_case(tmp_path, name, expected):
    make(tmp_path, "set/list.txt", "set/lists/a.txt", "x.txt", "other/x.txt", "a/twice.txt",
         "b/twice.txt", "a/b/c/deep.txt", "__MACOSX/system.txt", ".x/system.txt", "both.txt",
         "BOTH.txt")  # fmt: skip
    found = locate(tmp_path, name)
    assert found == tmp_path / (expected or name) and found.exists() == bool(expected)
    assert locate(tmp_path / "none", name) == tmp_path / "none" / name
