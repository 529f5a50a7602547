"""Paths of a Python application in an image. They are the same in all images, so that images share layers."""

ROOT = "/opt/venv"
APPLICATION = f"{ROOT}/app"
# Relative to ROOT. No path of a distribution contains the version of the interpreter.
SITE_PACKAGES = "site-packages"
