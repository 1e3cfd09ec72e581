"""The cache's Redis: may be slow, gone or emptied at any time, and nothing is lost by it."""

from typing import cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.breaker import Breaker

# A healthy answer takes well below a millisecond; computing anew takes some tens of them. Waiting
# longer than this for the cache would cost more than it saves.
_TIMEOUT_SECONDS = 0.25

# While the cache is gone, one search in this time pays the timeout.
_PAUSE_SECONDS = 2.0


class CacheConnection:
    """GET and SETEX that answer "nothing held" if the server doesn't answer."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            health_check_interval=30,
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        self._breaker = Breaker(_PAUSE_SECONDS)

    @property
    def is_down(self) -> bool:
        """Whether the last call failed so recently that the next one is skipped."""
        return self._breaker.is_open

    def get(self, key: str) -> bytes | None:
        """The value held, if any."""
        if self._breaker.is_open:
            return None
        try:
            # Bytes, because the client decodes nothing; redis-py's types can't tell.
            value = cast("bytes | None", self._redis.get(key))
        except redis.ResponseError:
            # The server answers: what it holds is no string, so it isn't ours.
            self.drop(key)
            return None
        except redis.RedisError:
            self._breaker.trip()
            return None
        return value

    def put(self, key: str, value: bytes, ttl_seconds: int) -> None:
        """Holds the value for a time, if the server takes it."""
        if self._breaker.is_open:
            return
        try:
            self._redis.set(key, value, ex=ttl_seconds)
        except redis.RedisError:
            self._breaker.trip()

    def drop(self, key: str) -> None:
        """Forgets a value that turned out unreadable."""
        try:
            self._redis.delete(key)
        except redis.RedisError:
            self._breaker.trip()

    def close(self) -> None:
        """Closes the pooled connections."""
        self._redis.close()
