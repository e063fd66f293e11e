"""Draws the JSON results of `tidal bench` and `tidal eval`."""
