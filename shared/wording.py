"""Words of messages for people."""


def counted(number: int, noun: str) -> str:
    """`1 product`, `2 products`. The noun is given in the singular, and takes an s."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
