"""The API with hangs planted."""

import tests.reliability.hangs.planted  # noqa: F401 - plants them
from api.start import start

app = start()
