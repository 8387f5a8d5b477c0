"""Training: one loop for every loss, its schedule, checkpoints and validation."""
