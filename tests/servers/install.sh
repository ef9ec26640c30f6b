#!/bin/sh
# Install the server programs that tests run against, from Debian's packages. Needs root (or sudo) once.
set -eu
missing=""
for pair in prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager victoria-metrics:victoria-metrics chromium:chromium chromedriver:chromium-driver; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null 2>&1 || { echo "cannot install$missing: no apt-get here; install them by hand"; exit 1; }
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# Debian starts a Prometheus of its own after installing it; ours are started by the tests, on loopback only.
printf '#!/bin/sh\nexit 101\n' >/tmp/foreband-policy-rc.d && chmod 755 /tmp/foreband-policy-rc.d
[ -e /usr/sbin/policy-rc.d ] || { $sudo cp /tmp/foreband-policy-rc.d /usr/sbin/policy-rc.d; created=1; }
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing fonts-dejavu-core >/dev/null
[ -z "${created:-}" ] || $sudo rm -f /usr/sbin/policy-rc.d
rm -f /tmp/foreband-policy-rc.d
