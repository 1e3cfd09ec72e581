"""Workers killed with -9, most of them by their own hand at a named instruction."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from tests.reliability.faults.catalogue import Catalogue
from tests.reliability.faults.orders import PHASES_OF, Death, Key
from tests.reliability.faults.stack import FaultyStack, eventually
from tests.reliability.faults.table import Row

_ARRIVE_SECONDS = 90.0
"""For a worker to start, load its model, wait for leases and come to where it shall die."""

_WITH_ITEMS = frozenset(
    f"killed {phase}" for phases in PHASES_OF.values() for phase in phases if phase != "reported"
)

_EMBEDDED = r'embeddings_total{kind="image"'


def kill_workers(
    stack: FaultyStack, catalogue: Catalogue, row: Row, kills: int, fast_for_each: int
) -> None:
    """Kills while changes come in, and then holds the end against what was accepted.

    `fast_for_each`: workers without a model that die for each one with it. Those start in a second,
    and while they die in turn the other loads its model.
    """
    max_attempts = stack.settings.item_max_attempts
    embedded_before = catalogue.shop.metric(_EMBEDDED)
    deaths: list[Death] = []
    losses: Counter[Key] = Counter()
    for number, (process, phase) in enumerate(itertools.islice(_places(fast_for_each), kills)):
        if max(losses.values(), default=0) >= max_attempts:
            # One loss is nobody's fault; from then on a product is alone, and each further one
            # counts. One more, and it would rightly be given up.
            eventually(lambda: len(catalogue.landed()) == len(catalogue.products), 120, "a rest")
            losses.clear()
        deaths.append(_kill(stack, process, phase, partial(_push, catalogue, number)))
        losses.update(deaths[-1].in_work)
        row.phases[f"{process} {deaths[-1].phase}".replace("killed ", "")] += 1
    ended_at = time.monotonic()
    outcomes = catalogue.check(row, 300)
    row.recovery_seconds = time.monotonic() - ended_at
    busy = sum(bool(death.in_work) for death in deaths)
    # Not of those after a report, nor of those at any moment, which may meet none.
    ordered = [death for death in deaths if death.phase in _WITH_ITEMS]
    met = sum(bool(death.in_work) for death in ordered)
    assert met >= 0.9 * len(ordered), f"only {met} of {len(ordered)} kills met items in work"
    assert len(ordered) >= kills / 2

    # Each good picture was embedded at least once: those that landed with a vector of their own.
    # At most once besides for each time that a worker died with its product in hand.
    embedded = catalogue.shop.metric(_EMBEDDED) - embedded_before
    in_work = sum(
        product_id.startswith("p")
        for death in deaths
        if death.process == "worker"
        for _, product_id in death.in_work
    )
    assert outcomes["superseded"] + embedded >= catalogue.puts
    assert embedded <= catalogue.puts + in_work
    row.remark = (
        f"{busy} kills with items in work; {embedded:.0f} pictures embedded, "
        f"at least {catalogue.puts - outcomes['superseded']}, at most {catalogue.puts} + {in_work}"
    )


def _places(fast_for_each: int) -> Iterator[tuple[str, str]]:
    """Where to kill: at each phase in turn, and now and then from outside at any moment."""
    model = itertools.cycle(("written", *PHASES_OF["worker"], ""))
    fast = itertools.cycle(("written", *PHASES_OF["worker-fast"], ""))
    while True:
        yield "worker", next(model)
        for _ in range(fast_for_each):
            yield "worker-fast", next(fast)


def _kill(stack: FaultyStack, process: str, phase: str, push: Callable[[], None]) -> Death:
    """Ordered before the changes are pushed, or they might be done before anybody dies."""
    orders = stack.orders
    if not phase:
        claims = orders.count("claimed")
        push()
        eventually(lambda: orders.count("claimed") > claims, _ARRIVE_SECONDS, "a claim")
        time.sleep(random.Random(claims).uniform(0.0, 0.05))
        return orders.death(stack.kill(process))
    known = {death.pid for death in orders.deaths_by_order()}
    orders.die(process, phase)
    push()
    assert orders.wait(process, phase, _ARRIVE_SECONDS), f"{process} never came to {phase}"
    return eventually(
        lambda: next((each for each in orders.deaths_by_order() if each.pid not in known), None),
        60,
        f"{process} to note its death at {phase}",
    )


def _push(catalogue: Catalogue, number: int) -> None:
    """Some ten changes: a bulk, singles, patches and deletes of what has landed."""
    bulk = [catalogue.product(f"p{number}-{at}", price=float(at)) for at in range(6)]
    catalogue.put(*bulk)
    # One that never was, so that there is always work without pictures, too.
    catalogue.delete(f"nobody-{number}")
    landed = catalogue.landed()
    again = landed[number % len(landed)] if landed else f"p{number}-again"
    catalogue.put(catalogue.product(again, price=1000.0 + number))
    catalogue.put(catalogue.product(f"p{number}-single", category="singles"))
    quiet = [each for each in landed if each != again]
    for at, product_id in enumerate(quiet[-2:]):
        if at == 1 and number % 3 == 0:
            catalogue.delete(product_id)
        else:
            catalogue.patch(product_id, {"price": float(number), "attributes": {"seen": at}})
