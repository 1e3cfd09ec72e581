"""The command `vitrine` as a program, on the whole stack."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.model.drawing import draw
from stack.run import ROOT
from tests.e2e.conftest import Shop
from tests.pictures import PictureServer

COLOURS = ("red", "blue", "green")


@pytest.fixture
def shirts(shop: Shop, pictures: PictureServer) -> Shop:
    products = []
    for colour in COLOURS:
        file = io.BytesIO()
        draw("shirt", colour, "plain", seed=1, size=256).save(file, "PNG")
        url = pictures.add(f"/{colour}.png", file.getvalue())
        products.append({"id": colour, "name": f"{colour} shirt", "image_url": url, "price": 20})
    accepted = shop.call("POST", "/index-products", 202, json={"products": products})
    shop.finished(accepted["job_id"])
    return shop


def vitrine(shop: Shop, *arguments: str, key: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vitrine", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "client"),
            "VITRINE_URL": shop.stack.api_url,
            "VITRINE_KEY": key or shop.key,
            "COLUMNS": "200",
        },
        cwd=shop.stack.data_dir,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_searches_follows_jobs_and_evaluates(shirts: Shop, tmp_path: Path) -> None:
    found = vitrine(shirts, "search", "red", "shirt", "--top", "2", "--price-max", "20")
    assert found.returncode == 0, found.stderr
    assert "red shirt" in found.stdout
    listed = vitrine(shirts, "jobs", "list", "--json")
    job_id = json.loads(listed.stdout)["jobs"][0]["job_id"]
    shown = vitrine(shirts, "jobs", "show", job_id, "--wait")
    assert (shown.returncode, "3 indexed" in shown.stdout) == (0, True), shown.stdout

    ratings, run = tmp_path / "ratings.csv", tmp_path / "run.json"
    rows = [
        f"{asked} shirt,{rated},{3 * (asked == rated)}" for asked in COLOURS for rated in COLOURS
    ]
    ratings.write_text("\n".join(["query,product_id,rating", *rows]))
    assert vitrine(shirts, "evaluate", str(ratings), "--json", str(run)).returncode == 0
    totals = json.loads(run.read_text())["totals"]
    assert {name: total["mean"] for name, total in totals.items()} == {
        "nDCG@10": 1,
        "nDCG@10, rated only": 1,
        "recall@100": 1,
        "empty answers": 0,
    }
    compared = vitrine(shirts, "evaluate", str(ratings), "--compare", str(run))
    assert "no query got better\nno query got worse" in compared.stdout


def test_a_strange_key_and_a_refused_search_have_their_exit_codes(shop: Shop) -> None:
    refused = vitrine(shop, "search", "shirt", key="nobodys")
    assert (refused.returncode, "VITRINE_KEY" in refused.stderr) == (77, True), refused.stderr
    wrong = vitrine(shop, "search", "shirt", "--price-min", "2", "--price-max", "1")
    assert (wrong.returncode, "price" in wrong.stderr) == (65, True), wrong.stderr
