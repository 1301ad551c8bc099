"""Assignment 6, choose one: what answers are given, and may call (chapter 6)."""

import numpy as np


class Asked:
    """Rewards that note which keys they were asked for, and keep what they returned."""

    def __init__(self, of_keys):
        self.of_keys = np.asarray(of_keys, dtype=float)
        self.keys: list[int] = []
        self.returned: list[np.ndarray] = []

    def __call__(self, chosen):
        """The rewards of chosen keys, of any shape."""
        chosen = np.asarray(chosen)
        self.keys += [int(key) for key in chosen.ravel()]
        self.returned.append(self.of_keys[chosen])
        return self.returned[-1]


class Rewards:
    """What each key earns; called with the keys that were chosen, it says what they earned."""

    def __init__(self, of_keys):
        self.of_keys = np.asarray(of_keys, dtype=float)

    def __call__(self, chosen):
        """The rewards of chosen keys, of any shape."""
        return self.of_keys[np.asarray(chosen)]

    def __array__(self, dtype=None, copy=None):
        """What each key earns: for the comparison of arguments."""
        return np.array(self.of_keys, dtype=dtype)

    def __repr__(self):
        shown = ", ".join(f"{r:.4g}" for r in self.of_keys)
        return f"a function: the keys earn {shown}"
