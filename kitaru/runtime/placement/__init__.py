"""Where a checkpoint's calls execute: other processes than the run's own, and whatever third parties register."""
