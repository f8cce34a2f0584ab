"""Bootable base images from scratch: partitions, file system, operating system and boot loaders, with nothing booted.

Not here: what becomes of the image. It is a file; the local cloud boots it and the EBS upload takes it to AWS.
"""
