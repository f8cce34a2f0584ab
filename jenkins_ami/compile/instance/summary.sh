. /etc/os-release; echo "built: $PRETTY_NAME, kernel $(uname -r)"; df -h / | tail -n 1
