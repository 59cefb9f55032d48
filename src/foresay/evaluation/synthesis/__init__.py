"""How well speech is synthesized."""
