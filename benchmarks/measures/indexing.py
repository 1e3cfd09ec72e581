"""Pictures indexed through HTTP, Celery and Qdrant, beside plain loops over the same pictures."""

import time
from typing import Final

from benchmarks import counters
from benchmarks.bench import Bench, seconds_since_1970
from benchmarks.measures.plain_loops import Loop, naive, open_clip_files, own_files
from benchmarks.results import Measured, Row

WARM_UP: Final = 32
"""Pictures that each loop and the service embed first: first times are slower."""


def measure(bench: Bench) -> Measured:
    """Each round runs everything once, one after the other; ratios are those of one round."""
    settings, sizes = bench.settings_with_servers, bench.sizes
    paths = [bench.files[at % len(bench.files)] for at in range(sizes.pictures)]
    service: list[float] = []
    seconds: dict[str, list[float]] = {"open_clip": [], "own": [], "naive": []}
    with (
        Loop(open_clip_files, settings) as open_clip,
        Loop(own_files, settings) as own,
        Loop(naive, settings) as one_by_one,
    ):
        for loop in (open_clip, own):
            loop(paths[:WARM_UP])
        one_by_one(_naive_urls(bench, 2))
        index(bench, WARM_UP)
        for _ in range(sizes.rounds):
            seconds["open_clip"].append(open_clip(paths))
            service.append(sizes.pictures / index(bench, sizes.pictures))
            seconds["own"].append(own(paths))
            seconds["naive"].append(one_by_one(_naive_urls(bench, sizes.naive_pictures)))
    # Apart from the rounds, because reading the counters takes time from the work.
    busy = [_busy_share(bench) for _ in range((sizes.rounds + 1) // 2)]
    rates = {
        "service": service,
        "open_clip": [sizes.pictures / took for took in seconds["open_clip"]],
        "own": [sizes.pictures / took for took in seconds["own"]],
        "naive": [sizes.naive_pictures / took for took in seconds["naive"]],
    }
    rows = [
        Row(
            name="index pictures through HTTP, Celery and Qdrant ÷ open_clip fp32, batch 32, "
            "from files",
            values=ratios(service, rates["open_clip"]),
            unit="×",
            target=2.0,
            at_least=True,
            note="the target is for CPUs with AVX512-BF16",
        ),
        Row(
            name="the same ÷ decode and forward of the same backend in a plain loop",
            values=ratios(service, rates["own"]),
            unit="×",
            target=0.9,
            at_least=True,
        ),
        Row(
            name="share of the time in which the worker's model works, bulk under way",
            values=busy,
            unit="",
            target=0.95,
            at_least=True,
        ),
        Row(
            name="index pictures ÷ naive loop (download, embed, upsert one by one)",
            values=ratios(service, rates["naive"]),
            unit="×",
        ),
    ]
    return Measured(rows=rows, details={"pictures_per_second": rates})


def index(bench: Bench, count: int) -> float:
    """Seconds from the call until all are searchable."""
    began = time.time()
    job = bench.finished(bench.push(bench.new_products(count)))
    return seconds_since_1970(job["finished_at"]) - began


def _busy_share(bench: Bench) -> float:
    """The model's share of the time between the end of the first forward pass and that of one in
    the second half."""
    job_id = bench.push(bench.new_products(bench.sizes.pictures))
    first = counters.at_change(bench.connection, counters.PICTURES)
    while counters.read(bench.connection).pending > bench.sizes.pictures / 2:
        time.sleep(0.5)
    last = counters.at_change(bench.connection, counters.PICTURES)
    bench.finished(job_id)
    return (last[counters.IMAGE_BUSY] - first[counters.IMAGE_BUSY]) / (last.at - first.at)


def _naive_urls(bench: Bench, count: int) -> list[str]:
    return [bench.picture_url(number, "naive") for number in range(count)]


def ratios(ours: list[float], theirs: list[float]) -> list[float]:
    """Round by round."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]
