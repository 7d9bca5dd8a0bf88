#!/bin/bash
# The topics in docs/: every command runs and prints what the guide says of it.
GUIDES=topics exec "$(dirname "$0")/docs.sh"
