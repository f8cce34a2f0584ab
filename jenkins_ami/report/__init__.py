"""A page about a build or a verification: ``read`` the files that it left, ``view`` them, write a ``page``."""
