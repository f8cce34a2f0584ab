"""The account's own images: what there is, what uses it, where it came from, and what may go.

They are told by the tags that a build puts on them.
"""

ACTIONS = {
    "list": ("list", "list the images"),
    "prune": ("prune", "show which images a retention rule lets go; with --apply, deregister them"),
    "deprecate": ("deprecate", "set or take off the date from which an image counts as old"),
    "copy": ("copy", "copy an image to other regions"),
    "share": ("share", "let other accounts launch an image"),
    "console": ("console", "show the console of an instance, or of the one that an image was made of"),
    "show": ("show", "show what an image was made of, back to its beginning"),
    "tree": ("tree", "draw which image was made of which"),
}
"""Each command of the group: its module in this package and its line of help."""
