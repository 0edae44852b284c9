#!/usr/bin/env bash
# Install what the tests need from the system: `make system`. As root on Debian or Ubuntu it installs
# the missing packages. Elsewhere it prints the command. Tests that miss a program are skipped, and
# the last lines of the run say so.
set -euo pipefail

has() { command -v "$1" >/dev/null; }

packages=()
# Libraries that the wheels of OpenCV and PyQt5 expect.
if PATH="$PATH:/sbin" has ldconfig; then
  libraries=$(PATH="$PATH:/sbin" ldconfig -p 2>/dev/null || true)
  for pair in libGL.so.1=libgl1 libgthread-2.0.so.0=libglib2.0-0 libfontconfig.so.1=libfontconfig1; do
    grep -qF "${pair%=*} " <<<"$libraries" || packages+=("${pair#*=}")
  done
fi
# A browser for the tests of widgets; a display, a mouse and a keyboard for the tests of windows.
has chromium || has chromium-browser || has google-chrome || packages+=(chromium)
has Xvfb || packages+=(xvfb)
has xdotool || packages+=(xdotool)
# npm fetches the runtime of the web page.
has npm || packages+=(npm)
# The module that makes .venv.
python3 -c "import ensurepip" 2>/dev/null || packages+=(python3-venv)

if [ ${#packages[@]} -eq 0 ]; then
  exit 0
elif ! has apt-get; then
  echo "Missing here, under Debian's names: ${packages[*]}. Tests that need them are skipped."
elif [ "$(id -u)" != 0 ]; then
  echo "Missing here. Tests that need them are skipped. To install them:"
  echo "sudo apt-get install --no-install-recommends ${packages[*]}"
else
  echo "Installing system packages: ${packages[*]}"
  apt-get update -qq || true
  for package in "${packages[@]}"; do
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
      echo "$package could not be installed. Tests that need it are skipped."
  done
fi
