"""A declarative benchmark harness for methods that make convolutional networks smaller."""

__version__ = "0.1.0"
