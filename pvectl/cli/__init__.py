"""The only room that knows typer and rich."""
