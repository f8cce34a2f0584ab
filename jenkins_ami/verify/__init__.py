"""What a commit does to the AMI sources of a Git repository: found, compiled, compared with before, and booted.

What boots is handed in: building is another phase's business.
"""
