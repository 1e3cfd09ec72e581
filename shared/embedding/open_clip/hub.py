"""Files of models: found in the local cache or downloaded, or a reason within seconds.

The local cache is asked first. Then one HEAD request with a short timeout finds out whether the hub
can be reached, because the hub's client would retry for most of a minute without a network.
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import huggingface_hub
import structlog
from huggingface_hub.errors import EntryNotFoundError

from shared.embedding.open_clip.imported import open_clip

log = structlog.get_logger(__name__)

HUB_TIMEOUT: Final = 5.0
"""Seconds for a first answer from the hub: it takes well under one if it can be reached."""

_HUB_FILES: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def weights_of_tag(tag: Mapping[str, Any]) -> Path:
    """The local path of a tag's weights, downloaded if need be.

    Raises as `find_on_hub`, and whatever open_clip's downloader and the hub's raise.
    """
    if not tag.get("hf_hub"):
        with _socket_timeout(HUB_TIMEOUT):
            return Path(open_clip.pretrained.download_pretrained_from_url(tag["url"]))
    repo, _, filename = str(tag["hf_hub"]).rpartition("/")
    candidate, cached = find_on_hub(repo, _hub_files(filename))
    if cached is not None:
        return cached
    log.info("downloading", file=candidate, hugging_face_repository=repo)
    return Path(huggingface_hub.hf_hub_download(repo, candidate, etag_timeout=HUB_TIMEOUT))


def find_on_hub(repo: str, candidates: Sequence[str]) -> tuple[str, Path | None]:
    """The first candidate that exists, and its local path if it was downloaded before.

    Raises `FileNotFoundError` if the repository has none, or the hub does not answer.
    """
    for candidate in candidates:
        cached = huggingface_hub.try_to_load_from_cache(repo, candidate)
        if isinstance(cached, str):
            return candidate, Path(cached)
    for candidate in candidates:
        url = huggingface_hub.hf_hub_url(repo, candidate)
        try:
            huggingface_hub.get_hf_file_metadata(url, timeout=HUB_TIMEOUT)
        except EntryNotFoundError:
            continue  # This repository stores its weights under the other name.
        except Exception as err:
            raise FileNotFoundError(
                "it is not in the local cache, and the Hugging Face hub does not give out "
                f"{repo}/{candidate} ({one_line(err)})"
            ) from err
        return candidate, None
    raise FileNotFoundError(f"the hub's repository {repo} has no {' or '.join(candidates)}")


def _hub_files(filename: str) -> tuple[str, ...]:
    """The names to look for, safetensors first, in open_clip's order."""
    if not filename:
        return _HUB_FILES
    stem, dot, ending = filename.rpartition(".")
    return (f"{stem}{dot}safetensors", filename) if ending in ("bin", "pth") else (filename,)


def one_line(err: Exception) -> str:
    """An outside error in one line."""
    return " ".join(str(err).split())[:300] or type(err).__name__


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Give sockets opened meanwhile a timeout: open_clip's own downloader sets none and hangs."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
