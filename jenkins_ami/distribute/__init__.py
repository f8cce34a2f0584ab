"""What becomes of images once they are built: copies, sharing, what points to them; and which stay."""
