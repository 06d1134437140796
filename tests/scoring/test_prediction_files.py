"""Predictions of other programs: what is read, and what is refused with file and line."""

import json

import numpy as np
import pytest

from partdisc.errors import DataError
from partdisc.scoring.prediction_files import read_points

KEYS = ["a.jpg", "b.jpg", "c.jpg"]
CSV = "image,part,y,x,score\nb.jpg,eye,1.5,2,0.25\nb.jpg,eye,3,4,0.5\n\na.jpg,tail,5,6,\n"


def save(tmp_path, text, ending=".csv"):
    path = tmp_path / f"points{ending}"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_points_are_sorted_by_score(tmp_path):
    found = read_points(save(tmp_path, CSV), KEYS)
    assert found.parts == ("eye", "tail") and found.rows == 3
    assert found.points.shape == (3, 2, 2, 2)
    np.testing.assert_array_equal(found.points[1, 0], [(3, 4), (1.5, 2)])
    np.testing.assert_array_equal(found.scores[1, 0], [0.5, 0.25])
    np.testing.assert_array_equal(found.scores[0, 1], [1, -np.inf])  # 1 where none is given.
    np.testing.assert_array_equal(found.points[0, 1, 0], (5, 6))
    assert (found.scores[2] == -np.inf).all()


def test_columns_come_in_any_order_and_number(tmp_path):
    text = "x,other,part,image,y\n2,?,7,a.jpg,1\n"
    found = read_points(save(tmp_path, "\ufeff" + text), KEYS)
    assert found.parts == ("7",)
    np.testing.assert_array_equal(found.points[0, 0, 0], (1, 2))


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_json_as_csv(tmp_path, ending):
    rows = [
        {"image": "b.jpg", "part": "eye", "point": [1.5, 2], "score": 0.25, "channel": 3},
        {"image": "b.jpg", "part": "eye", "y": 3, "x": 4, "score": 0.5},
        {"image": "a.jpg", "part": "tail", "y": 5, "x": 6},
    ]
    text = "\n\n".join(map(json.dumps, rows)) if ending == ".jsonl" else rows
    found, expected = read_points(save(tmp_path, text, ending), KEYS), CSV
    expected = read_points(save(tmp_path, expected), KEYS)
    np.testing.assert_array_equal(found.points, expected.points)
    np.testing.assert_array_equal(found.scores, expected.scores)


HEAD = "image,part,y,x,score\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column image, part, y, x"),
        ("image,part,y\n", "line 1: no column x"),
        (HEAD, "no predictions in it"),
        (HEAD + "a.jpg,eye,1,2\n", "line 2: not the 5 columns"),
        (HEAD + "a.jpg,eye,1,2,3,4\n", "line 2: not the 5 columns"),
        (HEAD + 2 * "d.jpg,eye,1,2,3\n", "line 2: 'd.jpg' is no image that the data set uses"),
        (HEAD + f"a.jpg,{'e' * 200000},1,2,3\n", "field larger than field limit"),
        (HEAD + "a.jpg,eye,one,2,3\n", "line 2: y is 'one', no finite number"),
        (HEAD + "a.jpg,eye,1,nan,3\n", "line 2: x is 'nan', no finite number"),
        (HEAD + "a.jpg,eye,1e308,2,3\n", "line 2: y is '1e308', too large a number"),
        (HEAD + "a.jpg,eye,1,-1e39,3\n", "line 2: x is '-1e39', too large a number"),
        (HEAD + "a.jpg,eye,1,2,inf\n", "line 2: score is 'inf', no finite number"),
        (HEAD + "a.jpg,,1,2,3\n", "line 2: needs the names"),
        (HEAD + 2 * "a.jpg,eye,1,2,3\n", "line 3: the same point of 'eye' in 'a.jpg' as .*line 2"),
    ],
)
def test_malformed_csv_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read_points(save(tmp_path, text), KEYS)
    assert "points.csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "ending", "message"),
    [
        ("[\n{]", ".json", "line 2: "),
        ("{}", ".json", "must hold a list"),
        ("[3]", ".json", "entry 0: not an object"),
        ('[{"image": "a.jpg", "part": "eye", "y": null, "x": 1}]', ".json", "entry 0: y is None"),
        (
            '[{"image": "a.jpg", "part": 1, "point": [1, 2, 3]}]',
            ".json",
            "entry 0: point is .1, 2, 3., not",
        ),
        (
            '[{"image": "a.jpg", "part": 1, "point": []}]',
            ".json",
            "entry 0: point is .., not .y, x",
        ),
        ('[{"image": "a.jpg", "part": 1, "point": null, "y": 1}]', ".json", "entry 0: x is None"),
        ('[{"image": 4, "part": "eye", "y": 1, "x": 1}]', ".json", "entry 0: needs the names"),
        ('{"image": "a.jpg", "part": 1, "point": [1, 2]}\n{"image"', ".jsonl", "line 2: "),
        ("", ".txt", "predictions end with .csv, .json, .jsonl"),
    ],
)
def test_malformed_json_is_named_with_its_line(tmp_path, text, ending, message):
    with pytest.raises(DataError, match=message):
        read_points(save(tmp_path, text, ending), KEYS)


def test_images_that_are_not_used_are_counted(tmp_path):
    path = save(tmp_path, HEAD + "e.jpg,eye,1,2,3\na.jpg,eye,1,2,3\nd.jpg,eye,1,2,3\n")
    found = read_points(path, KEYS)
    assert found.rows == 1
    (note,) = found.notes
    assert note.startswith("2 more are of images that the data set does not use")
    assert f"; the first, {path}, line 2: 'e.jpg'" in note


PLACED = ["train/One.jpg", "train/two.jpg", "test/two.jpg", "c.jpg"]


@pytest.mark.parametrize(
    ("name", "expected", "by_end"),
    [
        ("train/One.jpg", 0, False),
        ("train\\One.jpg", 0, False),
        ("TRAIN/one.JPG", 0, False),
        ("./train/../train/One.jpg", 0, False),
        ("One.jpg", 0, True),
        ("one.jpg", 0, True),
        ("/data/set/train/One.jpg", 0, True),
        ("C:\\set\\Train\\one.jpg", 0, True),
        ("../test/two.jpg", 2, True),
        ("images/c.jpg", 3, True),
    ],
)
def test_names_are_found_as_those_of_images_are(tmp_path, name, expected, by_end):
    other = f"{HEAD}train/two.jpg,eye,1,2,3\n{name},eye,5,6,7\n"
    found = read_points(save(tmp_path, other), PLACED)
    assert found.rows == 2 and found.points[expected, 0, 0].tolist() == [5, 6]
    assert [PLACED[expected] in note and repr(name) in note for note in found.notes] == [
        True
    ] * by_end


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("two.jpg", "; it may be train/two.jpg or test/two.jpg"),
        ("val/One.jpg", "; the nearest is train/One.jpg"),
        ("train/Onee.jpg", "; the nearest is train/One.jpg"),
        ("0815.png", ""),
    ],
)
def test_the_nearest_image_is_named(tmp_path, name, hint):
    row = f"{name},eye,5,6,7\n"
    path = save(tmp_path, HEAD + row + "c.jpg,eye,1,2,3\n")
    (note,) = read_points(path, PLACED).notes
    assert note == (
        "1 more are of images that the data set does not use; the first, "
        f"{path}, line 2: '{name}'{hint}"
    )
    with pytest.raises(DataError) as caught:
        read_points(save(tmp_path, HEAD + row), PLACED)
    assert str(caught.value).endswith(f"uses, nor are the others{hint}")


@pytest.mark.parametrize(
    "text",
    [
        "image;part;y;x\na.jpg;eye;1;2\n",
        "image\tpart\ty\tx\na.jpg\teye\t1\t2\n",
        "Image,Part,Y,X\na.jpg,eye,1,2\n",
        "image, part, y, x\na.jpg, eye, 1, 2\n",
        'X;"Y";IMAGE;"part"\n2;1;a.jpg;"eye"\n',
    ],
)
def test_tables_are_read_as_lists_are(tmp_path, text):
    found = read_points(save(tmp_path, text), KEYS)
    assert found.parts == ("eye",) and found.points[0, 0, 0].tolist() == [1, 2]


def test_names_may_hold_any_character(tmp_path):
    part = "left\u2028eye\nof it"
    for text, ending in (
        (f'image,part,y,x\na.jpg,"{part}",1,2\n', ".CSV"),
        (json.dumps({"image": "a.jpg", "part": part, "y": 1, "x": 2}), ".jsonl"),
        ('{"image": "a.jpg", "part": "left\u2028eye\\nof it", "y": 1, "x": 2}', ".jsonl"),
    ):
        assert read_points(save(tmp_path, text, ending), KEYS).parts == (part,)


@pytest.mark.parametrize(
    "row",
    [
        '{"image": "a.jpg", "part": true, "y": 1, "x": 2}',
        '{"image": "a.jpg", "part": "eye", "y": true, "x": 2}',
        f'{{"image": "a.jpg", "part": "eye", "y": 1{"0" * 400}, "x": 2}}',
        f'{{"image": "a.jpg", "part": "eye", "y": 1{"0" * 5000}, "x": 2}}',
        "[" * 200000,
    ],
)
def test_odd_json_is_an_error(tmp_path, row):
    with pytest.raises(DataError, match="points.jsonl, line 1: ") as caught:
        read_points(save(tmp_path, row, ".jsonl"), KEYS)
    # No words of Python's.
    assert not any(word in str(caught.value) for word in ("\n", "sys.", "recursion"))


def test_an_absent_file(tmp_path):
    with pytest.raises(DataError, match="gone.csv: no such file"):
        read_points(tmp_path / "gone.csv", KEYS)
