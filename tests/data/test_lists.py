"""List files: what separates words, counts, names of columns, and rows that cannot be used."""

import numpy as np
import pytest

from partdisc.data.lists import List
from partdisc.errors import DataError

COLUMNS = ("image", "x", "y")
TABLES = {
    "list.txt": "a.jpg 1 2\nb.jpg  3\t4 \r\n\n",
    "count.txt": "2\na.jpg 1 2\nb.jpg 3 4\n",
    "header.txt": "image x y\na.jpg 1 2\nb.jpg 3 4\n",
    "unnamed.txt": "2\nx y \na.jpg 1 2\nb.jpg 3 4\n",
    "turned.txt": "2\ny x\na.jpg 2 1\nb.jpg 4 3\n",
    "twice.txt": "a.jpg 1 2\nb.jpg 3 4\na.jpg 1 2\n",
    "mark.txt": "\ufeffa.jpg 1 2\nb.jpg 3 4\n",
    "plain.csv": "a.jpg,1,2\nb.jpg,3,4\n",
    "header.csv": "image,x,y\na.jpg,1,2\nb.jpg,3,4\n",
    "unnamed.csv": "x,y\na.jpg,1,2\nb.jpg,3,4\n",
    "turned.csv": "y,image,x\n2,a.jpg,1\n4,b.jpg,3\n",
    "capitals.csv": "Y, Image, X\n2, a.jpg, 1\n4, b.jpg, 3\n",
    "semicolons.csv": "image;x;y\na.jpg;1;2\nb.jpg;3;4\n",
    "tabs.CSV": "image\tx\ty\na.jpg\t1\t2\nb.jpg\t3\t4\n",
    "quotes.csv": '"image","x","y"\r\n"a.jpg","1","2"\r\n"b.jpg","3","4"\r\n,,\r\n',
}


def save(tmp_path, name, text):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path / name


@pytest.mark.parametrize("name", TABLES)
def test_columns_go_by_their_names(tmp_path, name):
    rows = List(save(tmp_path, name, TABLES[name]), COLUMNS)
    found = {image: point.tolist() for image, point in rows.numbers(("y", "x")).items()}
    assert found == {"a.jpg": [2, 1], "b.jpg": [4, 3]} and not rows.bad


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "a.txt: no row in it"),
        ("a.txt", "0\nimage x y\n", "a.txt: no row in it"),
        ("a.txt", "3\na.jpg 1 2\nb.jpg 3 4\n", "a.txt: 2 rows, but its first line says '3'"),
        ("a.txt", "1\nimage x z\na.jpg 1 2\n", "line 2: a line without numbers names col"),
        ("a.csv", "image,x,z\na.jpg,1,2\n", "line 1: .* and 'z' is none of image, x, y"),
        ("a.csv", "image,x\na.jpg,1,2\n", "line 1: no column y"),
        ("a.csv", "image,x,x\na.jpg,1,2\n", "line 1: no column y"),
        ("a.csv", f"image,x,y\n{'a' * 200_000},1,2\n", "line 2: field larger than field limit"),
        ("a.txt", "a.jpg 1 2\n".encode("utf-16"), "a.txt: not a text file in UTF-8; save it as"),
    ],
)
def test_a_list_of_another_kind_is_named(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        List(save(tmp_path, name, text), COLUMNS)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("b.jpg 3", "2 columns instead of 3"),
        ("b.jpg 3 4 5", "4 columns instead of 3"),
        ("b.jpg 3 nan", "'nan' is no finite number"),
        ("b.jpg -inf 3", "'-inf' is no finite number"),
        ("b.jpg 3 1e308", "'1e308' is too large a number"),
        ("b.jpg 3 wide", "'wide' is no finite number"),
        ("b.jpg 3 4\nc.jpg 5 6\nb.jpg 4 4", "'b.jpg' is in line 2 too, otherwise"),
        ("b.jpg 3 4\nb.jpg 3 4\nb.jpg 3 5", "'b.jpg' is in line 2 too, otherwise"),
    ],
)
def test_a_row_of_no_use_costs_its_image_alone(tmp_path, row, reason):
    path = save(tmp_path, "a.txt", f"a.jpg 1 2\n{row}\n")
    rows = List(path, COLUMNS)
    found = rows.numbers(("x", "y"))
    line = 2 + row.count("\n")
    assert rows.bad == {"b.jpg": f"{path}, line {line}: {reason}"}
    assert "b.jpg" not in rows.rows and "b.jpg" not in found
    np.testing.assert_array_equal(found["a.jpg"], [1, 2])


def test_words_are_of_a_few(tmp_path):
    rows = List(save(tmp_path, "a.txt", "a.jpg 1 2\nb.jpg 3 4\n"), COLUMNS)
    assert rows.choices("x", ("1", "2")) == {"a.jpg": "1"}
    assert rows.bad["b.jpg"].endswith("a.txt, line 2: '3' is none of 1, 2")


def test_several_words_may_name_a_row_and_some_rows_be_read(tmp_path):
    path = save(tmp_path, "a.txt", "a.jpg 1 2\na.jpg 2 no\nb.jpg 1 3\nb.jpg 1 4\n")
    rows = List(path, COLUMNS, unique=2)
    assert list(rows.rows) == ["a.jpg 1", "a.jpg 2"]
    assert list(rows.bad) == ["b.jpg"]
    assert {name: y for name, (y,) in rows.numbers(("y",), ["a.jpg 1"]).items()} == {"a.jpg 1": 2}
    assert "a.jpg" not in rows.bad and rows.numbers(("y",)).keys() == {"a.jpg 1"}
    assert rows.bad["a.jpg"].endswith("line 2: 'no' is no finite number")
