"""From a study file to checked arms: nothing here trains."""
