"""`bodkin distil`: from the user's tools and a teacher to an artifact in service. Every step goes on where it stopped.

    generate   the teacher invents requests and answers them           RUN/ledger.jsonl
    filter     its answers become labels, some of them held out        RUN/labels/
    train      the student learns them                                 RUN/student-DIGEST/
    export     the artifact, its confidence calibrated                 RUN/student-DIGEST/artifact/
    eval       the student beside what it started from                 RUN/student-DIGEST/comparison.md
    publish    into the store that servers watch, if it is better

A student belongs to its labels, so its folder has their digest: more examples make another student, and the one before
stays.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from model import store
from model.manifest import read_manifest
from model.names import full_name
from model.tokenizer import Tokenizer
from model.types import Tool
from training.distil.comparison import OWN, load_comparison
from training.distil.filter import FilterConfig, filter_ledger
from training.distil.generate import GenerateConfig, Generated, generate
from training.distil.hire import Hired
from training.distil.labels import Label, read_labels
from training.distil.ledger import Ledger, read_ledger
from training.distil.plan import plan
from training.distil.student import DistilConfig, finish, learn, measure
from training.distil.tools import read_tools
from training.teacher.base import digest

STEPS = ("generate", "filter", "train", "export", "eval", "publish")


@dataclass(frozen=True)
class Settings:
    """What the user asked for. `name` is that of the model; `run` and `store` are folders, `start` an artifact."""

    tools: Path
    name: str
    run: Path
    start: Path
    store: Path
    generate: GenerateConfig = GenerateConfig()
    filter: FilterConfig = FilterConfig()
    student: DistilConfig = field(default_factory=DistilConfig)
    replay_shards: Path | None = None
    general: tuple[Path, ...] = ()
    threads: int = 2
    force: bool = False  # publish a student that is no better


class Pipeline:
    """The steps of one run. ValueError and TeacherError say what the user can mend."""

    def __init__(self, settings: Settings, hire: Callable[[Sequence[Tool]], Hired], say: Callable[[str], None] = print):
        """`hire` gives the teacher of these tools; only the steps that ask it anything call it."""
        self.settings = settings
        self.say = say
        self._hire = hire
        manifest = read_manifest(settings.start)
        self.tokenizer = Tokenizer.load(settings.start / "tokenizer.json")
        self.tools = read_tools(settings.tools, self.tokenizer, manifest.max_tokens)

    @cached_property
    def hired(self) -> Hired:
        return self._hire(self.tools)

    def close(self) -> None:
        """Let the teacher go, if one was hired."""
        if "hired" in self.__dict__:
            self.hired.close()

    def run(self, steps: Sequence[str] = STEPS) -> bool:
        """The steps in order. False when one of them ended early, for a reason that it said."""
        return all(getattr(self, step)() for step in steps)

    def dry_run(self) -> None:
        """Say what would be asked and what it would cost. Asks nothing."""
        self.say(self._preparation())
        if self.hired.questions is not None:
            self.say(f"{len(self.hired.questions):,} requests are recorded: nothing has to be paid.")
            return
        ledger = read_ledger(self._ledger) if self._ledger.exists() else None
        config = self.hired.config(self.settings.generate)
        self.say(str(plan(self.tools, config, self.hired.price, self.hired.batch_price, ledger)))

    def generate(self) -> bool:
        """Ask the teacher, until it has answered enough or the budget is reached."""
        self.dry_run()
        hired, config = self.hired, self.hired.config(self.settings.generate)
        about = {
            "tools": digest([[t.name, t.description, t.parameters] for t in self.tools]),
            "teacher": hired.name,
            "seed": config.seed,
        }
        with Ledger(self._ledger, about) as ledger:
            done: Generated = generate(
                hired.teacher,
                self.tools,
                ledger,
                config,
                hired.price,
                hired.batch_price,
                questions=hired.questions,
            )
            spent = ledger.dollars
        self.say(
            f"{done.answered:,} of {done.questions:,} requests are answered, for ${spent:.2f}; agreement made "
            f"{done.saved:,} further answers unnecessary."
        )
        if done.stopped:
            self.say(done.stopped)
        return done.stopped is None

    def filter(self) -> bool:
        """Make labels of the answers."""
        if not self._ledger.exists():
            raise ValueError(f"{self._ledger} is not there yet: the step generate writes it")
        filtered = filter_ledger(read_ledger(self._ledger), self._labels, self.tokenizer, self.settings.filter)
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in filtered.report.dropped.items())
        self.say(
            f"{len(filtered.labels):,} labels to learn from, {len(filtered.heldout):,} held out"
            f"{f'; dropped: {dropped}' if dropped else ''}. {self._labels / 'report.md'} has the details."
        )
        return True

    def train(self) -> bool:
        """Fine-tune the student."""
        began = time.monotonic()
        s = self.settings
        student = self.student
        learn(*self._taught, s.start, student, self._config, replay_shards=s.replay_shards, threads=s.threads)
        self.say(f"Trained in {(time.monotonic() - began) / 60:.1f} minutes; {student / 'loss.png'} shows how.")
        return True

    def export(self) -> bool:
        """Write the artifact and calibrate its confidence."""
        s = self.settings
        if not (self.student / "checkpoint.pt").exists():
            raise ValueError(f"{self.student} has no trained student: the step train makes it")
        uncalibrated = finish(*self._taught, s.start, self.student, self._config, threads=s.threads)
        self.say(uncalibrated or f"{self.student / 'artifact'} is exported, and its confidence is calibrated.")
        return True

    def eval(self) -> bool:
        """Compare the student with what it started from."""
        s = self.settings
        if not (self.student / "artifact").exists():
            raise ValueError(f"{self.student / 'artifact'} is not there yet: the step export makes it")
        measure(self._taught[1], s.start, self.student, general=s.general, threads=s.threads)
        return True

    def publish(self) -> bool:
        """Put the artifact into the store, unless it is no better than what it started from."""
        s = self.settings
        rows = load_comparison(self.student)
        own = rows[f"{OWN}/all"]
        gain = f"{100 * own.before:.1f} → {100 * own.after:.1f} % exact on {own.total:,} held-out requests"
        if own.after <= own.before and not s.force:
            self.say(f"Not published: {gain}. More or other examples may help; --force publishes it all the same.")
            return False
        note = {"exact": {"before": own.before, "after": own.after, "requests": own.total}, "run": s.run.name}
        version = store.publish(self.student / "artifact", s.store, s.name, note)
        self.say(
            f"Published as {full_name(s.name)} ({version}): {gain}. A running server takes it up by itself; else "
            f"`bodkin serve`, and ask for the model {full_name(s.name)!r}. `bodkin models rollback {s.name}` goes back."
        )
        return True

    @property
    def student(self) -> Path:
        """The folder of the student of the present labels. ValueError when there are none."""
        files = [self._labels / f"{name}.jsonl" for name in ("labels", "heldout")]
        if not all(file.exists() for file in files):
            raise ValueError(f"{self._labels} has no labels yet: the step filter writes them")
        text = b"".join(file.read_bytes() for file in files)
        return self.settings.run / f"student-{hashlib.sha256(text).hexdigest()[:8]}"

    @property
    def _config(self) -> DistilConfig:
        """The student's, with what its manifest is to say."""
        taught_by = str(read_ledger(self._ledger).about["teacher"])
        return replace(self.settings.student, name=full_name(self.settings.name), teacher=taught_by)

    @property
    def _ledger(self) -> Path:
        return self.settings.run / "ledger.jsonl"

    @property
    def _labels(self) -> Path:
        return self.settings.run / "labels"

    @property
    def _taught(self) -> tuple[list[Label], list[Label]]:
        """(labels to learn from, those held out)."""
        return read_labels(self._labels / "labels.jsonl"), read_labels(self._labels / "heldout.jsonl")

    def _preparation(self) -> str:
        lines = [f"{len(self.tools)} tools of {self.settings.tools}, taught by {self.hired.name}."]
        lines += [f"Not told to the teacher: {loss}" for loss in self.hired.losses]
        return "\n".join(lines)
