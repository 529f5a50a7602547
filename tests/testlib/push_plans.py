"""The program push_images.py and its plan, for tests that run the program without Pants."""

import json
import subprocess

from pants_dockless.util_rules.processes import interactive_argv, registry_program

PROGRAM = "push_images.py"
DEFAULTS = {"address": "app:image", "repository": "app", "tags": ["1"], "copy_foreign_layers": False}


def push_plan(server, root, **image):
    """Return the plan to push the image with the descriptor `root`, whose blobs are in `blobs/sha256`, to `server`."""
    document = {
        **DEFAULTS,
        "digest": root.digest,
        "media_type": root.media_type,
        "document_size": root.size,
        "registry": server.host,
        "known": {},
        "mounts": {},
        "remote": [],
        **image,
    }
    return {
        "action": "push",
        "jobs": 2,
        "insecure": [],
        "results": "",
        "connection_failures": ".",
        "send": 0,
        "images": [document],
    }


def write_program(directory, program, plan):
    """Write a program that connects to registries, with its plan and its environment, into `directory`."""
    environment = directory / "environment.json"
    environment.write_text(json.dumps({"HOME": str(directory)}))
    for file in registry_program(program, plan, str(environment), ("push_progress.py",)):
        (directory / file.path).write_bytes(file.content)


def ask_first(directory, plan):
    """Return `plan` with what the registries have, according to the program."""
    process = start_push(directory, {**plan, "action": "check"}, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    images = [{**image, "known": state["known"]} for image, state in zip(plan["images"], json.loads(output))]
    return {**plan, "images": images}


def start_push(directory, plan, *, stderr=subprocess.STDOUT):
    """Start a push as Pants does, in a process group of its own."""
    write_program(directory, PROGRAM, plan)
    return subprocess.Popen(
        [argument.replace("{chroot}", str(directory)) for argument in interactive_argv(PROGRAM)],
        cwd=directory,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )
