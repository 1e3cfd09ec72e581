"""Finds regular expressions that a hostile text can make slow: `python -m tests.expressions`."""

import sys

from tests.expressions.ambiguity import findings
from tests.expressions.listed import Unclear, expressions


def main() -> None:
    """Prints what was found, a line each; exit code 1 where anything was."""
    try:
        listed = expressions()
    except Unclear as err:
        sys.exit(str(err))
    found = [
        f"{each.file}:{each.line}: {each.pattern!r}: {finding}"
        for each in listed
        for finding in findings(each.pattern, each.flags, whole=each.whole, anywhere=each.anywhere)
    ]
    if found:
        sys.exit("\n".join(found))
    print(f"All {len(listed)} regular expressions take linear time.")  # noqa: T201


if __name__ == "__main__":
    main()
