"""What `make bench` runs: Latchkey beside its peers, on one machine, in alternating rounds of one run."""
