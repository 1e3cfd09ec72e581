"""All processes killed at once, as by a machine that goes down without its disks."""

import time

from tests.reliability.faults.catalogue import Catalogue
from tests.reliability.faults.stack import FaultyStack
from tests.reliability.faults.table import Row


def kill_everything(stack: FaultyStack, catalogue: Catalogue, row: Row, times: int) -> None:
    """The same stack on the same data: same catalogue, same first result, and nothing forgotten."""
    catalogue.lands(60, "first")
    query = {"text_query": "red shirt", "top_k": 5, "match": "looks", "cutoff": "off"}
    for number in range(times):
        settled = catalogue.put(*(catalogue.product(f"kept{number}-{at}") for at in range(20)))
        catalogue.shop.finished(settled, 60)
        found = catalogue.shop.search(query)["results"]
        listed = catalogue.listed()
        # Accepted, and at most in work.
        waiting = catalogue.put(*(catalogue.product(f"waiting{number}-{at}") for at in range(50)))
        killed = stack.kill_all()
        began = time.monotonic()
        stack.start()
        stack.wait_until_ready(120)
        row.phases[f"{killed} processes"] += 1
        row.recovery_seconds = time.monotonic() - began
        kept = {product["id"] for product in listed}
        again = [product for product in catalogue.listed() if product["id"] in kept]
        assert again == listed
        catalogue.shop.finished(waiting, 120)
        hits = catalogue.shop.search({**query, "top_k": 100})["results"]
        first = next(hit for hit in hits if hit["product_id"] in kept)
        # The score is measured against the other products, of which there are more now.
        assert {**first, "score": None} == {**found[0], "score": None}
    catalogue.check(row, 120)
