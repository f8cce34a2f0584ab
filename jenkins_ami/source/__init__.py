"""Read and check an AMI source: where its parts are, what it is called, what it wants. Nothing is written or run."""
