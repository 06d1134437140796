"""The tables of the paper: what is run once, what is reused, and how figures are written."""

import csv
import io
import math
import pathlib
import runpy

import numpy as np
import pytest

from partdisc.config import base_config, flatten
from partdisc.errors import ConfigError, DataError
from partdisc.tables import entries, layout, make_table, sweep
from partdisc.tables.entries import Figures
from partdisc.tables.paper import CATEGORIES, DATASETS, TABLES
from partdisc.tables.sweep import Doing, Outcome, config_of, run_of, runs_of
from partdisc.validation import validate
from partdisc.workdir import Workdir, read_json, write_json

# Table 5 without the row that another run makes.
DEFAULTS = TABLES[5]._replace(rows=TABLES[5].rows[:2])


def results(precision=50.0, error=6.0, **changes):
    layer = {
        "map_iou": precision, "map_vsp": precision, "map_l2_box": precision,
        "map_l2_short_side": precision, "nme_peak": error, "nme_mean": error,
        "n_fit": 7, "n_test": 5,
    }  # fmt: skip
    return {
        "clustering": {**layer, "map_iou": precision - 10, "nme_peak": error + 1},
        "trained": layer, "backbone": "vgg16 pool4", "random_weights": False, "n_train": 9,
        "protocol": {"regression": "default", "detection": "iou", "channel_selection": "fit"},
        **changes,
    }  # fmt: skip


def doing(train):
    """Do runs by a function, on data that never change."""
    return Doing(lambda made, path: "the data", train)


def averages(rows, columns):
    return {row.name: np.mean([row.published[column] for column in columns]) for row in rows}


def test_published_figures_average_as_the_paper_prints():
    found = averages(TABLES[1].rows[:3], CATEGORIES)
    # The paper prints 29.7 for the first, which its own figures contradict.
    assert found == pytest.approx(
        {"Clustering": 30.33, "MaskRegularized": 33.55, "Ours": 37.75}, abs=0.01
    )
    top_k = averages(TABLES[7].rows[:4], CATEGORIES)
    expected = {"5": 35.0, "10": 37.6, "15": 37.8, "20": 37.2}
    assert top_k == pytest.approx(expected, abs=0.06)
    others = averages(TABLES[7].rows[4:], CATEGORIES)
    expected = {
        "affine": 37.6, "translation": 37.5, "homography": 36.1, "without": 34.7,
        "0": 37.6, "1": 37.6, "2": 38.2,
    }  # fmt: skip
    assert others == pytest.approx(expected, abs=0.11)


@pytest.mark.parametrize("number", TABLES)
def test_every_run_of_every_table_has_a_valid_config(number):
    table = TABLES[number]
    for data in {*table.columns, *DATASETS}:
        for run in runs_of(table, (data,), (0,)):
            if data == "shapes" and ("clusters.kind", "nmf") in run.changes:
                with pytest.raises(ConfigError, match="backbone.center"):
                    config_of(base_config(), run, {})
                continue
            made = config_of(base_config(), run, {})
            assert flatten(made).keys() == flatten(base_config()).keys()


def test_published_figures_are_those_of_the_paper():
    def rows(number):
        return {row.name: row.published for row in TABLES[number].rows if row.published}

    def of(number, *names):
        return [tuple(rows(number)[name].values()) for name in names]

    assert of(1, "Clustering", "MaskRegularized", "Ours") == [
        (16.7, 54.6, 28.7, 32.2, 32.2, 17.6),
        (18.7, 56.9, 37.4, 29.4, 37.9, 21.0),
        (18.7, 66.7, 46.6, 35.5, 39.6, 19.4),
    ]
    assert of(2, "Clustering", "Ours") == [(71.8, 92.6), (90.9, 97.9)]
    assert of(3, "Clustering", "SCOPS", "Huang & Li", "Zhang et al., structure", "Ours") == [
        (13.8, 6.0),
        (15.0,),
        (8.4,),
        (3.15,),
        (6.3, 5.0),
    ]
    assert of(4, "MTCNN, supervised", "Thewlis et al., frames", "Ours") == [(5.39,), (5.8,), (4.9,)]
    assert of(5, "Clustering", "Ours") == [(26.9,), (28.2,)]
    assert of(6, "Clustering", "Huang & Li", "Ours")[::2] == [(13.9,), (11.1,)]
    assert of(8, "CelebA", "MAFL") == [(6.1, 5.0), (7.1, 4.9)]


def test_the_ablation_shares_its_runs():
    runs = runs_of(TABLES[7], ("car",), (0,))
    assert len(runs) == 9  # 11 rows, of which top-k 10, affine and radius 0 are one.
    assert len(runs_of(TABLES[7], ("car", "bus"), (0, 1))) == 36


def test_the_smaller_training_set_is_that_of_the_data():
    changes = [dict(run.changes) for run in runs_of(TABLES[8], ("celeba", "celeba_subset"), (0,))]
    assert changes == [{}, {"data.splits": "mafl"}, {}, {"data.train_subset": 235}]


@pytest.mark.parametrize(
    ("data", "file", "argument"),
    [
        ("celeba", "celeba", "official"), ("celeba_wild", "celeba", "official,wild"),
        ("mafl", "celeba", "mafl"), ("mafl_wild", "celeba", "mafl,wild"),
        ("celeba_scops", "celeba", "scops,wild"), ("celeba_subset", "celeba", "subset"),
        ("mtfl", "mtfl", None), ("cub", "cub", "full"), ("cub_cropped", "cub", "cropped"),
        ("car_parts", "car_parts", None), ("shapes", "demo", None),
        *((category, "vehicle_part", category) for category in CATEGORIES),
    ],
)  # fmt: skip
def test_a_column_is_the_configuration_of_its_file(data, file, argument):
    path = pathlib.Path(__file__).parents[2] / "configs" / f"{file}.py"
    module = runpy.run_path(str(path))
    wanted = module["get_config"](*filter(None, [argument]))
    assert flatten(config_of(base_config(), run_of(data, {}, 0), {})) == flatten(wanted)


def test_a_column_stands_for_what_its_table_has():
    found = {}
    for number in (3, 4):
        table = TABLES[number]
        outcomes = {run: Outcome(results()) for run in runs_of(table, ("celeba_subset",), (0,))}
        found[number] = layout.render(table, number, ("celeba_subset",), outcomes, (0,))["txt"]
    assert "stands for CelebA, aligned of the paper" in found[3] and "5.33" in found[3]
    assert "stands for MAFL, aligned of the paper" in found[4] and "15.84" in found[4]


def test_what_the_user_set_wins():
    run = run_of("cub", {"pools.size": 5}, 3)
    plain = config_of(base_config(), run, {})
    assert (plain.train.steps, plain.pools.size, plain.seed) == (400, 5, 3)
    made = config_of(base_config(), run, {"train.steps": 7, "backbone.name": "googlenet"})
    assert (made.train.steps, made.pools.size, made.backbone.name) == (7, 5, "googlenet")
    # But a row stays what it is.
    assert config_of(base_config(), run, {"pools.size": 9}).pools.size == 5


def test_a_sweep_takes_up_what_an_earlier_one_left(tmp_path):
    config, done = base_config(), []

    def train(made, path):
        done.append((made.seed, made.pools.size, path.name))
        if len(done) == 2:
            raise KeyboardInterrupt
        write_json(path / "results.json", results(precision=made.seed))

    runs = runs_of(DEFAULTS, ("cub",), (0, 1, 2))
    with pytest.raises(KeyboardInterrupt):
        sweep.sweep(config, runs, tmp_path, {}, doing(train))
    outcomes = sweep.sweep(config, runs, tmp_path, {}, doing(train))
    assert [seed for seed, *_ in done] == [0, 1, 1, 2]
    assert [outcomes[run].results["trained"]["map_iou"] for run in runs] == [0, 1, 2]
    # A kept result says what was run.
    sweep.sweep(config, [run_of("cub", {"pools.size": 9}, 1)], tmp_path, {}, doing(train))
    kept = map(read_json, sorted((tmp_path / "results").glob("cub-1-*")))
    changes = {str(each.pop("changes")): each for each in kept}
    assert changes == dict.fromkeys(
        ["{}", "{'pools.size': 9}"], {"data": "cub", "seed": 1, "results": results(precision=1)}
    )
    done.pop()
    # Other seeds and another table's number change nothing of what was done.
    config.table.seeds, config.table.number = "0,1,,2,3,", 6
    sweep.sweep(config, runs, tmp_path, {}, doing(train))
    assert len(done) == 4
    sweep.sweep(config, runs[:1], tmp_path, {"train.steps": 3}, doing(train))
    assert len(done) == 5
    # Nor are the data that an earlier sweep saw those of today.
    sweep.sweep(config, runs[:2], tmp_path, {}, Doing(lambda made, path: "more images", train))
    assert len(done) == 7


def test_a_run_without_its_data_costs_that_run_alone(tmp_path):
    def train(made, path):
        if made.data.name == "cub":
            raise DataError("images.txt: no such file")
        write_json(path / "results.json", results())

    runs = runs_of(DEFAULTS, ("cub", "mtfl"), (0,))
    outcomes = sweep.sweep(base_config(), runs, tmp_path, {}, doing(train))
    reason, nothing = (outcomes[run].reason for run in runs)
    assert reason.startswith("images.txt: no such file; its files are images/, images.txt")
    assert reason.endswith("from www.vision.caltech.edu/datasets/cub_200_2011") and not nothing
    text = layout.render(DEFAULTS, 5, ("cub", "mtfl"), outcomes, (0,))["txt"]
    assert "CUB: not run: images.txt: no such file" in text
    assert "50.0" in text


def test_a_row_that_its_data_rules_out_is_named():
    table, seeds = TABLES[1], (0,)
    outcomes = {
        run: Outcome(None, "it cannot be")
        if ("clusters.kind", "nmf") in run.changes
        else Outcome(results())
        for run in runs_of(table, ("car",), seeds)
    }
    text = layout.render(table, 1, ("car",), outcomes, seeds)["txt"]
    assert "car, DFF, 20 factors: not run: it cannot be" in text


@pytest.fixture
def rendered():
    """Table 1 on two data sets, three seeds; the clustering start is 10 below."""
    table, datasets, seeds = TABLES[1], ("car", "car_parts"), (0, 1, 2)
    outcomes = {
        run: Outcome(results(precision=40 + run.seed + 2 * (run.data == "car")))
        for run in runs_of(table, datasets, seeds)
    }
    return layout.render(table, 1, datasets, outcomes, seeds)


def test_text_and_markdown_show_the_same_cells(rendered):
    for ending in ("txt", "md"):
        line = next(one for one in rendered[ending].splitlines() if "Ours" in one)
        cells = [one.strip() for one in line.strip("| ").replace("  ", "|").split("|")]
        assert [one for one in cells if one][:3] == ["Ours", "35.5", "43.0 ± 1.0 (+7.5)"]
    assert "average: paper" in rendered["txt"] and "42.0 ± 1.0" in rendered["txt"]
    assert "Ours - Clustering" in rendered["txt"] and "+10.00 ± 0.00" in rendered["txt"]
    # In these outcomes the trained layer of either objective has the same precision.
    line = next(one for one in rendered["txt"].splitlines() if "Ours - MaskRegularized" in one)
    assert "+6.1" in line and "none (+0.00 ± 0.00)" in line
    assert "car parts stands for car of the paper" in rendered["txt"]
    assert "9 train, 7 fit, 5 test images" in rendered["txt"]
    assert "mean ± standard deviation over seeds 0, 1, 2" in rendered["txt"]


def test_latex_escapes_and_has_as_many_cells_in_each_row(rendered):
    body = rendered["tex"]
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicol" not in line]
    assert len({line.count("&") for line in rows}) == 1
    assert r"\%" in body and "±" not in body and "k-means &" in body


def test_csv_holds_every_seed(rendered):
    rows = list(csv.DictReader(io.StringIO(rendered["csv"])))
    row = next(one for one in rows if (one["row"], one["data"]) == ("Ours", "car"))
    assert [float(row[f"seed {seed}"]) for seed in (0, 1, 2)] == [42, 43, 44]
    assert (float(row["mean"]), float(row["sd"]), float(row["published"])) == (43, 1, 35.5)
    assert (row["n_train"], row["n_fit"], row["n_test"]) == ("9", "7", "5")
    average = next(one for one in rows if one["data"] == "car+car_parts" and one["row"] == "Ours")
    assert float(average["mean"]) == 42


def test_rows_that_nobody_filled_are_left_out():
    table, seeds = TABLES[3], (0,)
    outcomes = {run: Outcome(results()) for run in runs_of(table, ("celeba",), seeds)}
    text = layout.render(table, 3, ("celeba",), outcomes, seeds)["txt"]
    assert "Thewlis" in text and "SCOPS" not in text and "seed 0 alone" in text


def test_differences_within_the_spread_are_none():
    def figures(*values):
        return Figures(dict(enumerate(values)), math.nan)

    assert entries.difference_text(figures(1.0, 1.2)) == "+1.10 ± 0.14"
    assert entries.difference_text(figures(-1.0, 1.2)) == "none (+0.10 ± 1.56)"
    assert entries.difference_text(figures(0.5)) == "+0.50, one seed"
    assert entries.difference_text(figures()) == ""
    pair = entries.difference(figures(1.0, 5.0), figures(0.5, 4.0))
    assert pair.by_seed == {0: 0.5, 1: 1.0}
    assert entries.difference(figures(1.0), figures()).by_seed == {}
    # Only seeds that both have are compared.
    later = Figures({1: 7.0, 2: 9.0}, math.nan)
    assert entries.difference(later, figures(1.0, 5.0)).by_seed == {1: 2.0}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data", "car+boat", "config.table.data is 'car\\+boat'; allowed, by '\\+': aeroplane"),
        ("seeds", "0,x", "config.table.seeds is '0,x'"),
        ("seeds", "1,1", "different whole numbers"),
        ("seeds", "0,00", "different whole numbers"),
        ("seeds", "x", "config.table.seeds is 'x'"),
        ("seeds", "", "config.table.seeds is ''"),
        ("seeds", ",", "config.table.seeds is ','"),
    ],
)
def test_what_a_table_cannot_be_asked_for(tmp_path, key, value, message):
    config = base_config()
    config.table[key] = value
    validate(config)
    with Workdir(tmp_path / "table") as workdir, pytest.raises(ConfigError, match=message):
        make_table(config, workdir, {}, None)


def test_the_seed_of_a_run_is_not_that_of_a_table(tmp_path):
    with Workdir(tmp_path / "table") as workdir, pytest.raises(ConfigError, match="table.seeds"):
        make_table(base_config(), workdir, {"seed": 3}, None)


def test_unlike_figures_are_not_averaged():
    groups = entries.columns_of(TABLES[7], ("cub", "car_parts"))
    assert [group[0].heading for group in groups] == ["CUB", "car parts"]
    assert entries.columns_of(TABLES[7], ("car", "bus"))[-1][0].heading == "average"


def test_what_reads_no_image_and_training_sets_are_named():
    table, seeds = TABLES[8], (0,)
    outcomes = {
        run: Outcome(results(n_train=235 if run.changes else 2000, baselines={
            "mean_shape": {"nme": 8.25}
        }))
        for run in runs_of(table, ("celeba_subset",), seeds)
    }  # fmt: skip
    written = layout.render(table, 8, ("celeba_subset",), outcomes, seeds)
    line = next(one for one in written["txt"].splitlines() if "mean shape" in one)
    assert line.split()[-2:] == ["8.25", "8.25"]
    assert "2000 or 235 train" in written["txt"]
    rows = {row["row"]: row for row in csv.DictReader(io.StringIO(written["csv"]))}
    assert (rows["CelebA"]["n_train"], rows["MAFL"]["n_train"]) == ("2000", "235")
    assert rows["MAFL"]["protocol"] == "protocol default"


def test_a_seed_that_failed_leaves_its_place_empty():
    table, seeds = TABLES[5], (0, 1)
    outcomes = {
        run: Outcome(results()) if run.seed else Outcome(None, "the disk was full")
        for run in runs_of(table, ("cub",), seeds)
    }
    written = layout.render(table, 5, ("cub",), outcomes, seeds)
    row = next(csv.DictReader(io.StringIO(written["csv"])))
    assert (row["seed 0"], row["seed 1"]) == ("", "50.0")
    assert "CUB, Ours: not run: the disk was full" in written["txt"]


def test_what_a_protocol_leaks_is_said():
    table, seeds = TABLES[5], (0,)
    protocol = {"regression": "eye_leak", "detection": "l2", "channel_selection": "test"}
    outcomes = {
        run: Outcome(results(protocol=protocol, baselines={}))
        for number in (5, 6) for run in runs_of(TABLES[number], ("cub",), seeds)
    }  # fmt: skip
    text = layout.render(table, 5, ("cub",), outcomes, seeds)["txt"]
    assert "channels chosen on test (an upper bound)" in text
    text = layout.render(TABLES[6], 6, ("cub",), outcomes, seeds)["txt"]
    assert "protocol eye_leak (leaks the answer)" in text


def test_a_table_is_printed_and_written(tmp_path, capsys):
    def train(made, path):
        write_json(path / "results.json", results())

    config = base_config()
    config.table.number, config.table.data = 6, "shapes"
    with Workdir(tmp_path / "table") as workdir:
        make_table(config, workdir, {"table.number": 6}, doing(train))
    printed = capsys.readouterr().out
    assert "Table 6: landmark regression on CUB" in printed
    for ending in layout.FORMATS:
        text = (tmp_path / "table" / f"table.{ending}").read_text()
        assert "Ours" in text
        assert ending != "txt" or text in printed
