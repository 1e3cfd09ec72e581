"""A picture that kills the process that embeds it, among 63 good ones."""

import time

from tests.reliability.faults.catalogue import Catalogue
from tests.reliability.faults.stack import FaultyStack
from tests.reliability.faults.table import Row

NEIGHBOURS = 63


def poison_one_of_many(stack: FaultyStack, catalogue: Catalogue, row: Row) -> None:
    """It fails after its attempts; its neighbours are indexed and lose none."""
    max_attempts = stack.settings.item_max_attempts
    before = {death.pid for death in stack.orders.deaths_by_order()}
    good = [catalogue.product(f"good-{at}") for at in range(NEIGHBOURS)]
    poison = catalogue.product("poison")
    stack.orders.poison(catalogue.sha256(poison))
    pushed_at = time.monotonic()
    try:
        job_id = catalogue.put(*good[:30], poison, *good[30:])
        del catalogue.products["poison"]
        outcomes = catalogue.check(row, 200, failed=1)
    finally:
        stack.orders.lift_poison()
    row.recovery_seconds = time.monotonic() - pushed_at
    assert outcomes["indexed"] == NEIGHBOURS
    items = catalogue.shop.call("GET", f"/jobs/{job_id}/items?limit=100")["items"]
    (failed,) = [item for item in items if item["outcome"] == "failed"]
    assert (failed["product_id"], failed["code"]) == ("poison", "internal_error")
    assert "died" in failed["message"]
    tried = {item["product_id"]: item["attempts"] for item in items if item is not failed}
    assert not any(tried.values()), {name: times for name, times in tried.items() if times}
    deaths = [death for death in stack.orders.deaths_by_order() if death.pid not in before]
    # Once among all, and then alone as often as it may be tried.
    assert len(deaths) == 1 + max_attempts
    row.phases.update(f"worker {len(death.in_work)} in work" for death in deaths)
