"""`advise chat`: talk to what is live in the terminal; shows what it cites."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from advisor.cli.declaring import common, loaded
from advisor.cli.faults import told
from router.chatbot import Chatbot
from router.live import Live
from router.models.port import ModelError, ModelMissing
from router.replies import Reply

_COMMANDS = "commands: /up, /down COMMENT, /right ANSWER, /new, /quit"


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common(parser)
    parser.add_argument(
        "question", nargs="?", help="ask this and leave; else questions are read line by line"
    )
    parser.add_argument("--tenant", help="who asks")
    parser.add_argument("--task", help="what for, if routes tell tasks apart")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    config = loaded(args)
    with told(), Chatbot(config.state, index=config.index.folder) as bot:
        Live(config.state).choose(tenant=args.tenant, task=args.task)
        talk = _Talk(bot, args)
        if args.question is not None:
            return talk.ask(args.question)
        if sys.stdin.isatty():
            print(_COMMANDS, file=sys.stderr)
        for line in _lines():
            if line == "/quit":
                break
            talk.take(line)
    return 0


class _Talk:
    def __init__(self, bot: Chatbot, args: argparse.Namespace) -> None:
        self._bot = bot
        self._args = args
        self._messages: list[dict[str, Any]] = []
        self._last: Reply | None = None

    def take(self, line: str) -> None:
        """Do what a line says."""
        command, _, rest = line.partition(" ")
        if command == "/new":
            self._messages, self._last = [], None
        elif command in ("/up", "/down", "/right"):
            self._feedback(command, rest.strip())
        elif line.startswith("/"):
            print(_COMMANDS, file=sys.stderr)
        elif line.strip():
            self.ask(line)

    def ask(self, question: str) -> int:
        """Ask, show the answer as it comes, and what it cites."""
        self._messages.append({"role": "user", "content": question})
        try:
            for piece in self._bot.stream(self._messages, tenant=self._args.tenant, task=self._args.task):
                if piece.reply is None and not self._args.json:
                    print(piece.text, end="", flush=True)
                self._last = piece.reply
        except ModelMissing:
            raise  # asking again would not help
        except ModelError as error:
            self._messages.pop()
            print(f"advise: {error}", file=sys.stderr)
            return 1
        if self._last is not None:
            self._messages.append({"role": "assistant", "content": self._last.text})
            self._shown(self._last)
        return 0

    def _shown(self, reply: Reply) -> None:
        if self._args.json:
            print(json.dumps(reply.as_data(), ensure_ascii=False))
            return
        print()
        for c in reply.citations:
            print(f"  [{c.label}] {c.title}: {c.quote}\n      {c.link or c.document}")
        if sys.stderr.isatty():
            done = ", ".join(dict.fromkeys(i.kind for i in reply.interventions))
            print(
                f"  ({reply.timings.total:.1f} s, release {reply.release}{'; ' + done if done else ''})",
                file=sys.stderr,
            )

    def _feedback(self, command: str, words: str) -> None:
        if self._last is None:
            print("nothing was answered yet", file=sys.stderr)
            return
        if command == "/right":
            self._bot.feedback(self._last.id, thumb="down", correction=words or None)
        else:
            self._bot.feedback(self._last.id, thumb="up" if command == "/up" else "down", comment=words)
        print("kept", file=sys.stderr)


def _lines() -> Iterator[str]:
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        yield line.strip()
