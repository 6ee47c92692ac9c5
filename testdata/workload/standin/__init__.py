"""The stand-in serving stack: server, router, launcher and benchmark client in plain Python.

See ../README.md for what is real about it and what is emulated.
"""
