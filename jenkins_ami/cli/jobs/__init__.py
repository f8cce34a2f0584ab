"""The Jenkins jobs of all AMI sources: found in their repositories, planned, and applied.

jobs.yaml says where the repositories are, which Jenkins it is, and what jobs look like.
"""

ACTIONS = {
    "discover": ("discover", "list the AMI sources that there are"),
    "render": ("render", "write the config.xml files that Jenkins should have"),
    "validate": ("validate", "check jobs.yaml and what it comes to, or config.xml files"),
    "plan": ("plan", "show what apply would change in Jenkins"),
    "apply": ("apply", "make Jenkins have the jobs, and only those"),
    "bootstrap": ("bootstrap", "make root folder, library and seed job in an empty Jenkins"),
}
"""Each command of the group: its module in this package and its line of help."""
