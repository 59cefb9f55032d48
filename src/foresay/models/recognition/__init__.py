"""From speech to text."""
