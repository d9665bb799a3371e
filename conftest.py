"""Property tests try the same cases on every run; HYPOTHESIS_PROFILE=search tries others, and more of them."""

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=400, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
