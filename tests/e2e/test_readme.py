"""The README's tour: its commands as they stand, run by a shell, answer what it shows."""

import io
import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from demo.catalogue import catalogue
from tests.e2e.conftest import Shop
from tests.pictures import PictureServer

ROOT = Path(__file__).parents[2]
TOUR = (
    (ROOT / "README.md").read_text().partition("## A tour in five minutes")[2].partition("\n## ")[0]
)
BLOCKS = re.findall(r"```(sh|json)\n(.*?)```", TOUR, re.DOTALL)
OF_ONE_RUN = {
    "job_id", "status_url", "created_at", "started_at", "next_try_at", "execution_time_ms",
    "image_url", "generation",
}  # fmt: skip
WITH_KEY = 'curl() { command curl -sS --max-time 40 -H "Authorization: Bearer $KEY" "$@"; }\n'


def documents(text: str) -> list[Any]:
    """JSON documents, one after the other."""
    found, at, decoder = [], 0, json.JSONDecoder()
    while match := re.compile(r"\s*(?=\S)").match(text, at):
        document, at = decoder.raw_decode(text, match.end())
        found.append(document)
    return found


def comparable(document: Any) -> Any:
    """Without what differs from run to run."""
    if isinstance(document, dict):
        return {
            key: "…" if key in OF_ONE_RUN else comparable(value) for key, value in document.items()
        }
    if isinstance(document, list):
        return [comparable(each) for each in document]
    return round(document, 3) if isinstance(document, float) else document


@pytest.fixture
def environment(shop: Shop, pictures: PictureServer) -> dict[str, str]:
    file = io.BytesIO()
    catalogue(1, "")[0].picture().save(file, "PNG")
    pictures.add("/prod_001.png", file.getvalue())
    vitrine = f"{shop.stack.api_url}/api/v1"
    return {**os.environ, "KEY": shop.key, "VITRINE": vitrine, "PICTURES": pictures.url}


def run(commands: str, environment: dict[str, str], folder: Path) -> list[Any]:
    ran = subprocess.run(
        ["/bin/bash", "-euc", WITH_KEY + commands],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return documents(ran.stdout)


def test_each_command_of_the_tour_answers_what_is_shown(
    environment: dict[str, str], tmp_path: Path
) -> None:
    job = ""
    for number, (language, commands) in enumerate(BLOCKS):
        if language == "json":
            continue
        follows_job = "JOB=" in commands
        if follows_job:
            time.sleep(2)  # a missing picture is looked for again after 0.2 s here, not 30
            commands = re.sub("JOB=[0-9a-f]+", f"JOB={job}", commands)  # noqa: PLW2901
            commands = commands.replace("status=pending", "status=failed")  # noqa: PLW2901
        answers = run(commands, environment, tmp_path)
        assert answers
        assert not any("code" in answer for answer in answers), answers
        job = answers[0].get("job_id", job)
        after, shown = BLOCKS[number + 1] if number + 1 < len(BLOCKS) else ("", "")
        if after == "json" and follows_job:
            told = documents(shown)
            assert [each.keys() for each in answers] == [each.keys() for each in told]
            assert answers[1]["items"][0].keys() == told[1]["items"][0].keys()
        elif after == "json":
            assert comparable(answers) == comparable(documents(shown))
