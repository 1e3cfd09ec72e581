"""`vitrine jobs`: what became of the changes that were pushed."""

import json
import sys
from typing import Any, Final

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vitrine.api import LONGEST_WAIT_SECONDS, Api
from vitrine.faults import ExitCode

_FAILURES_SHOWN: Final = "20"


@click.group()
def jobs() -> None:
    """Shows what became of the changes that were pushed."""


@jobs.command("list")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
@click.pass_obj
def list_jobs(api: Api, limit: int, as_json: bool) -> None:
    """Lists jobs, newest first."""
    answer = api.call("GET", "/jobs", parameters={"limit": str(limit)})
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    table = Table(box=SIMPLE_HEAD, header_style="dim", border_style="dim")
    for heading in ("job", "state", "begun"):
        table.add_column(heading, no_wrap=True)
    for heading in ("received", "failed", "pending"):
        table.add_column(heading, justify="right")
    for job in answer["jobs"]:
        counts = job["counts"]
        cells = (job["job_id"], job["state"], job["created_at"][:19])
        numbers = (counts["received"], counts["failed"], counts["pending"])
        table.add_row(*map(Text, (*cells, *map(str, numbers))))
    Console(highlight=False).print(table)


@jobs.command()
@click.argument("job_id")
@click.option("--wait", is_flag=True, help="Wait for the job's end.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
@click.pass_obj
def show(api: Api, job_id: str, wait: bool, as_json: bool) -> None:
    """Shows one job and its first failures; exit code 1 if there are any."""
    job = api.job(job_id, LONGEST_WAIT_SECONDS if wait else 0)
    while wait and job["finished_at"] is None:
        job = api.job(job_id, LONGEST_WAIT_SECONDS)
    if as_json:
        click.echo(json.dumps(job, ensure_ascii=False))
    else:
        _print_job(api, job)
    if job["counts"]["failed"]:
        sys.exit(ExitCode.SOME_FAILED)


def _print_job(api: Api, job: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in job["counts"].items() if count)
    click.echo(f"{job['job_id']}: {job['state']} ({job['progress']:.0%}); {counts}")
    if not job["counts"]["failed"]:
        return
    items = api.call(
        "GET",
        f"/jobs/{job['job_id']}/items",
        parameters={"status": "failed", "limit": _FAILURES_SHOWN},
    )
    for item in items["items"]:
        click.echo(f"  {item['product_id']}: {item['code']}: {item['message']}")
    if items["next_cursor"]:
        click.echo("  …")
