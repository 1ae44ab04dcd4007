"""Files of data: where they lie, how they are imported, what is in them."""
