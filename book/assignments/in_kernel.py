"""What the grader brings into a student's kernel; it runs there, in a namespace of its own.

A check runs in `check`, which first puts back what the checks rest on, wherever the code before
has changed it, and last prints the mark, which stands in no cell. A kernel keeps no secret from the
code in it: who uses names by which one would look for the mark is reported (`look.suspicious`).
"""

import hashlib
import json
import sys
import warnings

RESET = {("builtins", "_"), ("builtins", "input")}  # the kernel's own doing, in each cell
WATCHED = {"builtins", "torch", "attnlib.reference", "copy", "contextlib", "traceback", "importlib"}
PARTS = ("__code__", "__defaults__", "__kwdefaults__", "__module__")  # of a function


def digest(*parts):
    """A short number for what a check is called with."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def same(value, then):
    """Say whether a list or a dict holds the very objects that it held."""
    if len(value) != len(then) or (isinstance(value, dict) and value.keys() != then.keys()):
        return False
    now = value.values() if isinstance(value, dict) else value
    return all(a is b for a, b in zip(now, then.values() if isinstance(then, dict) else then))


def start(shell, mark, setup, digests):
    """Remember what the checks rest on, as it is before a student's code runs.

    Parameters
    ----------
    shell : InteractiveShell
        Of the kernel.
    mark : str
        Printed before what is said of a check.
    setup : list of str
        Names that the set-up cell defines.
    digests : list of str
        Of the checks, as they must be called.

    Returns
    -------
    remember, keep, check : callables
        For the guarded cells (`guards.with_guards`).
    """
    modules = {
        each: dict(vars(each))
        for name, each in list(sys.modules.items())
        if name in WATCHED or name.startswith("attnlib.checks") or name.split(".")[0] == "numpy"
    }
    ours = [
        value
        for module, names in modules.items()
        if module.__name__.startswith("attnlib")
        for name, value in names.items()
        if not name.startswith("__")
    ]
    functions = [
        (value, part, getattr(value, part))
        for value in ours
        if hasattr(value, "__code__")
        for part in PARTS
    ]
    held_by_functions = [then for *_, then in functions]  # among them keyword defaults
    contents = [
        (value, value.copy())
        for value in [*ours, *held_by_functions]
        if isinstance(value, list | dict)
    ]
    traces = sys.getprofile(), sys.gettrace()
    own: dict = {}  # what the set-up cell defines
    answered: dict = {}  # a student's functions, as they were checked
    drafts: dict = {}  # those that a later cell, before the check, defines again
    failed: set = set()
    out, err = sys.stdout, sys.stderr

    def guard(names):
        """Put back what the checks rest on, and say what that was."""
        changed = []
        for module, then in modules.items():
            space = vars(module)
            if module.__name__.startswith("attnlib"):
                for name in [n for n in space if n not in then and not n.startswith("__")]:
                    del space[name]
            for name, value in then.items():
                if space.get(name) is not value and (module.__name__, name) not in RESET:
                    space[name] = value
                    if callable(value) and not name.startswith("_"):
                        changed.append(f"{module.__name__}.{name}")
        for function, part, then in functions:
            if getattr(function, part) is not then:
                setattr(function, part, then)
                changed.append(f"{function.__qualname__}.{part}")
        for value, held in contents:
            if not same(value, held):
                value.clear()
                (value.update if isinstance(value, dict) else value.extend)(held)
                changed.append(f"what is in {held!r:.60}")
        sys.setprofile(traces[0])
        sys.settrace(traces[1])
        changed += [name for name, value in own.items() if names.get(name) != value]
        names.update(own)
        shell.custom_exceptions = ()
        for name in ("showtraceback", "run_code", "showsyntaxerror"):
            shell.__dict__.pop(name, None)
        warnings.simplefilter("ignore")
        sys.stdout, sys.stderr = out, err
        return changed

    def remember(names):
        """Keep what the set-up cell has defined."""
        own.update({name: names[name] for name in setup if name in names})
        contents.extend((v, v.copy()) for v in own.values() if isinstance(v, list | dict))

    def keep(names, wanted):
        """Keep functions that a later cell defines again: one of the two must be right."""
        drafts.update({name: names[name] for name in wanted if name in names})

    def check(names, task, wanted, source, solutions):
        """Run a check.

        Earlier functions stand as they were checked, or, where they failed, as they should be: a
        mistake costs its points once. Whoever made up for it in the later function passes too.
        """
        changed = guard(names)
        if digest(task, wanted, source, solutions) not in digests:
            raise RuntimeError("the check is not the released one")
        code = compile(source, f"<check of {task}>", "exec")
        names.update(answered)
        mine = {name: names[name] for name in wanted if name in names}
        draft = {name: drafts[name] for name in wanted if name in drafts}
        answered.update(mine)
        broken = [each for each in solutions if each in failed]
        attempts = [(broken, mine), *([([], mine)] if broken else [])]
        attempts += [(broken, draft)] if draft else []
        failed.add(task)
        wrong: BaseException | None = None
        fixed: list[str] = []
        for fixed, version in attempts:
            names.update(answered)
            for each in fixed:
                exec(solutions[each], names)
            names.update(version)
            try:
                exec(code, names)
            except (Exception, SystemExit) as error:
                wrong = wrong or error
                continue
            answered.update(version)
            failed.discard(task)
            break
        during = guard(names)
        names.update(answered)
        if during:
            failed.add(task)
            wrong = RuntimeError(f"changes {', '.join(during)} while it is checked")
        fixed = fixed if task not in failed else broken
        said = {"passed": task not in failed, "fixed": fixed, "changed": [*changed, *during]}
        print(f"\n{mark} {json.dumps(said)}", flush=True)
        if wrong and task in failed:
            raise wrong from None

    return remember, keep, check
