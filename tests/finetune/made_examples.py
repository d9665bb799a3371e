"""Short examples for tests."""

from finetune.examples import Example


def example(n, *, group=None, origin="approved", answer=None, **more):
    return Example(
        messages=({"role": "user", "content": f"Question {n}?"}, {"role": "assistant", "content": answer or f"Answer {n}."}),
        group=group or f"g{n}", origin=origin, source=f"log.jsonl:{n}", **more,
    )  # fmt: skip
