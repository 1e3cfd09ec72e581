"""The file of a backup: a zip of points and of the ledger's records, read and written in pieces.

- `points/000000.ndjson`: a page of points, a line each: id, payload, and the lengths of its vectors
  by name
- `vectors/000000.f32`: the vectors of that page one after the other, in float32
- `ledger.ndjson`: the records of `shared.ledger.recovery.snapshot`
- `manifest.json`, written last: the backup's origin, and each part's SHA-256

Files of format 1 have one vector per product, of 512 numbers; they are read, too.
"""

import contextlib
import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import orjson

from operations.faults import ExitCode, OperationFault
from operations.progress import Advance
from shared.ledger.recovery.snapshot import Record
from shared.qdrant.recovery.transfer import RawPoint
from shared.qdrant.vectors import IMAGE, DenseVector, VectorSet

FORMAT: Final = "vitrine-backup"
FORMAT_VERSION: Final = 2

_OF_FORMAT_1: Final = {IMAGE: 512}

_LEDGER: Final = "ledger.ndjson"
_MANIFEST: Final = "manifest.json"
_READ_BYTES: Final = 1 << 20
_BYTES_PER_NUMBER: Final = 4

_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError)
"""zipfile's RuntimeError is for encrypted parts and unknown packing, which no part of ours has."""

Manifest = Mapping[str, Any]


class ArchiveWriter:
    """Writes beside the target and takes its name once all is on the disk."""

    def __init__(self, path: Path) -> None:
        """Raises `OperationFault` if the target exists or can't be made."""
        self._path = path
        self._unfinished = path.with_name(f"{path.name}.partial")
        self._digests: dict[str, str] = {}
        self._pages = 0
        self._dimensions: dict[str, int] = {}
        if path.exists():
            raise OperationFault(
                ExitCode.CANT_CREATE, f"{path} exists; name another FILE, or move it away"
            )
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Catalogues are nobody else's business.
            descriptor = os.open(self._unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(descriptor, "w+b")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)

    def ledger(self, records: Iterable[Record]) -> int:
        """Writes all of the ledger's records; returns how many there were."""
        written = 0
        with _translated(self._path), self._part(_LEDGER, zipfile.ZIP_DEFLATED) as part:
            for record in records:
                part.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
                written += 1
        return written

    def points(self, page: Sequence[RawPoint]) -> None:
        """Writes a page of points."""
        lines: list[bytes] = []
        vectors: list[DenseVector] = []
        for point in page:
            lengths = {name: len(vector) for name, vector in point.vectors.items()}
            self._dimensions |= lengths
            line = {"id": point.id, "payload": point.payload, "vectors": lengths}
            lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            vectors += point.vectors.values()
        with _translated(self._path):
            with self._part(f"points/{self._pages:06}.ndjson", zipfile.ZIP_DEFLATED) as part:
                part.write(b"".join(lines))
            # Numbers like these hardly become shorter.
            with self._part(f"vectors/{self._pages:06}.f32", zipfile.ZIP_STORED) as part:
                part.write(b"".join(vector.astype("<f4").tobytes() for vector in vectors))
        self._pages += 1

    def finish(self, manifest: Manifest) -> None:
        """Adds the manifest, and gives the file its name once all of it is on the disk."""
        whole = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **manifest,
            "dimensions": self._dimensions,
            "pages": self._pages,
            "sha256": self._digests,
        }
        with _translated(self._path):
            self._zip.writestr(_MANIFEST, orjson.dumps(whole, option=orjson.OPT_INDENT_2))
            self._zip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._unfinished.replace(self._path)

    def __enter__(self) -> "ArchiveWriter":
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the unfinished file."""
        if not self._file.closed:
            # A full disk refuses the zip's closing words, too.
            with contextlib.suppress(OSError, ValueError):
                self._zip.close()
            with contextlib.suppress(OSError):
                self._file.close()
            self._unfinished.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _part(self, name: str, compression: int) -> Iterator["_Digested"]:
        info = zipfile.ZipInfo(name)
        info.compress_type = compression
        with self._zip.open(info, "w", force_zip64=True) as file:
            part = _Digested(file)
            yield part
        self._digests[name] = part.digest()


class _Digested:
    """A file being written, and the SHA-256 of what went into it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)

    def digest(self) -> str:
        return self._hash.hexdigest()


class ArchiveReader:
    """Reads a backup. Every method raises `OperationFault` if the file is damaged."""

    def __init__(self, path: Path) -> None:
        """Raises `OperationFault` if there is no such file, or it is no backup of ours."""
        self._path = path
        if not path.is_file():
            raise OperationFault(ExitCode.NO_INPUT, f"there is no file {path}")
        with _translated(path), _undamaged(path):
            self._zip = zipfile.ZipFile(path)
            self.manifest: Manifest = orjson.loads(self._zip.read(_MANIFEST))
        if (
            not isinstance(self.manifest, dict)
            or self.manifest.get("format") != FORMAT
            or self.manifest.get("format_version") not in (1, FORMAT_VERSION)
        ):
            raise OperationFault(
                ExitCode.DATA, f"{path} is no backup that this version of Vitrine can read"
            )

    @property
    def dimensions(self) -> Mapping[str, int]:
        """Numbers in the products' vectors, by name; nothing of a backup without products."""
        stated: Mapping[str, int] = self.manifest.get("dimensions", _OF_FORMAT_1)
        return stated

    def check(self, advance: Advance) -> None:
        """Reads all of it once and compares every part with its SHA-256."""
        with _translated(self._path), _undamaged(self._path):
            for name, expected in self.manifest["sha256"].items():
                digest = hashlib.sha256()
                with self._zip.open(name) as part:
                    while data := part.read(_READ_BYTES):
                        digest.update(data)
                if digest.hexdigest() != expected:
                    raise zipfile.BadZipFile(f"{name} is not what was written")
                advance(1)

    def points(self) -> Iterator[list[RawPoint]]:
        """The pages of points."""
        for page in range(self.manifest["pages"]):
            with _translated(self._path), _undamaged(self._path):
                lines = self._zip.read(f"points/{page:06}.ndjson").splitlines()
                vectors = self._zip.read(f"vectors/{page:06}.f32")
                points = list(_points(lines, vectors))
            yield points

    def ledger(self) -> Iterator[Record]:
        """The ledger's records, in their order."""
        with _translated(self._path), _undamaged(self._path):
            part = self._zip.open(_LEDGER)
        with part:
            while True:
                with _translated(self._path), _undamaged(self._path):
                    line = part.readline()
                    record = orjson.loads(line) if line else None
                if record is None:
                    return
                yield record

    def close(self) -> None:
        """Closes the file."""
        self._zip.close()


def _points(lines: Sequence[bytes], vectors: bytes) -> Iterator[RawPoint]:
    at = 0
    for line in lines:
        fields = orjson.loads(line)
        by_name = {}
        for name, length in _lengths(fields).items():
            by_name[name] = np.frombuffer(vectors, "<f4", length, at)
            at += _BYTES_PER_NUMBER * length
        yield RawPoint(fields["id"], fields["payload"], VectorSet(by_name))


def _lengths(fields: Mapping[str, Any]) -> Mapping[str, int]:
    if "vectors" in fields:
        stated: Mapping[str, int] = fields["vectors"]
        return stated
    return _OF_FORMAT_1 if fields["vector"] else {}


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise OperationFault(
            ExitCode.CANT_CREATE,
            f"{path}: {err.strerror or err}; make room or choose another place, and try again",
        ) from err


@contextlib.contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGE, KeyError, ValueError) as err:
        raise OperationFault(
            ExitCode.DATA,
            f"{path} is damaged or was cut short ({err}); nothing of it was restored. "
            "Take another backup",
        ) from err
