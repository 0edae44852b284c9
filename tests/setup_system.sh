#!/usr/bin/env bash
# Install what the tests need from the system: bash tests/setup_system.sh
# As root on Debian or Ubuntu it installs the missing packages. Elsewhere it prints the command that
# does; the tests that need a missing program are then skipped, and the last lines of the run say so.
set -euo pipefail

packages=()
# Libraries that the wheels of OpenCV and PyQt5 expect.
if command -v ldconfig >/dev/null || [ -x /sbin/ldconfig ]; then
  libraries=$(PATH="$PATH:/sbin" ldconfig -p 2>/dev/null || true)
  for pair in libGL.so.1=libgl1 libgthread-2.0.so.0=libglib2.0-0 libfontconfig.so.1=libfontconfig1; do
    grep -qF "${pair%=*} " <<<"$libraries" || packages+=("${pair#*=}")
  done
fi
# A browser for the tests of widgets; a display, a mouse and a keyboard for the tests of windows.
for pair in chromium=chromium Xvfb=xvfb xdotool=xdotool; do
  command -v "${pair%=*}" >/dev/null || packages+=("${pair#*=}")
done
python3 -c "import ensurepip" 2>/dev/null || packages+=(python3-venv)

[ ${#packages[@]} -gt 0 ] || exit 0
command="apt-get install --no-install-recommends ${packages[*]}"
if ! command -v apt-get >/dev/null; then
  echo "Some tests need programs that are missing here (Debian's packages: ${packages[*]}); they will be skipped."
elif [ "$(id -u)" != 0 ]; then
  echo "Some tests need packages that are missing; they will be skipped. To install them: sudo $command"
else
  echo "Installing system packages: ${packages[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
