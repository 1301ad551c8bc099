"""Property tests draw the same examples everywhere, and are not timed."""

import signal

from hypothesis import settings

settings.register_profile("book", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("book")

# A shell starts its background jobs with SIGINT ignored, and every process that they start inherits
# that; the tests that stop a training by SIGINT are to hold there too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
