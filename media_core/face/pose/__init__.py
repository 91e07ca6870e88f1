"""Head pose from landmarks."""
