"""Reviews in Gerrit: what a verification found, as a vote, a message and comments at the lines.

``review`` and ``message`` compute, from a verification and what is in Gerrit already, what is to be said; ``client``
reads and posts; ``publish`` joins them.
"""
