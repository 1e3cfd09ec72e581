"""Which products have changed, for those who hold a copy of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis

from shared.ledger.connection import PREFIX, translated
from shared.ledger.scripts import script_source
from shared.models.change import Aspect

FOLLOWED_SECONDS: Final = 600
"""The log goes on being written for so long after it was read."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes since a position of a tenant's log.

    `products`: their ids; None if they aren't known, because the log was cut, lost or not written,
    or everything may have changed. `generation`: of the moment of `position`.
    """

    position: str
    generation: Mapping[Aspect, str]
    products: frozenset[str] | None


class ChangeLog:
    """The products whose changes were reported, by tenant.

    A report names its products here in the step that raises the generation, after they stand in
    the index. So whoever reads the log first and the index after it holds every change up to the
    log's position.
    """

    def __init__(self, client: redis.Redis) -> None:
        # It keeps the log being written, which must go on while memory is short.
        source = script_source("changes", when_memory_is_short=True)
        self._script = client.register_script(source)

    def since(self, tenant: str, position: str = "") -> Changes | None:
        """The changes since a position that an earlier call gave; none are known since "".

        None if the ledger doesn't know the tenant's generation. Raises `LedgerUnavailable`.
        """
        with translated():
            answer: list[Any] = self._script(
                args=[PREFIX, tenant, position, FOLLOWED_SECONDS, *Aspect]
            )
        if not answer:
            return None
        reached, generations, all_known, changed = answer
        generation = {
            aspect: value or "0" for aspect, value in zip(Aspect, generations, strict=True)
        }
        products = frozenset(name for names in changed for name in names.split("\n"))
        return Changes(reached, generation, products if all_known else None)
