"""How thoroughly hypothesis looks: `ci` unless told otherwise by `--hypothesis-profile=long`."""

from hypothesis import settings

# The same examples in every run, so that a failure is the change's and not the day's.
settings.register_profile("ci", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile("long", max_examples=3000, deadline=None, print_blob=True)
settings.load_profile("ci")
