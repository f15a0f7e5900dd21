#!/bin/sh
# Installs Node-RED and kafkajs beside this script, into .installed/, which git ignores.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$here/.installed"
cp "$here/package.json" "$here/.installed/"
cd "$here/.installed"
npm install --no-audit --no-fund --no-package-lock --loglevel=error
touch done
