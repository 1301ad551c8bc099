"""Let nbgrader grade one notebook after another, in a process of its own."""

import json
import os
import re
import secrets
import shutil
import site
import subprocess
import sys
import threading
from pathlib import Path

import kit
import nbformat
from guards import MARK, with_guards

NOT_RUN = "it could not be run"
PROGRAM = """
import json, os, shutil, sys
from traitlets.config import Config
from nbgrader.apps import NbGraderAPI
answers, sys.stdout = sys.stdout, open(os.devnull, "w")
course, timeout = sys.argv[1], int(sys.argv[2])
c = Config()
c.CourseDirectory.root = course
c.CourseDirectory.db_url = f"sqlite:///{course}/gradebook.db"
c.Execute.timeout = timeout
gradebook = os.path.join(course, "gradebook.db")
api, made, clean = NbGraderAPI(config=c), set(), b""
for line in sys.stdin:
    student, name = json.loads(line)
    problem = ""
    try:
        if clean:  # as it was before any student's code
            open(gradebook, "wb").write(clean)
        done = api.generate_assignment(name) if name not in made else {"success": True}
        if done["success"] and name not in made:
            made.add(name)
            clean = open(gradebook, "rb").read()
            shutil.rmtree(os.path.join(course, "source"))
        if done["success"]:
            done = api.autograde(name, student)
        if not done["success"]:
            problem = str(done.get("log")) + chr(10) + str(done.get("error"))
    except BaseException as error:
        problem = f"{type(error).__name__}: {error}"
    print(json.dumps(problem), file=answers, flush=True)
"""


class Nbgrader:
    """A course of nbgrader's with a process that grades one student of it after another.

    While a notebook runs, the folder holds no solutions, no other notebook, and a home of its own;
    the gradebook is put back after each.

    Parameters
    ----------
    course : Path
        A folder of its own, which it fills.
    timeout : int
        Seconds for a cell.
    memory : int
        MiB for a notebook.
    seed : int, optional
        Of the hidden cases; by default those of the source.
    """

    def __init__(self, course: Path, timeout: int, memory: int, seed: int | None = None):
        self.course, self.timeout, self.memory, self.seed = course, timeout, memory, seed
        self.mark = "passed " + secrets.token_hex(16)
        self.guarded: dict[str, nbformat.NotebookNode] = {}
        self.made: set[str] = set()  # what the process has in its gradebook
        self.process: subprocess.Popen | None = None

    def source(self, name: str) -> nbformat.NotebookNode:
        """An assignment with its hidden checks and the guards, as this course has it."""
        if name not in self.guarded:
            self.guarded[name] = with_guards(kit.source(name, self.seed), self.memory)
        return self.guarded[name]

    def start(self) -> None:
        """Start the process, or start it anew."""
        self.stop()
        self.made.clear()
        (self.course / "gradebook.db").unlink(missing_ok=True)
        bin_folder = str(Path(sys.executable).parent)  # alembic must be found
        path = bin_folder + os.pathsep + os.environ.get("PATH", "")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.course), str(self.timeout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={
                **os.environ,
                "PATH": path,
                "OMP_NUM_THREADS": "1",
                "MKL_NUM_THREADS": "1",
                MARK: self.mark,
                "PYTHONUSERBASE": site.getuserbase(),  # by default it depends on HOME
                "IPYTHONDIR": str(self.course / "home" / ".ipython"),
                "HOME": str(self.course / "home"),
                "USERPROFILE": str(self.course / "home"),
            },
        )

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def grade(self, student: str, name: str, handed: nbformat.NotebookNode) -> tuple[str, Path]:
        """Grade what a student handed in: what went wrong, or nothing; and the graded notebook."""
        for left in ("home", "submitted", "autograded"):  # what another has left there
            shutil.rmtree(self.course / left, ignore_errors=True)
        (self.course / "home").mkdir(parents=True, exist_ok=True)
        graded = self.course / "autograded" / student / name / f"{name}.ipynb"
        self._path("submitted", student, name).write_text(nbformat.writes(handed), "utf-8")
        if self.process is None or self.process.poll() is not None:
            self.start()
        if name not in self.made:
            source = nbformat.writes(self.source(name))
            self._path("source", "", name).write_text(source, "utf-8")
            self.made.add(name)
        assert self.process and self.process.stdin and self.process.stdout
        late = threading.Timer(60 + 30 * self.timeout, self.process.kill)
        late.start()
        try:
            print(json.dumps([student, name]), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        except OSError:
            answer = ""
        finally:
            late.cancel()
        return short(json.loads(answer)) if answer else f"{NOT_RUN}: no answer in time", graded

    def _path(self, step: str, student: str, name: str) -> Path:
        """Where nbgrader looks for a notebook; its folder is made."""
        path = self.course / step / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def short(problem: str) -> str:
    """What went wrong in nbgrader, as one line of what it logged."""
    errors = re.findall(r"^(?:\w+\.)*(\w*(?:Error|Exception): .+)$", problem, re.M)
    told = [each for each in errors if not each.startswith("NbGraderException")]
    why = told[-1][:200] if told else "nbgrader stopped; does a kernel start on this machine?"
    return f"{NOT_RUN}: {why}" if problem.strip() else ""
