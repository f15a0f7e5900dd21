#!/bin/sh
# Builds the route with Maven into .installed/, which git ignores.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mvn --batch-mode --no-transfer-progress --quiet --file "$here/pom.xml" compile
touch "$here/.installed/done"
