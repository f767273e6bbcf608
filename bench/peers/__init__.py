"""What Latchkey is measured against. It runs in an environment of its own (var/bench/venv), without Latchkey's code."""
