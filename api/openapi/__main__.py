"""`python -m api.openapi` prints the OpenAPI document, which docs/openapi.json keeps."""

import json
import sys

from api.app import described_app
from api.openapi.document import document


def main() -> None:
    """Prints the document of a service that asks for keys."""
    text = json.dumps(document(described_app(), keys_needed=True), indent=1, ensure_ascii=False)
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
