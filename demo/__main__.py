"""`python -m demo`, which `make demo` runs."""

import os
import sys

if __name__ == "__main__":
    # Noted before the imports, which take a second: make may be killed during them.
    parent = os.getppid()

    from demo.run import main

    sys.exit(main(sys.argv[1:], parent))
