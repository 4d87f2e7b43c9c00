"""What the tests of the Python package share. Each gets the program's path; $GLLM_LIBRARY is the library under test. Exit 77: skipped, and why."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDEN = os.path.join(ROOT, "tests", "golden")
PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 and os.path.exists(sys.argv[1]) else os.path.join(ROOT, "build", "release", "gllm")
os.environ.setdefault("GLLM_LIBRARY", os.path.join(os.path.dirname(PROGRAM), "libgllm.so"))
sys.path.insert(0, os.path.join(ROOT, "python"))


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(77)


def need(*modules):
    """Skips the whole test unless these packages are there."""
    for module in modules:
        try:
            __import__(module)
        except ImportError as error:
            skip(f"no Python package {module}: {error}")


def real(*names):
    """Folder of a real model, or None."""
    for name in names:
        path = os.path.join(os.environ.get("GLLM_HOME", os.path.expanduser("~/.gllm")), "models", name)
        if os.path.isdir(path):
            return path
    return None


def run(*arguments, text=True):
    """The program's standard output."""
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=text, check=True).stdout
