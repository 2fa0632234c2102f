"""Decisions and values; nothing here asks the API, the clock, a file or a terminal."""
