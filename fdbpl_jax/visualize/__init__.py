"""Pictures of what prompts do: where they look, and which images they put right."""
