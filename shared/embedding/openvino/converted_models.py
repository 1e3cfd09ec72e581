"""Towers converted for OpenVINO, kept on disk so that only the first start converts.

A tower is a directory `<model>-<key>/<tower>/` of three files: `model.xml`, `model.bin` and
`manifest.json`, which holds what else a start needs and the digests of the other two. The key
covers the model's weights, the library versions and the stored form. Precision and CPU
are not part of it: stored models are float32, and making it ready for a CPU takes a second, no
more than reading a compiled form of the same size would.

Whoever converts writes beside the place and renames, so that processes that start at once never
see half a tower; the later one finds the place taken and is content. A damaged one is thrown
away and made anew. Nothing here is lost for good when the directory is deleted, but the int8 form
of the image tower is made by an operator's command, not by a start.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import structlog

from shared.embedding.encoder import Tower
from shared.embedding.identity import CONVERSION_VERSION

log = structlog.get_logger(__name__)

QUANTIZED: Final = "image-int8"
"""The image tower in int8, as `quantization` makes and checks it."""

Form = Tower | Literal["image-int8"]
"""The stored forms: each tower as it is, and the image tower in int8."""

_MODEL: Final = "model.xml"
_FILES: Final = (_MODEL, "model.bin")
_MANIFEST: Final = "manifest.json"


@dataclass(frozen=True)
class ConvertedTower:
    """A tower on disk, checked, and the facts that were stored with it."""

    path: Path
    facts: Mapping[str, Any]


class ConvertedModels:
    """The towers of one model, below one directory."""

    def __init__(self, directory: Path, model: str, weights: str, versions: Mapping[str, str]):
        """`weights` identifies them, `versions` are those of the libraries that matter."""
        key = json.dumps([CONVERSION_VERSION, model, weights, dict(versions)], sort_keys=True)
        self._key = hashlib.sha256(key.encode()).hexdigest()
        self.directory = directory / f"{model.rpartition('/')[2]}-{self._key[:12]}"

    def find(self, tower: Form) -> ConvertedTower | None:
        """The tower if it is there and whole. Reads it once: a second per gigabyte."""
        place = self.directory / tower
        try:
            manifest = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))
            if manifest["key"] == self._key and manifest["files"] == _digests(place):
                return ConvertedTower(place / _MODEL, manifest["facts"])
        except FileNotFoundError:
            if not place.exists():
                return None
        except (OSError, ValueError, KeyError, TypeError) as err:
            log.debug("converted_model_unreadable", path=str(place), error=str(err))
        then = "quantize it again" if tower == QUANTIZED else "it is converted anew"
        log.warning("converted_model_damaged", path=str(place), then=then)
        return None

    def store(
        self,
        tower: Form,
        write: Callable[[Path], None],
        facts: Mapping[str, Any],
        *,
        replace: bool = False,
    ) -> ConvertedTower | None:
        """Keep a tower, which `write` puts at the path it is given (and `.bin` beside it).

        A whole one that is there already stays, unless `replace` is set. None if the disk
        doesn't take it: then every start converts.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix=f".{tower}-", dir=self.directory))
        except OSError as err:
            self._not_kept(err)
            return None
        try:
            write(made / _MODEL)
            manifest = {"key": self._key, "files": _digests(made), "facts": dict(facts)}
            (made / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
            made.chmod(0o755)  # mkdtemp's are its owner's alone; what lies in it is no secret.
            self._put(made, tower, replace=replace)
        except (OSError, RuntimeError) as err:  # OpenVINO raises RuntimeError on a full disk.
            self._not_kept(err)
            return None
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return self.find(tower)

    def notes(self, name: str) -> Any:
        """A small JSON value stored by `note`, or None."""
        try:
            return json.loads((self.directory / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def note(self, name: str, value: Any) -> None:
        """Store a small JSON value; the last one counts."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            draft = self.directory / f".{name}-{os.getpid()}"
            draft.write_text(json.dumps(value), encoding="utf-8")
            draft.replace(self.directory / f"{name}.json")
        except OSError as err:
            self._not_kept(err)

    def _put(self, made: Path, tower: Form, *, replace: bool) -> None:
        """Rename `made` to its place, unless another process has put a whole tower there by now."""
        place = self.directory / tower
        for last in (False, False, True):
            try:
                made.rename(place)
            except OSError:
                if last:
                    raise
                if not replace and self.find(tower) is not None:
                    return
                if place.exists():
                    # Moved aside first, so that nobody finds half of a model that is being deleted.
                    aside = Path(tempfile.mkdtemp(prefix=".replaced-", dir=self.directory))
                    place.replace(aside / place.name)
                    shutil.rmtree(aside, ignore_errors=True)
            else:
                return

    def _not_kept(self, err: Exception) -> None:
        log.warning("converted_model_not_kept", path=str(self.directory), error=str(err))


def _digests(place: Path) -> dict[str, str]:
    """SHA-256 of a tower's files by name."""
    found = {}
    for name in _FILES:
        with (place / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
