"""The page: everything in it, nothing beside it, valid, escaped, the same every time."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from foresay.reports.comparisons import compare
from foresay.reports.page import page
from foresay.reports.record import read_records
from foresay.reports.summary import summary
from foresay.reports.wording import amount
from foresay.results import append_results
from reference.example_run import RECIPE, probe_results, write_run
from reference.html_checker import Checker

PAPERS = {"https://arxiv.org/abs/1807.03748", "https://arxiv.org/abs/2104.11946"}


def page_of(*runs: Path) -> str:
    return page(read_records(runs))


def checked(*runs: Path) -> Checker:
    return Checker(page_of(*runs))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of one corpus, with other settings."""
    parent = tmp_path_factory.mktemp("runs")
    other = {**RECIPE, "model": {**RECIPE["model"], "name": "cpc", "predictions": 12}}
    return write_run(parent / "one"), write_run(parent / "<two>", recipe=other)


@pytest.fixture(scope="module")
def single(runs: tuple[Path, Path]) -> str:
    return page_of(runs[0])


@pytest.fixture(scope="module")
def both(runs: tuple[Path, Path]) -> str:
    return page_of(*runs)


def test_the_html_is_valid(single: str, both: str) -> None:
    for text in (single, both):
        ids = Checker(text).ids
        assert len(ids) == len(set(ids))


def test_nothing_is_loaded_from_elsewhere(both: str) -> None:
    outside = [(tag, link) for tag, link in Checker(both).links if not link.startswith(("#", "data:"))]
    assert {tag for tag, _ in outside} == {"a"}
    assert {link for _, link in outside} == PAPERS
    assert "@import" not in both
    assert not re.search(r"url\((?!#)", both)
    assert not re.search(r"\b(fetch|XMLHttpRequest|import)\b\s*\(", both)


def test_links_inside_the_page_lead_somewhere(both: str) -> None:
    images = Checker(both)
    targets = {link[1:] for _, link in images.links if link.startswith("#")} | set(re.findall(r"url\(#([^)]*)\)", both))
    assert targets <= set(images.ids)


def test_every_number_of_the_results_is_there(single: str) -> None:
    text = Checker(single).text
    for result in probe_results("one", 40):
        assert result.low is not None
        assert result.high is not None
        assert amount(result.value, unit="%", signed=result.metric != "accuracy") in text
        assert f"{amount(result.low, unit='%')} to {amount(result.high, unit='%')}" in text


def test_the_best_is_in_bold(single: str) -> None:
    assert re.findall(r"<td><b>([^<]*)</b></td>", single) == ["61.9"]


def test_the_summary_says_what_was_trained_on_what_for_how_long(single: str) -> None:
    said = Checker(single).text.replace("\N{NO-BREAK SPACE}", " ")
    # 40 updates of 8 windows of 1.28 s are 409.6 s of audio; at 20.48 s a second they take 20 s
    assert "one (model acpc) was trained for 40 updates of 8 windows of 1.28 s: 7 min of audio, repetitions counted, in about 20 s." in said
    assert "Linear phone probe on layer c: accuracy 61.9% (95% interval 60.7 to 63.1); gain" in said
    assert "gain over its untrained copy +21.6 points (20.4 to 22.8)." in said
    assert "For comparison: majority class 12.1%, logmel 43.1% and mfcc 45.2%." in said
    assert "unfinished" not in said


def test_the_summary_says_on_which_of_several_corpora(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", example=False)
    assert "tested on" not in summary(read_records([run]), compare(read_records([run])))
    rows = [replace(row, corpus="timit/test", data_fingerprint="2") for row in probe_results("run", 40) if row.split == "test"]
    append_results(run / "results.jsonl", rows)
    records = read_records([run])
    assert "Linear phone probe on layer c, tested on corpus/test: accuracy " in summary(records, compare(records))


def test_a_batch_by_seconds_is_reported_as_such(tmp_path: Path) -> None:
    data = {"sample_rate": 16_000, "sampler": "utterances", "seconds": 48.0, "longest": 4.0}
    records = read_records([write_run(tmp_path / "run", recipe={**RECIPE, "data": data}, results=False, example=False)])
    said = summary(records, []).replace("\N{NO-BREAK SPACE}", " ")
    assert "trained for 40 updates of 48 s, in utterances of at most 4 s: 32 min of audio" in said


def test_items_are_reported_as_such_and_images_have_no_audio(tmp_path: Path) -> None:
    data = {"sample_rate": 16_000, "sampler": "items", "batch": 16, "window": 16_000}
    audio = write_run(tmp_path / "audio", recipe={**RECIPE, "data": data}, results=False, example=False)
    images = shutil.copytree(audio, tmp_path / "images")
    metrics = images / "metrics.jsonl"
    metrics.write_text(re.sub(r'"audio_rate": [0-9.]+', '"audio_rate": 0.0', metrics.read_text()))
    said = [summary(read_records([run]), []).replace("\N{NO-BREAK SPACE}", " ") for run in (audio, images)]
    assert "trained for 40 updates of 16 items: at most 11 min of audio, repetitions counted, in about" in said[0]
    assert "trained for 40 updates of 16 items. Nothing was measured" in said[1]
    assert "audio" not in said[1]


def test_settings_that_differ_are_marked(both: str) -> None:
    marked = re.findall(r'<tr class="differs"><th scope="row">(\w+)</th>(.*?)</tr>', both)
    assert [(key, re.findall("<td>(.*?)</td>", cells)) for key, cells in marked] == [
        ("name", ["acpc", "cpc"]),
        ("predictions", ["8", "12"]),
    ]


def test_what_it_shows_cannot_break_it(single: str, both: str) -> None:
    for text in (single, both):
        for harmful in ("<b>", "<i>", "<one>", "<another>", "<two>"):
            # the only <b> is the best number
            assert harmful not in re.sub(r"<td><b>[^<]*</b></td>", "", text)
    text = Checker(both).text
    for meant in ("<two>", "speaker/<one>", "a tone & <another>", "<i>loss</i>", "<b>", "$x^2$"):
        assert meant in text


def test_it_holds_the_sound_the_pictures_and_how_to_do_it_again(single: str) -> None:
    assert 'src="data:audio/flac;base64,' in single
    assert single.count("data:image/png;base64,") >= 2 + 2 + 6  # spectrogram and alignment, two layers, six moments
    text = Checker(single).text
    for said in (
        "How alike are its frames?",
        "Alignment of predictions with the future",
        "update 20 skipped",
        "--measures probe:paper",
        "foresay pretrain one.toml",
        "arXiv:1807.03748",
        "arXiv:2104.11946",
    ):
        assert said in text


def test_a_shared_example_is_shown_once(both: str) -> None:
    assert both.count("<audio") == 1
    assert both.count("<figcaption>") == 4  # two layers of two runs


def test_the_same_folder_gives_the_same_bytes(runs: tuple[Path, Path], single: str) -> None:
    assert page_of(runs[0]) == single


def test_no_path_of_the_machine_leaves_it(runs: tuple[Path, Path], both: str) -> None:
    assert str(runs[0].parent) not in both


def test_an_unfinished_run_says_so_and_what_it_lacks(tmp_path: Path) -> None:
    text = checked(write_run(tmp_path / "young", steps=20, results=False, example=False)).text
    assert "The run is unfinished: 40 updates are planned." in text
    assert "Nothing was measured" in text
    assert "There is no example of young yet" in text


def test_a_run_that_was_fitted_has_no_updates(tmp_path: Path) -> None:
    run = write_run(tmp_path / "fitted", steps=20, results=False, example=False)
    recipe = run / "recipe.toml"
    recipe.write_text(recipe.read_text().partition("[data]")[0] + "[trainer]\nseed = 0\n")
    assert re.search(r"was fitted: \d+ steps? logged\.", checked(run).text)
    (run / "metrics.jsonl").unlink()
    assert "is fitted, not trained: it logs no updates." in checked(run).text


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    text = checked(write_run(tmp_path / "new", steps=0, results=False, example=False)).text
    assert "has not been trained yet" in text
    assert "No update of new has been logged" in text


def test_a_run_in_epochs_says_where_it_is(tmp_path: Path) -> None:
    recipe = {**RECIPE, "trainer": {"epochs": 5}}
    records = read_records([write_run(tmp_path / "slow", recipe=recipe, results=False, example=False)])
    assert "The run is unfinished: it is in epoch 1 of 5." in summary(records, [])


def test_results_without_a_training(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "measured", steps=0, example=False)
    (folder / "recipe.toml").unlink()
    text = checked(folder).text
    assert "measured holds results only" in text
    assert "measured has no recipe.toml" in text
    assert "61.9" in text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_a_browser_opens_the_file_without_a_complaint(tmp_path: Path, both: str) -> None:
    page = tmp_path / "report.html"
    page.write_text(both, encoding="utf-8")
    shot = tmp_path / "shot.png"
    command = [
        "chromium",
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command += ["--enable-logging=stderr", "--window-size=1200,2400", f"--screenshot={shot}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints
    assert shot.stat().st_size > 20_000


def test_the_commands_name_the_manifests_and_options_that_were_used(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", steps=0, example=False)
    (run / "data.toml").write_text('[train]\nmanifest = "corpora/my own/train.jsonl"\n', encoding="utf-8")
    rows = [replace(row, measure="abx", protocol="phone(max_size_group=10, max_x_across=5)") for row in probe_results("mine", 40)]
    append_results(run / "results.jsonl", rows)
    text = checked(run).text
    assert "--corpus 'corpora/my own/train.jsonl' --valid VALID.jsonl" in text
    assert "--measures probe:paper,abx:phone --option abx.max_size_group=10 --option abx.max_x_across=5" in text
