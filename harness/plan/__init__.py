"""From a suite to stages: content keys, what waits for what, and what it will cost."""
