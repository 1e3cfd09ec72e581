"""Hides an AVIF's EXIF from its decoder: browsers turn an AVIF by its own boxes alone."""

from shared.embedding.decoding.files.parts import FileParts


def parts(data: bytes) -> FileParts:
    """The file with its EXIF marked as something else; all lengths stay.

    The decoder reads the orientation from the file's own boxes (`irot`, `imir`).
    """
    at = 0
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if length < 8:
            break
        if name == b"meta":
            meta = data[at : at + length].replace(b"Exif", b"free")
            return FileParts(data[:at] + meta + data[at + length :], None)
        at += length
    return FileParts(data, None)
