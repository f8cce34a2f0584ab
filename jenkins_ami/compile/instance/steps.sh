# Sourced as the first entry of runcmd. From here on the first command that fails ends the build, and is named, unless
# it was announced by jenkins_ami_try.
jenkins_ami_at='before the first command'
jenkins_ami_count=0
jenkins_ami_next() {
  [ "$1" = 0 ] || echo "JENKINS-AMI-LOG| $jenkins_ami_at exited with $1, which is allowed"
  jenkins_ami_at=$2
  jenkins_ami_count=$((jenkins_ami_count + 1))
  echo "JENKINS-AMI-STEP| $2"
}
jenkins_ami_step() {
  jenkins_ami_next "$?" "$1"
  set -e
}
jenkins_ami_try() {
  jenkins_ami_next "$?" "$1"
  set +e
}
jenkins_ami_complete() {
  if [ "$jenkins_ami_count" = "$1" ]; then
    : >/var/lib/jenkins-ami/complete
  else
    trap - EXIT
    echo "only $jenkins_ami_count of $1 commands ran: a template or an include replaced the others" >/var/lib/jenkins-ami/failed
    exit 1
  fi
}
trap 'jenkins_ami_code=$?; [ "$jenkins_ami_code" = 0 ] || echo "$jenkins_ami_at exited with $jenkins_ami_code" >/var/lib/jenkins-ami/failed' EXIT
set -e
