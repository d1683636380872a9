"""Everything that was asked of a teacher and paid for: one append-only file of JSON Lines, synced before more is asked.

A kill at any moment loses nothing but the answers still on their way. A last line that was only half written is cut off
when the ledger is opened again. A second process is refused while the first one has it open.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from model.prompt import dumps
from model.types import Message
from training.distil.rows import Row, ToolRows, call_row, message_row, read_call, read_messages
from training.teacher.base import Brief, Invention, Question, Reply, Tokens

VERSION = 1


class LedgerError(ValueError):
    """The ledger cannot be used: damaged, of another run, in use, or the disk is full."""


@dataclass(frozen=True)
class Asked:
    """A question to the teacher, and the kind of the brief that it came from."""

    id: str  # question.id, which is slow to compute
    kind: str
    question: Question


@dataclass
class Answers:
    """The samples of one question: how many were asked for, and the replies that came. A teacher may give fewer."""

    asked: int = 0
    replies: list[Reply] = field(default_factory=list)


@dataclass(frozen=True)
class Batch:
    """A job at the teacher's: `samples` of each question.

    It is written down before it is submitted, under a label that the teacher gets too, and then with the teacher's own
    `name` for it: a job of unknown name may or may not have been submitted.
    """

    label: str
    questions: tuple[str, ...]
    samples: int
    name: str | None = None


@dataclass
class Contents:
    """What a ledger holds. `questions` and `batches` are in the order in which they were written."""

    about: dict[str, Any] = field(default_factory=dict)
    inventions: dict[str, tuple[tuple[Message, ...], ...]] = field(default_factory=dict)  # by the brief's id
    questions: dict[str, Asked] = field(default_factory=dict)
    answers: dict[str, Answers] = field(default_factory=dict)  # by the question's id
    batches: dict[str, Batch] = field(default_factory=dict)  # those not collected yet, by label
    samples: int = 0  # replies of all questions
    tokens: Tokens = Tokens()
    dollars: float = 0.0
    tools: ToolRows = field(default_factory=ToolRows)
    begun: int = 0  # batches, those that are collected included
    _closed: set[tuple[str, str]] = field(default_factory=set)  # (batch, question): what came of it is here

    def apply(self, record: Mapping[str, Any]) -> None:
        """Take in one line."""
        match record["record"]:
            case "start":
                if record["version"] != VERSION:
                    raise LedgerError(f"version {record['version']} of the ledger's format; this program has {VERSION}")
                self.about = record["about"]
            case "invention":
                self.inventions[record["brief"]] = tuple(map(read_messages, record["requests"]))
                self._pay(record)
            case "tool":
                self.tools.add(record["tool"])
            case "question":
                tools = self.tools.tools(record["tools"])
                messages = read_messages(record["messages"])
                asked = Asked(record["id"], record["kind"], Question(messages, tools, record["mode"]))
                self.questions[asked.id] = asked
            case "answers":
                answers = self.answers.setdefault(record["question"], Answers())
                answers.asked += record["asked"]
                answers.replies += map(_read_reply, record["replies"])
                self.samples += len(record["replies"])
                self._pay(record)
                if label := record.get("batch"):
                    self._closed.add((label, record["question"]))
            case "batch":
                batch = Batch(record["label"], tuple(record["questions"]), record["samples"])
                self.batches[batch.label] = batch
                self.begun += 1
            case "submitted":
                self.batches[record["batch"]] = replace(self.batches[record["batch"]], name=record["name"])
            case "collected":
                del self.batches[record["batch"]]
            case other:
                raise ValueError(f"unknown record {other!r}")

    def _pay(self, record: Mapping[str, Any]) -> None:
        self.tokens += Tokens(*record["tokens"])
        self.dollars += record["dollars"]


class Ledger(Contents):
    """A ledger open for writing. Thread-safe; use it in a `with`.

    `repaired` is the number of bytes of a half-written last line that opening it cut off.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """`about` says what the ledger is of, as JSON. Raises LedgerError when it is of something else."""
        super().__init__()
        self.path = path
        self._writing = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            self._size, self.repaired = self._load()
            if not self.about:
                self._append([{"record": "start", "version": VERSION, "about": dict(about)}])
            for key, value in about.items():
                if self.about.get(key) != value:
                    raise LedgerError(
                        f"{path} belongs to another run ({key}: {self.about.get(key)}, and here {value}): choose "
                        "another folder"
                    )
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._writing:
            os.close(self._file)
            self._file = -1  # a thread that is still at it must not write into another file of this number

    def add_invention(self, brief: Brief, invention: Invention, dollars: float) -> None:
        record = {"record": "invention", "brief": brief.id, "kind": brief.kind, "count": brief.count}
        requests = [[message_row(m) for m in messages] for messages in invention.requests]
        self._append([{**record, "requests": requests, **_paid(invention.tokens, dollars)}])

    def add_questions(self, questions: Iterable[Asked]) -> None:
        """Those that it does not hold yet."""
        records: list[Row] = []
        with self._writing:
            for asked in questions:
                if asked.id in self.questions:
                    continue
                numbers, fresh = self.tools.take(asked.question.tools)
                records += ({"record": "tool", "tool": row} for row in fresh)
                messages = [message_row(m) for m in asked.question.messages]
                record = {"record": "question", "id": asked.id, "kind": asked.kind, "messages": messages}
                records.append({**record, "tools": numbers, "mode": asked.question.mode})
                self.questions[asked.id] = asked
            self._write(records)

    def add_answers(self, question: str, asked: int, replies: Sequence[Reply], dollars: float) -> None:
        """What came of asking for `asked` samples more."""
        self._append([_answers_record(question, asked, replies, dollars)])

    def add_batch(self, batch: Batch) -> None:
        """Before it is submitted."""
        row = {"record": "batch", "label": batch.label, "questions": batch.questions, "samples": batch.samples}
        self._append([row])

    def submitted(self, batch: Batch, name: str) -> None:
        """Before anything else is done: whoever goes on collects this job instead of paying for it again."""
        self._append([{"record": "submitted", "batch": batch.label, "name": name}])

    def collect(self, batch: Batch, replies: Mapping[str, tuple[Sequence[Reply], float]]) -> None:
        """The end of a job: (replies, dollars) of the questions that have any. What is missing may be asked again."""
        records = [
            {**_answers_record(question, len(given), given, dollars), "batch": batch.label}
            for question, (given, dollars) in replies.items()
            if (batch.label, question) not in self._closed  # a kill may have cut this short
        ]
        self._append([*records, {"record": "collected", "batch": batch.label}])

    def _append(self, records: Sequence[Row]) -> None:
        with self._writing:
            self._write(records)
            for record in records:
                self.apply(record)

    def _write(self, records: Sequence[Row]) -> None:
        """All of `records` or nothing, on the disk when it returns."""
        data = "".join(f"{dumps(record)}\n" for record in records).encode()
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fsync(self._file)
            self._size += len(data)
        except BaseException as error:  # an interrupt, too, must leave whole lines
            os.ftruncate(self._file, self._size)
            if isinstance(error, OSError):
                raise LedgerError(f"cannot write {self.path}: {error.strerror}") from error
            raise

    def _load(self) -> tuple[int, int]:
        """Lock, read and repair; returns the size and the number of bytes cut off."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerError(f"{self.path} is in use by another process") from None
        whole = _read(self.path, self)
        size = os.fstat(self._file).st_size
        if whole < size:
            os.ftruncate(self._file, whole)
            os.fsync(self._file)
        return whole, size - whole


def read_ledger(path: Path) -> Contents:
    """What a ledger holds, also while another process writes it. Raises FileNotFoundError or LedgerError."""
    contents = Contents()
    _read(path, contents)
    return contents


def _read(path: Path, into: Contents) -> int:
    """Apply every line of the file; returns how many bytes they are, without a last line that is half written."""
    whole = 0
    with path.open("rb") as f:
        for number, line in enumerate(f, 1):
            if not line.endswith(b"\n"):
                break
            try:
                record = json.loads(line)
            except ValueError as error:
                if f.read(1) == b"":  # after a power failure the last line may be there in length only
                    break
                raise LedgerError(f"{path}:{number} is damaged: {error}") from None
            try:
                into.apply(record)
            except LedgerError as error:
                raise LedgerError(f"{path} has {error}") from None
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise LedgerError(f"{path}:{number} is no record of a ledger: {error!r}") from error
            whole += len(line)
    return whole


def _answers_record(question: str, asked: int, replies: Sequence[Reply], dollars: float) -> Row:
    tokens = sum((r.tokens for r in replies), Tokens())
    record = {"record": "answers", "question": question, "asked": asked, "replies": [_reply_row(r) for r in replies]}
    return {**record, **_paid(tokens, dollars)}


def _paid(tokens: Tokens, dollars: float) -> Row:
    return {"tokens": [tokens.input, tokens.output], "dollars": dollars}


def _reply_row(reply: Reply) -> Row:
    row: Row = {"finish": reply.finish, "calls": [call_row(c) for c in reply.calls]}
    if reply.text:
        row["text"] = reply.text
    if reply.logprob is not None:
        row["logprob"] = reply.logprob
    return row


def _read_reply(row: Mapping[str, Any]) -> Reply:
    calls = tuple(map(read_call, row["calls"]))
    return Reply(calls, row.get("text", ""), row.get("logprob"), row["finish"])
