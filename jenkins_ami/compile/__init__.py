"""Phase 1: an AMI source becomes a compiled AMI. Sees no cloud: nothing here imports boto3 or ``cloud``."""
