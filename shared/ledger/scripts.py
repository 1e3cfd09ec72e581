"""The ledger's Lua scripts as they are sent to Redis."""

from importlib import resources


def script_source(name: str, *, when_memory_is_short: bool = False) -> str:
    """The script with the common part in front; flagged to run, or not, when memory is short."""
    folder = resources.files("shared.ledger") / "lua"
    flags = " flags=allow-oom" if when_memory_is_short else ""
    common = (folder / "common.lua").read_text()
    return f"#!lua{flags}\n{common}\n{(folder / f'{name}.lua').read_text()}"
