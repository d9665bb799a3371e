"""Items that ask for general abilities, checked by code; written by `scripts/make_suite.py`."""
