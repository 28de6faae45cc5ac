"""One file a method. A file dropped in here is a method: `python -m harness list methods` shows it."""
