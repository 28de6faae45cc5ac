"""The command line: one file a verb; the only code that prints or exits."""
