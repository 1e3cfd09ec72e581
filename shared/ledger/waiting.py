"""The reasons why products wait to be tried again."""

from collections.abc import Mapping, Sequence
from typing import cast

import redis

from shared.ledger.connection import PREFIX, moment
from shared.models.job import Waiting


def waiting_for(
    client: redis.Redis, tenant: str, product_ids: Sequence[str]
) -> Mapping[str, Waiting]:
    """Why each of these products waits, and until when. Those that wait for their turn alone, or
    for nothing, are left out. Raises redis-py's errors.
    """
    with client.pipeline(transaction=False) as pipeline:
        for product_id in product_ids:
            pipeline.hmget(
                f"{PREFIX}wanted:{tenant}:{product_id}", "fault", "message", "retry_at", "attempts"
            )
        answers = cast("list[list[str | None]]", pipeline.execute())
    return {
        product_id: Waiting(code, message or "", moment(retry_at), int(attempts or 0))
        for product_id, (code, message, retry_at, attempts) in zip(
            product_ids, answers, strict=True
        )
        if code and retry_at
    }
