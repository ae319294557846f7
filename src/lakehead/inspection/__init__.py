"""What a lake can tell about itself: runs, tables, datasets, quarantine, health. It only reads, and returns results."""
