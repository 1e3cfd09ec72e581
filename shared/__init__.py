"""Code that the API and the workers share.

`models` are pure; `ledger`, `qdrant`, `search` and `fetch` each stand for one outside service;
`embedding` holds the model; `settings` alone reads the environment.
"""

import os

# prometheus-client, once imported, takes an empty value for the current directory.
if os.environ.get("PROMETHEUS_MULTIPROC_DIR") == "":  # noqa: TID251 - before any other module
    del os.environ["PROMETHEUS_MULTIPROC_DIR"]  # noqa: TID251
