"""The figures of docs/: those of the pages are those of the files of results."""

import json

import pytest
from program import ROOT, script

DOCS = ROOT / "docs"


@pytest.fixture
def figures():
    """Import the script that fills the pages, afresh."""
    return script(DOCS / "figures.py")


def layer(precision, error, apart):
    return {
        "map_l2_box": precision, "map_l2_short_side": precision + 1, "pck_box": precision + 2,
        "map_iou": precision, "nme_peak": error + 1, "nme_mean": error, "n_fit": 7, "n_test": 5,
        "alignment": {"before": 0.3, "after": apart, "oracle": 0.05},
    }  # fmt: skip


def record(data, seed, changes, precision, **more):
    protocol = {"regression": "default", "detection": "l2", "channel_selection": "fit"}
    results = {
        "clustering": layer(30.0 + seed, 12.0, 0.2), "trained": layer(precision, 10.0, 0.1),
        "backbone": "vgg16 pool4", "random_weights": False, "n_train": 9, "protocol": protocol,
    }  # fmt: skip
    return {"data": data, "seed": seed, "changes": changes, "results": results | more}


@pytest.fixture
def filled(figures, tmp_path, monkeypatch):
    """Return a function that fills a page of one table from some records."""
    monkeypatch.setattr(figures, "FOLDER", tmp_path)
    (tmp_path / "tables").mkdir()

    def fill(words, *records):
        lines = [json.dumps(one) + "\n" for one in records]
        (tmp_path / "tables" / "net.jsonl").write_text("".join(lines))
        return figures.filled(f"before\n<!-- figures: {words} -->\nold\n<!-- end -->\nafter\n")

    return fill


def test_the_pages_have_the_figures_of_their_files(figures):
    for name in figures.PAGES:
        page = (DOCS / name).read_text()
        assert figures.filled(page) == page, "stale; run python docs/figures.py"
        assert page.count("<!-- figures:") == page.count("<!-- end -->")


def test_gains_are_differences_by_seed(filled):
    records = [record("cub", seed, {}, 40.0 + 3 * seed) for seed in range(3)]
    page = filled("gains net cub", *records)
    assert page.startswith("before\n<!-- figures: gains net cub -->\n\n| |")
    assert page.endswith("|\n\n<!-- end -->\nafter\n") and "old" not in page
    lines = page.splitlines()
    assert "| CUB: mAP box | 31.0 ± 1.0 | 43.0 ± 3.0 | +12.00 ± 2.00 | +1.3 |" in lines
    assert "| NME mean | 12.00 ± 0.00 | 10.00 ± 0.00 | -2.00 ± 0.00 | -2.8 |" in lines
    assert (
        "| landmarks apart (before 0.300, best affine 0.050) "
        "| 0.200 ± 0.000 | 0.100 ± 0.000 |  |  |" in lines
    )
    # What is filled once stays as it is.
    assert filled("gains net cub", *records[:2]) != page
    assert filled("gains net cub", *records) == page


def test_a_data_set_has_the_papers_margin_of_what_it_stands_for(filled):
    page = filled("gains net mtfl+celeba_subset", record("mtfl", 0, {}, 40.0),
                  record("celeba_subset", 0, {}, 50.0))  # fmt: skip
    assert "| MTFL, unaligned: mAP box | 30.0 | 40.0 | +10.00, one seed | +19.1 |" in page
    assert "| CelebA subset, aligned: mAP short side | 31.0 | 51.0 |" in page
    assert "| NME peak | 13.00 | 11.00 | -2.00, one seed | -1.0 |" in page


def test_the_papers_settings_are_runs_of_their_own(figures, filled):
    page = filled("gains net cub paper", record("cub", 0, {}, 40.0),
                  record("cub", 0, figures.PAPER, 33.0))  # fmt: skip
    assert "| CUB: mAP box | 30.0 | 33.0 | +3.00, one seed | +1.3 |" in page


def test_two_files_side_by_side(filled, tmp_path):
    other = tmp_path / "tables" / "other.jsonl"
    other.parent.mkdir(exist_ok=True)
    other.write_text("".join(json.dumps(record("cub", seed, {}, 50.0)) + "\n" for seed in range(3)))
    page = filled("beside net cub other", *(record("cub", n, {}, 40.0 + 3 * n) for n in range(3)))
    assert "| CUB: mAP box | 43.0 ± 3.0 | 50.0 ± 0.0 |" in page
    assert "| NME mean | 10.00 ± 0.00 | 10.00 ± 0.00 |" in page


def test_gains_of_one_change(filled):
    page = filled("gains net cub parts.kappa=30", record("cub", 0, {}, 40.0),
                  record("cub", 0, {"parts.kappa": 30.0}, 36.0))  # fmt: skip
    assert "| CUB: mAP box | 30.0 | 36.0 | +6.00, one seed | +1.3 |" in page


def test_a_table_of_the_paper_says_what_was_not_done(filled):
    page = filled("paper net cub 5", record("cub", 0, {}, 40.0))
    assert "| Ours | 28.2 | 40.0 (+11.8) | 41.0 (+12.8) |" in page
    assert "- CUB, Ours, settings of the paper: not run: not done here" in page


def test_changes_that_come_to_the_defaults_are_the_defaults(filled):
    page = filled("ablation net cub", record("cub", 0, {}, 40.0),
                  record("cub", 0, {"pools.size": 5}, 35.0))  # fmt: skip
    assert "| top-k 5 | 10.00 | 0.100 |" in page and "| top-k 15 | 10.00 | 0.100 |" in page
    assert "| top-k 20 |  |  |" in page


def test_what_a_deviation_is_worth_is_of_seed_0(figures, filled):
    records = [record("cub", seed, {}, 40.0 + seed) for seed in range(3)]
    put_back = figures.DEVIATIONS[0]
    page = filled("worth net cub net", *records, record("cub", 0, put_back.paper, 38.0),
                  record("cub", 1, put_back.paper, 20.0),
                  record("cub", 2, figures.PAPER, 30.0))  # fmt: skip
    assert "| (all of them, three seeds) | 30.0 |" in page
    assert "| (nothing, three seeds) | 41.0 ± 1.0 |" in page
    assert "| (nothing, seed 0) | 40.0 |" in page and f"| {put_back.name} | 38.0 |" in page


def test_protocols_of_one_run(filled):
    one = record("celeba_subset", 0, {"evaluation.protocols": "default,imm"}, 40.0)
    for name, error in (("clustering", 7.0), ("trained", 6.0)):
        one["results"][name]["regression"] = {
            each: {"nme_peak": error + i, "nme_mean": error + i + 0.5}
            for i, each in enumerate(("default", "imm"))
        }
    one["results"]["baselines"] = {"mean_shape": {"regression": {"default": 9.0, "imm": 9.25}}}
    page = filled("protocols net celeba_subset", one)
    assert "| `default` | 7.00 | 7.50 | 6.00 | 6.50 | 9.00 |" in page
    assert "| `imm` | 8.00 | 8.50 | 7.00 | 7.50 | 9.25 |" in page


def test_a_kind_of_table_that_there_is_not_fails(filled):
    with pytest.raises(KeyError, match="guesses"):
        filled("guesses net cub", record("cub", 0, {}, 40.0))
