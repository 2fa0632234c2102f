"""Shutting guests down at set times: when, which, in what order, and never twice."""
