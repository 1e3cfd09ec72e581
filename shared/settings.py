"""All settings, read from the environment (and `.env`) here and nowhere else.

A wrong value stops the process at start with the setting's name. `.env.example` lists them all.
"""

import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, Literal

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.models.attributes import attribute_types
from shared.words.languages import check_languages

SETTINGS_FAULT: Final = 78
"""Exit code (EX_CONFIG of sysexits.h) of a process that can't work with its settings."""

ENV_FILE: Final = ".env"

OF_COMPOSE: Final = frozenset(
    {
        "API_PUBLISH",
        "REDIS_MAXMEMORY",
        "REDIS_CACHE_MAXMEMORY",
        "TORCH_INDEX_URL",
        "VITRINE_UID",
        "VITRINE_GID",
    }
)
"""Names in `.env` that docker compose alone reads."""

Network = IPv4Network | IPv6Network

_SHOWN: Final = 100
"""Characters of a wrong value that are repeated."""

_PERIOD: Final = r"[1-9]\d*/[1-9]?\d*(second|minute|hour|day)s?"
RateLimits = Annotated[str, Field(pattern=rf"^({_PERIOD}(;{_PERIOD})*)?$")]
"""How much in which time, as `600/minute` or `50/second;100000/hour`; empty: no limit."""

RedisUrl = Annotated[str, Field(pattern=r"^(rediss?|unix)://.")]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/]")]
# What goes into a header holds no line end, and neither begins nor ends with a space.
UserAgent = Annotated[str, Field(pattern=r"^[!-~]([ -~]{0,498}[!-~])?$")]
Referer = Annotated[str, Field(pattern=r"^(origin|https?://[!-~]{1,1900})?$")]

DEFAULT_USER_AGENT: Final = "Vitrine/0.1 (product picture fetcher)"

_PORT: Final = re.compile(r":([0-9]{1,5})(?![^/;,?#])")
_DEFAULT_PORTS: Final = frozenset({80, 443})

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9.-]+(:\d+)?", re.ASCII)
"""A scheme, a name and maybe a port. A path or a pattern would match no page, without a word."""


class Settings(BaseSettings):
    """Typed settings; field names in upper case are the environment variables' names."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", frozen=True)

    # API
    api_host: str = "127.0.0.1"
    api_port: int = Field(8000, ge=1, le=65535)
    api_threads: int = Field(16, ge=4, le=256)
    api_keys_file: Path | None = None
    api_encoder_threads: int = Field(4, ge=1, le=256)
    api_picture_queries: int = Field(4, ge=1, le=64)
    api_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    rate_limit_search: RateLimits = ""
    rate_limit_write: RateLimits = ""

    # Servers. The ledger's Redis also carries the Celery queues unless BROKER_URL names another.
    redis_url: RedisUrl = "redis://127.0.0.1:6379/0"
    redis_cache_url: RedisUrl = "redis://127.0.0.1:6380/0"
    broker_url: str = ""
    qdrant_url: HttpUrl = "http://127.0.0.1:6333"
    qdrant_api_key: str | None = None
    data_dir: Path = Path("var")

    # Model
    clip_model: str = "ViT-B-32"
    clip_pretrained: str = "laion2b_s34b_b79k"
    clip_device: Literal["auto", "cpu", "cuda"] = "auto"
    clip_backend: Literal["auto", "torch", "openvino"] = "auto"
    clip_precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    clip_resize_mode: Literal["shortest", "longest", "squash"] = "shortest"
    embed_batch_size: int = Field(16, ge=1, le=1024)

    # Pictures
    image_allowed_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    image_max_bytes: int = Field(20 * 2**20, ge=1)
    image_max_pixels: int = Field(50_000_000, ge=1)
    image_timeout_seconds: float = Field(20.0, gt=0)
    image_threads: int = Field(16, ge=1, le=256)
    image_not_found_retry_seconds: float = Field(30.0, ge=0, le=3600)
    image_user_agent: UserAgent = DEFAULT_USER_AGENT
    image_referer: Referer = ""

    # Index
    attribute_indexes: Annotated[tuple[str, ...], NoDecode] = ("color", "size")
    qdrant_indexing_threshold: int = Field(10_000, ge=1)
    qdrant_deleted_threshold: float = Field(0.2, ge=0.01, le=1)
    qdrant_indexing_threads: int = Field(0, ge=0, le=1024)
    qdrant_hnsw_ef: int = Field(1024, ge=10, le=10_000)
    qdrant_quantization: Literal["off", "int8"] = "off"
    qdrant_oversampling: float = Field(2.0, ge=1, le=100)
    tombstone_days: float = Field(30.0, gt=0)

    # Jobs
    lease_seconds: float = Field(30.0, gt=0)
    item_max_attempts: int = Field(5, ge=1)
    retry_base_seconds: float = Field(3.0, gt=0)
    job_retention_seconds: int = Field(3 * 86_400, ge=60)
    ledger_max_pending: int = Field(1_000_000, ge=1)

    # Search
    search_languages: Annotated[tuple[str, ...], NoDecode] = ("en", "fr")
    search_cache_ttl: int = Field(3600, ge=1)
    search_cache_max_staleness: float = Field(0.0, ge=0)
    search_timeout_seconds: float = Field(5.0, gt=0)
    search_in_stock_first: bool = False

    # Operation
    watchdog_decode_seconds: float = Field(60.0, ge=1)
    watchdog_forward_seconds: float = Field(180.0, ge=1)
    prometheus_multiproc_dir: Path | None = None  # read by prometheus-client itself, too
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(None, ge=1, le=65535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "json", "console"] = "auto"

    @field_validator("image_allowed_networks", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
        return value

    @field_validator(
        "attribute_indexes", "api_allowed_hosts", "cors_origins", "search_languages", mode="before"
    )
    @classmethod
    def _split_names(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("attribute_indexes")
    @classmethod
    def _have_types(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        attribute_types(listed)
        return listed

    @field_validator("search_languages")
    @classmethod
    def _have_stems(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        check_languages(languages)
        return languages

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin} is no origin; write it as https://shop.example")
        return origins

    @field_validator(
        "api_keys_file",
        "qdrant_api_key",
        "metrics_port",
        "prometheus_multiproc_dir",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    def as_environ(self) -> dict[str, str]:
        """The settings that were given rather than left at their defaults, for other processes."""
        return {name.upper(): _written(getattr(self, name)) for name in self.model_fields_set}

    @property
    def own_ports(self) -> frozenset[int]:
        """Those of this service's own servers, which pictures are never fetched from.

        80 and 443 are left out: pictures come from there, so a Qdrant behind one of them is
        protected by its address alone.
        """
        servers = (self.redis_url, self.redis_cache_url, self.broker_url, self.qdrant_url)
        ports = {int(port) for url in servers for port in _PORT.findall(url)}
        return frozenset(ports | {self.api_port, self.metrics_port or 0}) - _DEFAULT_PORTS

    @property
    def celery_broker_url(self) -> str:
        """Where the doorbells travel: BROKER_URL, else the ledger's Redis."""
        return self.broker_url or self.redis_url


def _written(value: object) -> str:
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def read_settings() -> Settings:
    """The settings as they stand now. Wrong ones end the process, each with a line on stderr."""
    try:
        return Settings()
    except ValidationError as err:
        faults = [_fault(error) for error in err.errors()]
    except (OSError, UnicodeDecodeError) as err:
        faults = [f"{ENV_FILE}: can't be read ({err})"]
    for fault in faults:
        print(f"vitrine: {fault}", file=sys.stderr, flush=True)  # noqa: T201
    sys.exit(SETTINGS_FAULT)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings, read once. Wrong ones end the process (see `read_settings`)."""
    return read_settings()


def unknown_names() -> Sequence[str]:
    """A warning for each name in `.env` that is no setting: a slip would go unnoticed."""
    known = {name.upper() for name in Settings.model_fields} | OF_COMPOSE
    warnings = []
    for name in dotenv_values(ENV_FILE):
        # Compose itself is configured there, too.
        if name.upper() in known or name.startswith(("COMPOSE_", "DOCKER_")):
            continue
        near = get_close_matches(name.upper(), sorted(known), n=1)
        hint = f"; did you mean {near[0]}?" if near else "; .env.example lists all settings"
        warnings.append(f"{ENV_FILE}: {name} is no setting of Vitrine{hint}")
    return warnings


_FAULTS: Final = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} or less",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
"""Plain words for pydantic's types of errors; what stands here not keeps pydantic's words."""


_EXAMPLES: Final = {
    "rate_limit_search": "600/minute, or several, as 50/second;100000/hour",
    "rate_limit_write": "600/minute, or several, as 50/second;100000/hour",
    "redis_url": "redis://127.0.0.1:6379/0",
    "redis_cache_url": "redis://127.0.0.1:6380/0",
    "qdrant_url": "http://127.0.0.1:6333",
    "image_user_agent": "Shop/1.0, in printable ASCII",
    "image_referer": "origin, or https://shop.example/",
}
"""The forms of settings with a pattern, in words."""


def _fault(error: ErrorDetails) -> str:
    name, given = str(error["loc"][0]), str(error["input"])
    if error["type"] == "string_pattern_mismatch":
        message = f"must be like {_EXAMPLES[name]}"
    else:
        message = _FAULTS.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
    shown = given if len(given) <= _SHOWN else f"{given[:_SHOWN]}…"
    return f"{name.upper()}={shown}: {message}"
