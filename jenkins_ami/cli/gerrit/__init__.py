"""Reviews in Gerrit: what 'verify' found, as a vote, a message and comments at the lines."""

ACTIONS = {
    "review": ("review", "post what 'verify' found on the change of its commit"),
}
"""Each command of the group: its module in this package and its line of help."""
