"""Files of container-structure-test. Pants has PyYAML; the environments of the library's tests do not."""

import sys

import pytest
from made_images import Blobs
from tar_layers import Item, image_of, tar_of_items

from dockless.errors import DocklessError, InvalidDocumentError
from dockless.structure_test.checks import TestedImage, run_checks
from dockless.structure_test.yaml_file import parse_tests

COMPLETE = """\
schemaVersion: "2.0.0"
commandTests: []
fileExistenceTests:
  - name: application
    path: /bin/app
    shouldExist: true
    permissions: "-rwxr-xr-x"
    uid: 10
    gid: 0
    isExecutableBy: any
  - {path: /bin/sh, shouldExist: false}
fileContentTests:
  - name: settings
    path: /etc/settings
    expectedContents: ["port = 80", "(?i)HOST"]
    excludedContents: ["debug"]
metadataTest:
  envVars:
    - key: PATH
      value: /bin
    - {key: HOME, value: "^/", isRegex: true}
  unboundEnvVars: [{key: DEBUG}]
  labels: [{key: version, value: "1"}]
  entrypoint: [/bin/app]
  cmd: []
  exposedPorts: [8080]
  unexposedPorts: ["22"]
  volumes: [/data]
  unmountedVolumes: [/other]
  workdir: /
  user: "65532"
"""
CONFIG = {
    "Env": ["PATH=/bin", "HOME=/root"],
    "Labels": {"version": "1"},
    "Entrypoint": ["/bin/app"],
    "ExposedPorts": {"8080/tcp": {}},
    "Volumes": {"/data": {}},
    "WorkingDir": "/",
    "User": "65532",
}
LAYER = tar_of_items(
    Item("bin/app", b"#!", mode=0o755, uid=10), Item("etc/settings", b"host = a\nport = 80\n"), Item("bin/sh2")
)


def failures(text: str, layer: bytes = LAYER, config: dict = CONFIG) -> list:
    blobs = Blobs()
    documents = image_of(layer, config=config, blobs=blobs)
    return list(map(str, run_checks(parse_tests(text.encode(), "t.yaml"), TestedImage(documents, blobs))))


def test_a_complete_file():
    assert failures(COMPLETE) == []
    assert len(parse_tests(COMPLETE.encode(), "t.yaml")) == 15


def test_failures_have_the_line_of_the_test():
    assert failures(COMPLETE, tar_of_items(Item("bin/sh"), Item("etc/settings", b"a\ndebug\n")), {}) == [
        "t.yaml:4: application: /bin/app does not exist",
        "t.yaml:11: /bin/sh: /bin/sh exists; it is a file",
        "t.yaml:13: settings: /etc/settings contains no match of 'port = 80'",
        "t.yaml:13: settings: /etc/settings contains no match of '(?i)HOST'",
        "t.yaml:13: settings: line 2 of /etc/settings contains 'debug', a match of 'debug'",
        "t.yaml:19: envVars: the variable PATH is not set",
        "t.yaml:21: envVars: the variable HOME is not set",
        "t.yaml:23: labels: the label version is not set",
        "t.yaml:24: entrypoint: Entrypoint is [], not ['/bin/app']",
        "t.yaml:26: exposedPorts: ExposedPorts does not contain 8080; the value is []",
        "t.yaml:28: volumes: Volumes does not contain /data; the value is []",
        "t.yaml:30: workdir: WorkingDir is '', not '/'",
        "t.yaml:31: user: User is '', not '65532'",
    ]


def test_a_json_file():
    text = '{"schemaVersion": "2.0.0", "fileExistenceTests": [{"name": "a", "path": "/none"}]}'
    assert failures(text) == ["t.yaml:1: a: /none does not exist"]


HEAD = "schemaVersion: 2.0.0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.yaml: the file is empty; write schemaVersion: '2.0.0' and tests"),
        ("a: [", "t.yaml:1: invalid YAML: expected the node content, but found '<stream end>'"),
        ("a\n---\nb", "t.yaml:2: invalid YAML: but found another document"),
        ("\0", "t.yaml: invalid YAML: unacceptable character #x0000: special characters are not allowed"),
        ("[" * 3000, "t.yaml: invalid YAML: maximum recursion depth exceeded"),
        ("[]", "t.yaml:1: a mapping was expected, not a sequence"),
        ("fileExistenceTests: []", "t.yaml:1: schemaVersion is missing; write schemaVersion: '2.0.0'"),
        ("schemaVersion: 1.0.0", "t.yaml:1: the schemaVersion is '1.0.0'; write schemaVersion: '2.0.0'"),
        (HEAD + "fileexistencetests: []", "t.yaml:2: unknown key 'fileexistencetests'; the known keys are"),
        (HEAD + "schemaVersion: 2.0.0", "t.yaml:2: the key schemaVersion occurs twice: first at t.yaml:1; rem"),
        (
            HEAD + "\ncommandTests: [{name: a}]",
            "t.yaml:3: commandTests are not supported: they need a running container: run them with `pants run`",
        ),
        (HEAD + "globalEnvVars: [{key: a}]", "t.yaml:2: globalEnvVars are not supported: they are for commandTests"),
        (HEAD + "containerRunOptions: {user: a}", "t.yaml:2: containerRunOptions are not supported: they are for"),
        (HEAD + "licenseTests: [{debian: true}]", "t.yaml:2: licenseTests are not supported: they compare with a list"),
        (HEAD + "fileExistenceTests: {}", "t.yaml:2: a list was expected, not a mapping"),
        (HEAD + "fileExistenceTests: [{name: a}]", "t.yaml:2: the key path is missing"),
        (HEAD + "fileExistenceTests: [{path: a}]", "t.yaml:2: 'a' is not an absolute path; begin the path"),
        (HEAD + "fileExistenceTests: [{path: }]", "t.yaml:2: a string was expected"),
        (HEAD + "fileExistenceTests: [{path: /, shouldExist: 1}]", "t.yaml:2: true or false was expected"),
        (HEAD + "fileExistenceTests: [{path: /, uid: -1}]", "t.yaml:2: a number was expected, not '-1'"),
        (HEAD + "fileExistenceTests: [{path: /, isExecutableBy: me}]", "t.yaml:2: isExecutableBy is 'me'; write one"),
        (HEAD + "fileContentTests:\n- path: /\n  expected: []", "t.yaml:4: unknown key 'expected'; the known keys"),
        (
            HEAD + "fileContentTests: [{path: /, expectedContents: ['(']}]",
            "t.yaml:2: '(' is not a valid regular expression: missing ), unterminated subpattern at position 0",
        ),
        (HEAD + "fileContentTests: [{path: /, expectedContents: a}]", "t.yaml:2: a list was expected, not a scalar"),
        (HEAD + "metadataTest: {envVars: [{key: a}]}", "t.yaml:2: the key value is missing"),
        (HEAD + "metadataTest: {env: [{value: a}]}", "t.yaml:2: the key key is missing"),
        (HEAD + "metadataTest: {hostname: a}", "t.yaml:2: unknown key 'hostname'; the known keys are envVars"),
        (HEAD + "#" * (1 << 20), "t.yaml has more than 1048576 bytes"),
    ],
)
def test_wrong_files(text, message):
    with pytest.raises(InvalidDocumentError) as caught:
        parse_tests(text.encode(), "t.yaml")
    assert str(caught.value).startswith(message)


def test_without_pyyaml(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(DocklessError, match=r"PyYAML is not installed; pip install 'dockless\[structure-test\]'"):
        parse_tests(b"", "t.yaml")
