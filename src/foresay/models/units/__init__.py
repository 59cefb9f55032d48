"""From speech to units: tokenizers that are fitted on what another model extracts."""
