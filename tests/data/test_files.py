"""Files below a folder: links, what systems put there, and names written otherwise."""

import os

import pytest

from partdisc.data.files import absent, find_files, inner
from partdisc.errors import DataError


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    return root


def test_what_systems_and_archivers_put_there_is_no_file_of_the_user(tmp_path):
    make(tmp_path, "b/2.jpg", "a/1.jpg", ".hidden/3.jpg", "a/.4.jpg", "@eaDir/1.jpg/thumb.jpg",
         "__MACOSX/a/._1.jpg", "a/@eaDir/x.jpg", "$RECYCLE.BIN/5.jpg")  # fmt: skip
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
        ("One.jpg", None),
        ("b.jpg", "b.jpg"),
        ("B.JPG", "B.JPG"),
        ("B.jpg", None),
    ],
)
def test_a_name_means_the_only_file_that_it_can(tmp_path, name, expected):
    make(tmp_path, "a/One.jpg", "stra\u00dfe.jpg", "\u00fcber.jpg", "b.jpg", "B.JPG")
    assert find_files(tmp_path).find(name) == expected


def test_what_is_missing_has_a_nearest_one(tmp_path):
    files = find_files(make(tmp_path, "a/one.jpg", "b.jpg", "B.JPG", "0008.jpg"))
    assert files.missing("c/one.jpg") == "no such file; the nearest is a/one.jpg"
    assert files.missing("B.jpg") == "no such file, but B.JPG and b.jpg"
    # Another number is no slip of the pen.
    assert files.missing("0009.jpg") == "no such file"
    assert find_files(tmp_path).missing("a/oen.jpg") == "no such file; the nearest is a/one.jpg"


def test_an_absent_path_names_what_is_there(tmp_path):
    make(tmp_path, "Images/x.jpg", "lists/train.txt")
    wanted = tmp_path / "images" / "x.jpg"
    assert absent(wanted) == f"{wanted}: no such file; there is {tmp_path / 'Images'}"
    wanted = tmp_path / "lists" / "trian.txt"
    assert absent(wanted) == f"{wanted}: no such file; there is {tmp_path / 'lists' / 'train.txt'}"
    wanted = tmp_path / "zzz"
    assert absent(wanted, "folder") == f"{wanted}: no such folder; {tmp_path} has nothing like it"
    with pytest.raises(DataError, match="images: no such folder; there is"):
        find_files(tmp_path / "images")


def test_the_inner_folder_is_found_where_there_is_one(tmp_path):
    make(tmp_path, "set/list.txt", "other/x.txt", "file")
    assert inner(tmp_path, "list.txt") == tmp_path / "set"
    assert inner(tmp_path / "set", "list.txt") == tmp_path / "set"
    make(tmp_path, "again/list.txt")
    assert inner(tmp_path, "list.txt") == tmp_path
    assert inner(tmp_path / "none", "list.txt") == tmp_path / "none"
