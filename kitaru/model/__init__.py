"""Pure values: ids, encoding, records, history, lineage. No disk, no clock, no network, no randomness of its own."""
