"""What published unsplit supernets lead to expect, and whether a folder's are inside it."""
