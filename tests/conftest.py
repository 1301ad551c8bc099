"""Property tests draw the same examples everywhere, and are not timed."""

from hypothesis import settings

settings.register_profile("book", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("book")
