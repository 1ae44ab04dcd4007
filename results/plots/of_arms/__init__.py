"""Pictures of arms and what their runs measured."""
