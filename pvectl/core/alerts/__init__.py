"""Findings and what earlier runs left behind, turned into messages: one per incident, none lost, none twice."""
