"""Results for Python and notebooks: DataFrames and tables."""
