"""Measurements of the running server. `make bench`, or `python -m bench --help`."""
