"""The demo's settings: all of them its own, none of the user's environment or `.env`."""

from pathlib import Path
from typing import Any, Final

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from shared.fetch.addresses import Network
from shared.settings import Settings

_SERVERS: Final = frozenset({"redis_url", "redis_cache_url", "qdrant_url"})
"""Left out, so that the stack starts a server of its own for each."""


class DemoSettings(Settings):
    """Settings that are given in the code alone."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The constructor's values alone."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def demo_settings(data_dir: Path, api_port: int, pictures_from: Network) -> Settings:
    """The settings of a demo with data in `data_dir` and pictures in `pictures_from`.

    Every setting is given, also if it is the default: the stack hands given settings to its
    processes, and they would read the rest from the user's environment.
    """
    values: dict[str, Any] = {
        name: field.get_default(call_default_factory=True)
        for name, field in Settings.model_fields.items()
        if name not in _SERVERS
    }
    values |= {
        "api_host": "127.0.0.1",
        "api_port": api_port,
        "api_keys_file": None,
        "data_dir": data_dir,
        "clip_model": "demo",
        # So small a model gains less by a conversion than the conversion takes.
        "clip_backend": "torch",
        "image_allowed_networks": (pictures_from,),
    }
    return DemoSettings(**values)
