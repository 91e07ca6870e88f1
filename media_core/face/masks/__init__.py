"""Which pixel belongs to what."""
