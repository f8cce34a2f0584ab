"""Jenkins jobs from AMI source repositories: discovery, job model, templates, plan and apply."""
