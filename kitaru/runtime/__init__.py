"""User code executing: decorators, the engine that matches and records calls, waits, capture, code loading."""
