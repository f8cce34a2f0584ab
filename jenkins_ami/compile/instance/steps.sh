# Sourced as the first entry of runcmd. From here on the first command that fails ends the build, and is named.
jenkins_ami_step() {
  jenkins_ami_at=$1
  echo "JENKINS-AMI-STEP| $1"
  set -e
}
jenkins_ami_at='before the first command'
trap 'jenkins_ami_code=$?; [ "$jenkins_ami_code" = 0 ] || echo "$jenkins_ami_at exited with $jenkins_ami_code" >/var/lib/jenkins-ami/failed' EXIT
set -e
