"""A detector in a file: what is loaded is what was saved, and errors that say what to do."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
from detectors import small_detector
from PIL import Image

import partdisc
from partdisc.detector import Source, archive, keep, load
from partdisc.detector.files import NAME, TABLE
from partdisc.errors import ConfigError, DataError, WeightsError, WorkdirError
from partdisc.export.pictures import Extras, Pictures
from partdisc.workdir import read_arrays


@pytest.fixture
def detector():
    return small_detector()


def test_what_is_loaded_predicts_the_same(tmp_path, detector, rng):
    detector.save(tmp_path / "birds.npz")
    loaded = load(tmp_path / "birds.npz")
    for field in ("backbone", "framing", "layer", "settings", "batch", "parts"):
        assert getattr(loaded, field) == getattr(detector, field), field
    assert loaded.choices.keys() == detector.choices.keys()
    for count, one in detector.choices.items():
        assert loaded.choices[count].parts == one.parts
        for array, other in zip(loaded.choices[count].discriminant, one.discriminant, strict=True):
            np.testing.assert_array_equal(array, other)
    assert loaded.listed == detector.listed
    picture = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    (one,), (other,) = detector.predict([picture]), loaded.predict([picture])
    assert one.parts == other.parts and one.detections == other.detections
    assert one.object == other.object and one.object.facing != 0.0


def test_names_of_the_table_count_by_channels(tmp_path, detector):
    keep(tmp_path, detector)
    rows = (tmp_path / TABLE).read_text().splitlines()
    rows[2] = rows[2].replace("2,,", "2,left wing,", 1)
    (tmp_path / TABLE).write_text("\n".join(rows) + "\n")
    loaded = partdisc.load(tmp_path)
    assert [part.title for part in loaded.parts] == ["part 1", "left wing", "part 3"]
    # They are kept when the same parts are written again, and are of no other parts.
    keep(tmp_path, detector)
    assert "left wing" in (tmp_path / TABLE).read_text()
    assert [part.name for part in load(tmp_path).with_parts(2).parts] == ["", ""]
    keep(tmp_path, detector.with_parts(2))
    assert "left wing" not in (tmp_path / TABLE).read_text()
    # They wait in the file, and come back with their parts; a name that is deleted is gone.
    kept = keep(tmp_path, detector)
    assert [part.title for part in kept.parts] == ["part 1", "left wing", "part 3"]
    table = (tmp_path / TABLE).read_text()
    (tmp_path / TABLE).write_text(table.replace("left wing", ""))
    keep(tmp_path, detector)
    assert not any(part.name for part in partdisc.load(tmp_path).parts)


def of_channels(detector, change):
    """Return the same detector, its parts made of other channels."""
    choices = {
        count: one._replace(
            parts=tuple(part._replace(channels=change(part.channels)) for part in one.parts)
        )
        for count, one in detector.choices.items()
    }
    return dataclasses.replace(detector, choices=choices, chosen=choices[len(detector.parts)])


@pytest.mark.parametrize("named", [[], [1], [0, 2], [0, 1, 2]])
def test_names_of_parts_that_are_no_more_are_said(tmp_path, detector, capsys, named):
    keep(tmp_path, detector)
    header, *rows = (tmp_path / TABLE).read_text().splitlines()
    rows = [
        row.replace(",,", f",NAME {place},", 1) if place in named else row
        for place, row in enumerate(rows)
    ]
    (tmp_path / TABLE).write_text("\n".join([header, *rows]) + "\n")
    keep(tmp_path, detector)
    assert not capsys.readouterr().out
    keep(tmp_path, of_channels(detector, lambda channels: (*channels, 99)))
    said = capsys.readouterr().out
    for place, part in enumerate(detector.parts):
        told = f"NAME {place} (channels {' '.join(map(str, part.channels))})"
        assert (told in said) == (place in named)
    assert said.count("\n") == bool(named) and "NAME" not in (tmp_path / TABLE).read_text()


def test_names_that_another_number_of_parts_hides_are_said(tmp_path, detector, capsys):
    keep(tmp_path, detector)
    table = (tmp_path / TABLE).read_text()
    for id_, name in ((1, "head"), (2, "left wing")):
        table = table.replace(f"\n{id_},,", f"\n{id_},{name},", 1)
    (tmp_path / TABLE).write_text(table)
    capsys.readouterr()
    keep(tmp_path, detector)
    assert not capsys.readouterr().out
    hidden = {
        name
        for part, name in zip(detector.parts, ("head", "left wing"), strict=False)
        if part.channels not in {one.channels for one in detector.with_parts(2).parts}
    }
    keep(tmp_path, detector.with_parts(2))
    said = capsys.readouterr().out
    assert hidden and all(name in said for name in hidden) and said.count("\n") == 1
    assert f"config.parts.wanted=3 has {len(hidden)} of them" in said
    # It is said once: the table has them no more.
    keep(tmp_path, detector.with_parts(2))
    assert not capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"import partdisc", b"\x93NUMPY", b"PK", "array"])
def test_a_file_that_is_no_detector_is_one_line(tmp_path, content):
    path = tmp_path / "other.npz"
    np.savez(path, a=1) if content == "array" else path.write_bytes(content)
    with pytest.raises(WorkdirError, match=r"other\.npz: no detector, or damaged; name the folder"):
        load(path)


def test_no_file_can_be_written_where_a_folder_is(tmp_path, detector):
    with pytest.raises(WorkdirError, match=r"no file can be written there \(Is a directory\)"):
        detector.save(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(WorkdirError, match="no file can be written there"):
        detector.save(tmp_path / "file" / NAME)


def test_a_table_that_is_none_is_one_line(tmp_path, detector):
    keep(tmp_path, detector)
    (tmp_path / TABLE).write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"parts\.csv.*name and channels"):
        load(tmp_path)


def test_another_number_of_parts(detector):
    assert len(detector.with_parts(2).parts) == 2 and len(detector.parts) == 3
    with pytest.raises(ConfigError, match="4; allowed: 2 to 3"):
        detector.with_parts(4)
    with pytest.raises(ConfigError, match="has none"):
        dataclasses.replace(detector, choices={}).with_parts(2)


def test_no_detector_a_damaged_one_and_one_of_another_version(tmp_path, detector):
    with pytest.raises(WorkdirError, match=r"there is no detector.*--mode=train"):
        load(tmp_path)
    detector.save(tmp_path / NAME)
    whole = (tmp_path / NAME).read_bytes()
    for cut in (0, 20, len(whole) // 2, len(whole) - 1):
        (tmp_path / NAME).write_bytes(whole[:cut])
        with pytest.raises(WorkdirError, match="damaged"):
            load(tmp_path)
    detector.save(tmp_path / NAME)
    arrays = read_arrays(tmp_path / NAME)
    about = json.loads(str(arrays["about"])) | {"format": 99}
    np.savez(tmp_path / NAME, **arrays | {"about": json.dumps(about)})
    with pytest.raises(WorkdirError, match="format 99"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp"])
def test_it_reads_photos_as_large_as_its_training_did(tmp_path, detector, rng, kind):
    photo = tmp_path / f"photo.{kind}"
    Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(photo)
    for most in (60 * 80, 60 * 80 - 1):
        framing = detector.framing._replace(max_pixels=most)
        dataclasses.replace(detector, framing=framing).save(tmp_path / NAME)
        kept = load(tmp_path)
        assert kept.framing.max_pixels == most
        pictures = Pictures(tmp_path / "out", kept, Extras(overlays=True), None)
        prediction = next(detector.predict([photo]))
        for look in (
            lambda kept=kept: list(kept.predict([photo])),
            lambda kept=kept: kept.maps(photo),
            lambda pictures=pictures, found=prediction: pictures.show(
                0, Source("photo", photo), pathlib.PurePath("photo.png"), found
            ),
        ):
            if most == 60 * 80:
                look()
                continue
            with pytest.raises(DataError, match="60 x 80: more than 4,799 pixels"):
                look()


def flips(whole):
    """Yield the file with one bit changed in the flags, methods, sizes of its table of contents."""
    start = int.from_bytes(whole[-6:-2], "little")
    for place in (*range(start, start + 46, 2), len(whole) - 12, len(whole) - 6):
        for bit in (1, 64):
            changed = bytearray(whole)
            changed[place] ^= bit
            yield bytes(changed)


def test_a_damaged_detector_is_one_line_and_made_again(tmp_path, detector):
    keep(tmp_path, detector)
    whole = (tmp_path / NAME).read_bytes()
    refused = 0
    for changed in flips(whole):
        (tmp_path / NAME).write_bytes(changed)
        try:
            archive.read(tmp_path / NAME)
        except WorkdirError as error:
            refused += 1
            assert "damaged" in str(error) and "run --mode=evaluate" in str(error)
            keep(tmp_path, detector)
            assert (tmp_path / NAME).read_bytes() == whole
    assert refused > 20


@pytest.mark.parametrize("about", ["[1]", "{", "{}", '{"format": 2}', '{"format": 2, "batch": 1}'])
def test_a_description_that_is_none_is_one_line(tmp_path, detector, about):
    detector.save(tmp_path / NAME)
    np.savez(tmp_path / NAME, **read_arrays(tmp_path / NAME) | {"about": about})
    with pytest.raises(WorkdirError, match="damaged|of format None"):
        load(tmp_path)
    keep(tmp_path, detector)
    assert load(tmp_path).parts == detector.parts


def test_other_weights_are_refused(tmp_path, detector):
    other = dataclasses.replace(detector, weights=detector.weights._replace(digest="another"))
    other.save(tmp_path / NAME)
    with pytest.raises(WeightsError, match="made with random, seed 0"):
        load(tmp_path)


def test_a_write_that_fails_loses_neither_detector_nor_names(tmp_path, detector, monkeypatch):
    keep(tmp_path, detector)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    for write in (lambda: detector.save(tmp_path / NAME), lambda: keep(tmp_path, detector)):
        with pytest.raises(OSError, match="full"):
            write()
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
